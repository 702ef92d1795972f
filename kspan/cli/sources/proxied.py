"""Asks a daemon through the API server: its proxy of Services, or else a forwarded port."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from kspan import __version__
from kspan.cli.remote_option import parse_remote
from kspan.cli.sources.forwarded import ForwardedPort, find_port
from kspan.cli.sources.services import Service, find_service, named_service, no_proxy, unreachable
from kspan.cli.sources.source import HistoryOptions
from kspan.errors import KspanError, QueryError, SettingsError
from kspan.ingest.watch.client.connection import Connection, Reply
from kspan.ingest.watch.client.errors import ApiError, ForbiddenError
from kspan.ingest.watch.client.kubeconfig import connect
from kspan.ingest.watch.retry import Timing
from kspan.paths import why_unusable
from kspan.terminal.text import harmless

VERSION_HEADER: Final = "X-Kspan-Version"
CLUSTER_HEADER: Final = "X-Kspan-Cluster"
TOKEN_HEADER: Final = "X-Kspan-Token"  # noqa: S105
"""``Authorization`` does not pass the proxy of the API server."""

STATEMENTS: Final = "/v1/sql"

_NO_ADDRESS: Final = "no such address"
"""How the answer begins to a path of ``/v1`` that the daemon does not have."""

_LONGEST_TOKEN: Final = 8 * 1024


class Problem(msgspec.Struct, frozen=True):
    """An error of a daemon (RFC 9457)."""

    title: str
    status: int
    detail: str


class Way(Protocol):
    """A way to a daemon."""

    def send(self, path: str, query: Mapping[str, str], headers: Mapping[str, str], document: Any = None) -> Reply:
        """Return the answer of the daemon, whose status is 200; with a document, POST it. Raises ApiError."""
        ...

    def close(self) -> object:
        """Close connections."""
        ...


class _Proxy:
    """The proxy of the API server."""

    def __init__(self, connection: Connection, service: Service, seconds: float) -> None:
        self._connection = connection
        self._service = service
        self._seconds = seconds

    def send(self, path: str, query: Mapping[str, str], headers: Mapping[str, str], document: Any = None) -> Reply:
        return self._connection.ask(self._service.proxy + path, query, headers, self._seconds, document)

    def close(self) -> None:
        """Nothing: the connection is closed by who opened it."""


class ProxiedDaemon:
    """A daemon behind an API server. ``cluster`` is the uid of the cluster that is asked, once it has answered.

    Args:
        connection: the API server.
        service: the Service of the daemon.
        cluster: name or uid of the cluster that is asked; empty: that of the daemon.
        token: what the daemon wants; empty: nothing.
        seconds: the longest time without data.
    """

    def __init__(self, connection: Connection, service: Service, cluster: str, token: str, seconds: float) -> None:
        self.cluster = cluster
        self._wanted = cluster
        self._connection = connection
        self._service = service
        self._token = token
        self._seconds = seconds
        self._way: Way = _Proxy(connection, service, seconds)
        self._version = ""

    @property
    def name(self) -> str:
        """The Service."""
        return self._service.written

    def get(self, path: str, query: Mapping[str, str]) -> bytes:
        """See Asker."""
        return self._send(path, query, None)

    def post(self, path: str, document: Any) -> bytes:
        """Return the answer to a document. Raises QueryError, KspanError."""
        return self._send(path, {}, document)

    def unreadable(self, path: str, reason: str) -> KspanError:
        """See Asker."""
        if not self._version:
            return KspanError(
                f"--remote: {self._service.written} is another program, or an old version of kspan (GET {path})"
            )
        same = " of the same version" if self._version == __version__ else ""
        use = "" if same else f": use kspan {harmless(self._version)}"
        about = f"{self._service.written} runs kspan {harmless(self._version)}{same}"
        return KspanError(f"--remote: {about}, whose answer kspan {__version__} cannot read ({harmless(reason)}){use}")

    def close(self) -> None:
        """Close connections."""
        self._way.close()

    def _send(self, path: str, query: Mapping[str, str], document: Any) -> bytes:
        if self._wanted:
            query = {"cluster": self._wanted, **query}
        headers = {"Accept-Encoding": "gzip"} | ({TOKEN_HEADER: self._token} if self._token else {})
        try:
            reply = self._way.send(path, query, headers, document)
        except ApiError as error:
            problem = _problem_of(error.body)
            if problem is None and isinstance(error, ForbiddenError) and isinstance(self._way, _Proxy):
                self._way = self._forwarded(error, "get" if document is None else "create")
                return self._send(path, query, document)
            self._see_version(error.headers)
            raise self._error(problem, error, path) from error
        self._see_version(reply.headers)
        self.cluster = reply.headers.get(CLUSTER_HEADER, "") or self.cluster
        return reply.body

    def _forwarded(self, refused: ForbiddenError, verb: str) -> Way:
        """Return a forwarded port, because the proxy is forbidden. Raises KspanError if there is none."""
        try:
            port = find_port(self._connection, self._service)
        except ForbiddenError as error:
            also = ", nor find its Pod to forward a port (get services, list pods)"
            raise no_proxy(self._service, refused, verb, also) from error
        except ApiError as error:
            raise unreachable(self._connection, error) from error
        way = ForwardedPort(port, tls=self._service.scheme == "https", seconds=self._seconds)
        try:
            way.open()
        except ForbiddenError as error:
            raise no_proxy(self._service, refused, verb, ", nor create pods/portforward") from error
        except ApiError as error:
            raise unreachable(self._connection, error) from error
        return way

    def _error(self, problem: Problem | None, error: ApiError, path: str) -> KspanError:
        if problem is None:
            if error.status in (502, 503) or not error.status or error.status == 401 or self._version:
                return unreachable(self._connection, error)
            return self.unreadable(path, str(error)) if not _is_status(error.body) else self._refused(error)
        detail = harmless(problem.detail)
        if problem.status == 401:
            return KspanError(
                f"--remote: {self._service.written} wants a token: give its file with --remote-token-file; with "
                "--auth kubernetes it is one of yours: kubectl create token NAME > FILE"
            )
        if problem.status == 404 and detail.startswith(_NO_ADDRESS):
            return self.unreadable(path, f"{path} is unknown to it")
        if problem.status == 404 or (problem.status == 400 and path == STATEMENTS):
            return QueryError(detail)
        return KspanError(f"--remote: {self._service.written}: {detail}")

    def _refused(self, error: ApiError) -> KspanError:
        if error.status == 404:
            return KspanError(
                f"--remote: {harmless(str(error))}: name the Service of kspan with --remote=NAMESPACE/SERVICE"
            )
        return unreachable(self._connection, error)

    def _see_version(self, headers: Mapping[str, str]) -> None:
        version = headers.get(VERSION_HEADER, "")
        if not version or self._version:
            return
        self._version = version
        if version != __version__:
            print(
                f"kspan: {self._service.written} runs kspan {harmless(version)}, and this is kspan {__version__}: "
                "answers can differ",
                file=sys.stderr,
            )


@contextlib.contextmanager
def open_service(options: HistoryOptions, timing: Timing | None = None) -> Iterator[tuple[Connection, Service]]:
    """Yield the API server and the Service that ``--remote`` names. Raises SettingsError, or KspanError."""
    name = parse_remote(options.remote)
    if name is not None and name.context and options.context not in (None, name.context):
        raise SettingsError(f"--context: --remote has another one ({name.context!r}): remove one of them")
    connection = connect(options.kubeconfig, (name.context if name else "") or options.context, timing)
    with contextlib.closing(connection):
        yield connection, named_service(name) if name is not None else find_service(connection)


@contextlib.contextmanager
def open_asker(options: HistoryOptions, seconds: float) -> Iterator[ProxiedDaemon]:
    """Yield the daemon that ``--remote`` names. Raises SettingsError, or KspanError if it is not found."""
    name, token = parse_remote(options.remote), _read_token(options.token_file)
    if name is None and token:
        raise SettingsError(
            "--remote-token-file: name the Service with --remote=NAMESPACE/SERVICE: the token would be sent to "
            "whatever has the label"
        )
    timing = Timing(connect=min(seconds, Timing().connect))
    with open_service(options, timing) as (connection, service):
        daemon = ProxiedDaemon(connection, service, options.cluster, token, seconds)
        with contextlib.closing(daemon):
            yield daemon


def _problem_of(body: bytes) -> Problem | None:
    try:
        return msgspec.json.decode(body, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _is_status(body: bytes) -> bool:
    """True for an error of the API server itself."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return isinstance(found, dict) and found.get("kind") == "Status"


def _read_token(path: str | None) -> str:
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            token = file.read(_LONGEST_TOKEN + 1).decode("ascii").strip()
    except OSError as error:
        raise SettingsError(f"--remote-token-file: {path}: {why_unusable(error)}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"--remote-token-file: {path}: the token has to be ASCII") from error
    if not token or len(token) > _LONGEST_TOKEN or not token.isprintable() or " " in token:
        raise SettingsError(f"--remote-token-file: {path}: not a token")
    return token
