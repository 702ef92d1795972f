"""``kspan serve``, and what ``kspan run`` serves of its history."""

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from kspan.cli.common import open_existing, the_cluster
from kspan.cli.options import Auth, Authorize
from kspan.cli.sources.source import HistoryOptions
from kspan.cli.token_file import read_token
from kspan.errors import KspanError, SettingsError

if TYPE_CHECKING:
    from kspan.ingest.watch.client.connection import Connection as ApiConnection
    from kspan.store import Store
    from kspan.web.guard import Access
    from kspan.web.history import History

PUBLIC: Final = ("/healthz", "/readyz", "/metrics", "/favicon.ico", "/static/")
"""Paths that show nothing of the history. Probes and scrapers have no token, nor do the files of the pages need one."""

SHORTEST_TOKEN: Final = 16
_WRONG_TOKEN: Final = (
    f"the token has to have at least {SHORTEST_TOKEN} characters and no blanks: make one with 'openssl rand -hex 32'"
)


class Asking(msgspec.Struct, frozen=True):
    """The options about who may ask."""

    auth: Auth | None = None
    token_file: Path | None = None
    insecure: bool = False
    authorize: Authorize = Authorize.ALL
    tls_cert: Path | None = None
    tls_key: Path | None = None
    serve_sql: bool = False

    @property
    def mode(self) -> Auth:
        """How askers are recognized."""
        if self.auth is not None:
            return self.auth
        return Auth.TOKEN if self.token_file is not None else Auth.NONE

    def check(self) -> None:
        """Raise SettingsError if options contradict each other."""
        mode, given = self.mode, f"--auth {self.mode}" if self.auth is not None else "--auth-token-file"
        if mode is Auth.TOKEN and self.token_file is None:
            raise SettingsError("--auth token needs --auth-token-file")
        if mode is not Auth.TOKEN and self.token_file is not None:
            raise SettingsError(f"{given} and --auth-token-file exclude each other")
        if mode is not Auth.NONE and self.insecure:
            raise SettingsError(f"{given} and --insecure-no-auth exclude each other")
        if mode is not Auth.KUBERNETES and self.authorize is Authorize.NAMESPACES:
            raise SettingsError("--authorize namespaces needs --auth kubernetes: only the cluster knows who asks")

    def check_reach(self, listen: str) -> None:
        """Raise SettingsError if everybody on other machines may ask, and nobody wanted that."""
        from kspan.web.guard import local_hosts
        from kspan.web.server import parse_listen

        if local_hosts(parse_listen(listen)[0]) is None and self.mode is Auth.NONE and not self.insecure:
            raise SettingsError(
                f"--listen {listen} can be reached from other machines: give --auth-token-file, --auth kubernetes, or "
                "--insecure-no-auth if everybody may read the history"
            )


def run_serve(
    db: str | None, *, listen: str, asking: Asking, cluster: str, kubeconfig: str | None, context: str | None
) -> None:
    """Serve the history of a cluster until SIGTERM or SIGINT."""
    from kspan.terminal import logging_setup

    asking.check()
    asking.check_reach(listen)
    if asking.mode is not Auth.KUBERNETES:
        logging_setup.set_up("warning")
        _serve(db, listen, asking, cluster, None)
        return
    from kspan.ingest.watch import connect

    logging_setup.set_up("warning")
    connection = connect(kubeconfig, context)
    try:
        _serve(db, listen, asking, cluster, connection)
    finally:
        connection.close()


def run_ui(options: HistoryOptions, *, listen: str, browser: bool) -> None:
    """Open the page of a database, or of the daemon that ``--remote`` names, until SIGTERM or SIGINT."""
    import webbrowser

    from kspan.terminal import logging_setup

    opened: Callable[[str], object] = webbrowser.open if browser else lambda _: None
    logging_setup.set_up("warning")
    if options.remote:
        from kspan.cli.sources.pages import forward_pages

        forward_pages(options, listen, opened)
        return
    asking = Asking()
    asking.check_reach(listen)
    _serve(options.db, listen, asking, options.cluster, None, opened)


def _serve(
    db: str | None,
    listen: str,
    asking: Asking,
    cluster: str,
    api: "ApiConnection | None",
    opened: Callable[[str], object] = lambda _: None,
) -> None:
    from kspan.web.answer import verdict
    from kspan.web.app import make_app
    from kspan.web.history import History
    from kspan.web.server import Server, parse_listen
    from kspan.web.tls import certificate_files

    access = make_access(parse_listen(listen)[0], asking, api)
    tls = certificate_files(asking.tls_cert, asking.tls_key)
    with open_existing(db, read_only=True) as store:
        private = asking.mode is Auth.KUBERNETES
        several = not cluster and not private
        # Of several clusters, each request names one.
        name = "" if several and len(store.named_clusters()) > 1 else the_cluster(store, cluster)
        history = History(lambda _: (store, name), serves_sql=asking.serve_sql, several=several, private=private)
        fine = {"/healthz": lambda _: verdict([]), "/readyz": lambda _: verdict([])}
        server = Server(listen, make_app(fine, access, history), tls)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        server.start()
        print(f"kspan: serving {store.name} at {server.url} until Ctrl-C", file=sys.stderr)
        opened(server.url)
        while server.is_alive() and not stop.wait(0.5):
            pass
        server.stop()
    if not stop.is_set():
        raise KspanError(f"the HTTP server ended: {server.failure}")


def make_access(host: str, asking: Asking, api: "ApiConnection | None") -> "Access":
    """Return who may ask a server on ``host``. Raises SettingsError for an unusable token.

    ``api`` is a connection to the API server, for ``--auth kubernetes``.
    """
    from kspan.web.access.doors import Delegated, Door, SharedToken
    from kspan.web.guard import Access, local_hosts

    hosts = local_hosts(host)
    door: Door | None = None
    closed = ""
    if asking.mode is Auth.KUBERNETES and api is not None:
        from kspan.ingest.watch.client.reviews import Reviews

        door = Delegated(Reviews(api), by_namespace=asking.authorize is Authorize.NAMESPACES)
    elif asking.token_file is not None:
        where = f"--auth-token-file {asking.token_file}"
        door = SharedToken(read_token(asking.token_file, where, shortest=SHORTEST_TOKEN, wrong=_WRONG_TOKEN))
    elif hosts is None and not asking.insecure:
        closed = (
            "the history is served to other machines only with --auth-token-file or --auth kubernetes, or with "
            "--insecure-no-auth"
        )
    return Access(hosts=hosts, door=door, closed=closed, public=PUBLIC)


def later(url: str, *, serves_sql: bool = False, private: bool = False, seconds: float | None = None) -> "History":
    """Return the history in a database that this process is about to create or migrate.

    ``seconds``: time limit of a question; None: the usual one.
    """
    from kspan.store import open_store
    from kspan.web.history import SECONDS, History, NotThereError

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

    return History(find, serves_sql=serves_sql, private=private, seconds=SECONDS if seconds is None else seconds)
