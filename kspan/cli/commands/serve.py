"""``kspan serve``, and what ``kspan run`` serves of its history."""

import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kspan.cli.common import open_existing, the_cluster
from kspan.errors import KspanError, SettingsError
from kspan.paths import why_unusable

if TYPE_CHECKING:
    from kspan.store import Store
    from kspan.web.guard import Access
    from kspan.web.history import History

PUBLIC: Final = ("/healthz", "/readyz", "/metrics")
"""Paths that show nothing of the history. Probes and scrapers have no token."""

SHORTEST_TOKEN: Final = 16
_LARGEST_FILE: Final = 4096


def run_serve(
    db: str | None, *, listen: str, auth_token_file: Path | None, insecure_no_auth: bool, cluster: str
) -> None:
    """Serve the history of a cluster until SIGTERM or SIGINT."""
    from kspan.terminal import logging_setup
    from kspan.web.answer import verdict
    from kspan.web.app import make_app
    from kspan.web.guard import local_hosts
    from kspan.web.history import History
    from kspan.web.server import Server, parse_listen

    host, _ = parse_listen(listen)
    if local_hosts(host) is None and auth_token_file is None and not insecure_no_auth:
        raise SettingsError(
            f"--listen {listen} can be reached from other machines: give --auth-token-file, or --insecure-no-auth if "
            "everybody may read the history"
        )
    access = make_access(host, auth_token_file, insecure=insecure_no_auth)
    logging_setup.set_up("warning")
    with open_existing(db, read_only=True) as store:
        name = the_cluster(store, cluster)
        history = History(lambda _: (store, name))
        fine = {"/healthz": lambda _: verdict([]), "/readyz": lambda _: verdict([])}
        server = Server(listen, make_app(fine, access, history))
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        server.start()
        address, port = server.address
        print(f"kspan: serving {store.name} at http://{_in_url(address)}:{port} until Ctrl-C", file=sys.stderr)
        while server.is_alive() and not stop.wait(0.5):
            pass
        server.stop()
    if not stop.is_set():
        raise KspanError(f"the HTTP server ended: {server.failure}")


def make_access(host: str, token_file: Path | None, *, insecure: bool) -> "Access":
    """Return who may ask a server on ``host``. Raises SettingsError for an unusable token."""
    from kspan.web.guard import Access, local_hosts

    hosts = local_hosts(host)
    token = _read_token(token_file) if token_file is not None else None
    closed = ""
    if hosts is None and token is None and not insecure:
        closed = "the history is served to other machines only with --auth-token-file, or with --insecure-no-auth"
    return Access(hosts=hosts, token=token, closed=closed, public=PUBLIC)


def later(url: str) -> "History":
    """Return the history in a database that this process is about to create or migrate."""
    from kspan.store import open_store
    from kspan.web.history import History, NotThereError

    opened: list[Store] = []
    lock = threading.Lock()

    def find(cluster: str) -> "tuple[Store, str]":
        with lock:
            try:
                if not opened:
                    opened.append(open_store(url, read_only=True))
                return opened[0], the_cluster(opened[0], cluster)
            except KspanError as error:
                raise NotThereError("the database has no records of this cluster yet") from error

    return History(find)


def _read_token(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_FILE + 1)
        token = raw.decode("ascii").strip()
    except OSError as error:
        raise SettingsError(f"--auth-token-file {path}: {why_unusable(error)}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"--auth-token-file {path}: the token has to be ASCII") from error
    if not SHORTEST_TOKEN <= len(token) <= _LARGEST_FILE or not token.isprintable() or " " in token:
        raise SettingsError(
            f"--auth-token-file {path}: the token has to have at least {SHORTEST_TOKEN} characters and no blanks: "
            "make one with 'openssl rand -hex 32'"
        )
    return token


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
