"""Checks tokens: a shared one, or those of the cluster by the API server (delegated authentication)."""

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import anyio
import anyio.to_thread
import msgspec
from starlette.exceptions import HTTPException

from kspan.errors import KspanError
from kspan.query.visible import EVERYTHING, Visible
from kspan.terminal.text import harmless
from kspan.web.access.bounded import Bounded

if TYPE_CHECKING:
    from kspan.ingest.watch.client.reviews import User

_logger = logging.getLogger(__name__)

CACHED_S: Final = 10.0
"""Seconds that a decision of the API server is used, whatever it was."""

BROKEN_S: Final = 1.0
"""Seconds without another attempt after the API server did not answer."""

TOKENS: Final = 1_000
"""Tokens whose owners are remembered."""

DECISIONS: Final = 20_000
"""Decisions on rights that are remembered."""

LONGEST_TOKEN: Final = 8 * 1024

PREFIX: Final = "/kspan"
"""Before the path of a request, in the path whose ``get`` is reviewed.

The paths of RBAC are those of the API server as well: every user may get ``/api/*`` there (``system:discovery``), and
``/metrics`` would open the metrics of the API server.
"""

_AT_ONCE: Final = 8
_TOKEN: Final = re.compile(rf"[!-~]{{1,{LONGEST_TOKEN}}}")
_Decision = TypeVar("_Decision")


class Door(Protocol):
    """Checks tokens."""

    async def admit(self, token: str, path: str | None) -> Visible:
        """Return what the owner of the token may see.

        ``path`` is what is asked for; None: only the token is checked. Raises HTTPException: 401 for an unknown token,
        403 without the right, 503 if nobody can say.
        """
        ...


class SharedToken:
    """One token for everybody who may ask."""

    def __init__(self, token: str) -> None:
        self._digest = _digest(token)

    async def admit(self, token: str, path: str | None) -> Visible:  # noqa: ARG002
        """See Door."""
        # Digests, because the time of a comparison depends on the lengths.
        if not hmac.compare_digest(_digest(token), self._digest):
            raise unauthorized()
        return EVERYTHING


class Reviewer(Protocol):
    """The reviews of an API server. Its methods raise KspanError if there is no answer."""

    def user(self, token: str) -> "User | None":
        """Return the owner of a token; None: it is not valid."""
        ...

    def may_get(self, user: "User", path: str) -> bool:
        """True if RBAC allows ``get`` on a path."""
        ...

    def may_list_events(self, user: "User", namespace: str) -> bool:
        """True if RBAC allows to list Events in a namespace; empty: in all."""
        ...


class _Known(msgspec.Struct, frozen=True):
    """The answer to a TokenReview: ``user`` is None for a token that is not valid."""

    user: "User | None"


class Delegated:
    """Everybody whom the API server knows and whose roles allow ``get`` on ``/kspan`` and the path of the request.

    Args:
        reviewer: asks the API server.
        by_namespace: an asker sees only namespaces in which RBAC allows to list Events.
        clock: the current time in seconds.
    """

    def __init__(self, reviewer: Reviewer, *, by_namespace: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._reviewer = reviewer
        self._by_namespace = by_namespace
        self._clock = clock
        self._users: Bounded[_Known] = Bounded(TOKENS, clock)
        self._rights: Bounded[bool] = Bounded(DECISIONS, clock)
        self._broken_until = 0.0
        self._reported = ""
        self._limiter: anyio.CapacityLimiter | None = None

    async def admit(self, token: str, path: str | None) -> Visible:
        """See Door."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(_AT_ONCE)
        return await anyio.to_thread.run_sync(self._admit, token, path, limiter=self._limiter)

    def _admit(self, token: str, path: str | None) -> Visible:
        if not _TOKEN.fullmatch(token):
            raise unauthorized()
        digest = _digest(token)
        user = self._decided(self._users, digest, lambda: _Known(self._reviewer.user(token))).user
        if user is None:
            raise unauthorized()
        if path is not None:
            wanted = PREFIX + path
            right = (digest, "get", wanted)
            if not self._decided(self._rights, right, lambda: self._reviewer.may_get(user, wanted)):
                name = harmless(user.username)
                raise HTTPException(403, f"{name} may not read this: the right to get {harmless(wanted)} is missing")
        if not self._by_namespace:
            return EVERYTHING
        return Visible(lambda namespace: self._may_list(digest, user, namespace))

    def _may_list(self, digest: bytes, user: "User", namespace: str) -> bool:
        right = (digest, "list", namespace)
        return self._decided(self._rights, right, lambda: self._reviewer.may_list_events(user, namespace))

    def _decided(self, cache: Bounded[_Decision], key: Hashable, ask: Callable[[], _Decision]) -> _Decision:
        """Return a decision from the cache or the API server. Without one nobody is let in: HTTPException 503."""
        found = cache.get(key)
        if found is None:
            if self._clock() < self._broken_until:
                raise _unavailable()
            try:
                found = ask()
            except KspanError as error:
                self._broken_until = self._clock() + BROKEN_S
                if str(error) != self._reported:
                    _logger.warning("the API server does not say who may ask: %s", error)
                    self._reported = str(error)
                raise _unavailable() from error
            self._reported = ""
            cache.put(key, found, CACHED_S)
        return found


def unauthorized() -> HTTPException:
    """The answer to a request without a valid token."""
    return HTTPException(401, "a token is needed: Authorization: Bearer TOKEN")


def _unavailable() -> HTTPException:
    return HTTPException(
        503, "the API server, which decides who may ask, does not answer kspan at the moment; its log has the reason"
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
