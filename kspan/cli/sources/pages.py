"""The page of a daemon at an address of this machine, over forwarded ports."""

import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Final

from kspan.cli.sources.forwarded import find_port
from kspan.cli.sources.proxied import open_service
from kspan.cli.sources.services import Service, no_forwarding, unreachable
from kspan.cli.sources.source import HistoryOptions
from kspan.errors import SettingsError
from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.errors import ApiError, ForbiddenError
from kspan.ingest.watch.client.port_forward import PodPort
from kspan.web.guard import local_hosts
from kspan.web.server import open_socket, parse_listen, url_of

_WAIT_S: Final = 0.5
_MOST: Final = 64
"""Connections at once. A browser opens six."""


def forward_pages(options: HistoryOptions, listen: str, opened: Callable[[str], object]) -> None:
    """Forward connections to the daemon until SIGTERM or SIGINT. ``opened`` is called with the address of the page.

    Raises SettingsError, or KspanError if a right is missing.
    """
    if local_hosts(parse_listen(listen)[0]) is None:
        raise SettingsError(f"--listen {listen} can be reached from other machines: use an address of 127.0.0.1")
    stop = threading.Event()
    with open_service(options) as (connection, service):
        _find(connection, service)
        with contextlib.closing(open_socket(listen)) as listening:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
            url = url_of(service.scheme, listening)
            print(f"kspan: {service.written} is at {url} until Ctrl-C", file=sys.stderr)
            opened(url)
            _accept(connection, service, listening, stop)


def _find(connection: Connection, service: Service) -> PodPort:
    """Return the port of the daemon after a first connection to it. Raises KspanError."""
    with _reported(connection, service):
        found = find_port(connection, service)
        mine, other = socket.socketpair()
        with contextlib.closing(other), contextlib.closing(mine):
            tunnel = found.connect(other)
        tunnel.join()
        return found


def _accept(connection: Connection, service: Service, listening: socket.socket, stop: threading.Event) -> None:
    at_once = threading.BoundedSemaphore(_MOST)
    listening.settimeout(_WAIT_S)
    while not stop.is_set():
        try:
            accepted, _ = listening.accept()
        except TimeoutError:
            continue
        if not at_once.acquire(blocking=False):
            accepted.close()
            continue
        thread = threading.Thread(
            target=_forward, args=(connection, service, accepted, at_once), name="forward", daemon=True
        )
        thread.start()


def _forward(
    connection: Connection, service: Service, accepted: socket.socket, at_once: threading.BoundedSemaphore
) -> None:
    """Pass one connection on. The Pod is looked up each time: it may have been replaced."""
    accepted.settimeout(None)
    try:
        tunnel = find_port(connection, service).connect(accepted)
        tunnel.join()
    except Exception as error:
        accepted.close()
        print(f"kspan: a connection is not forwarded: {error}", file=sys.stderr)
    finally:
        at_once.release()


@contextlib.contextmanager
def _reported(connection: Connection, service: Service) -> Iterator[None]:
    try:
        yield
    except ForbiddenError as error:
        raise no_forwarding(service, error) from error
    except ApiError as error:
        raise unreachable(connection, error) from error
