"""Sessions of browsers, and a limit on attempts to open one."""

import hashlib
import ipaddress
import secrets
from collections.abc import Callable
from typing import Final

from kspan.web.access.bounded import Bounded

SESSIONS: Final = 1_000
"""Open sessions; one more ends the oldest."""

SESSION_S: Final = 12 * 3600.0

ATTEMPTS: Final = 10
"""Attempts of one client within ``WINDOW_S``."""

WINDOW_S: Final = 60.0
_CLIENTS: Final = 4_096


class Sessions:
    """Tokens by random session ids. They are in memory only: a restart ends all sessions."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._tokens: Bounded[str] = Bounded(SESSIONS, clock)

    def open(self, token: str) -> str:
        """Return the id of a new session."""
        session = secrets.token_urlsafe(32)
        self._tokens.put(_key(session), token, SESSION_S)
        return session

    def token(self, session: str) -> str | None:
        """Return the token of a session; None if it does not exist or has ended."""
        return self._tokens.get(_key(session))

    def close(self, session: str) -> None:
        """End a session."""
        self._tokens.remove(_key(session))


def _key(session: str) -> bytes:
    # A digest: how long a table takes to find a key must not help to guess one.
    return hashlib.sha256(session.encode("utf-8", "surrogatepass")).digest()


class Attempts:
    """Counts the attempts of each client in windows of ``WINDOW_S``. For one thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: Bounded[list[float]] = Bounded(_CLIENTS, clock)

    def wait(self, client: str) -> float:
        """Count an attempt and return 0, or return the seconds until the next one is allowed."""
        key = _network(client)
        window = self._windows.get(key)
        if window is None:
            window = [self._clock() + WINDOW_S, 0]
            self._windows.put(key, window, WINDOW_S)
        window[1] += 1
        return 0.0 if window[1] <= ATTEMPTS else max(window[0] - self._clock(), 1.0)

    def forgive(self, client: str) -> None:
        """Do not count an attempt that was successful."""
        if window := self._windows.get(_network(client)):
            window[1] -= 1


def _network(client: str) -> str:
    """The address of a client. An IPv6 client has a network of 2^64 addresses."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    return str(ipaddress.ip_network((client.partition("%")[0], 64), strict=False)) if address.version == 6 else client
