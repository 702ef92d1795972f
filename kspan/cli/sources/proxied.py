"""Asks a daemon through the API server: its proxy of Services, or else a forwarded port."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import msgspec

from kspan import __version__
from kspan.cli.remote_option import parse_remote
from kspan.cli.sources.forwarded import ForwardedPort, find_port
from kspan.cli.sources.services import Service, error_of_status, find_service, named_service, no_proxy, unreachable
from kspan.cli.sources.source import HistoryOptions
from kspan.cli.token_file import read_token
from kspan.errors import KspanError, QueryError, SettingsError
from kspan.ingest.watch.client.connection import Connection, Reply
from kspan.ingest.watch.client.errors import ApiError, ForbiddenError
from kspan.ingest.watch.client.kubeconfig import connect
from kspan.ingest.watch.retry import Timing
from kspan.terminal.text import harmless
from kspan.web.v1.wire import (
    BEAT_S,
    CLUSTER_HEADER,
    EVENTS,
    NO_ADDRESS,
    STATEMENTS,
    TOKEN_HEADER,
    VERSION_HEADER,
    Problem,
)

SECONDS: Final = 60.0
"""Longest time without data. The daemon stops a question after 10 s."""

SILENT_S: Final = 3 * BEAT_S
"""Longest time without data in a stream."""

_NO_HTTP: Final = "error trying to reach service"
"""How the API server says that what is behind a Service did not answer (apimachinery pkg/util/proxy/transport.go)."""

Answer = TypeVar("Answer")
Answered = TypeVar("Answered", "Reply", "Lines")

_GZIP: Final = {"Accept-Encoding": "gzip"}


class Lines(Protocol):
    """The lines of an answer without an end. Iteration raises ApiError."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the answer."""
        ...

    def __iter__(self) -> Iterator[list[bytes]]: ...

    def close(self) -> object:
        """Close the connection."""
        ...


class Way(Protocol):
    """A way to a daemon."""

    def send(self, path: str, query: Mapping[str, str], headers: Mapping[str, str], document: Any = None) -> Reply:
        """Return the answer of the daemon, whose status is 200; with a document, POST it. Raises ApiError."""
        ...

    def stream(self, path: str, query: Mapping[str, str], headers: Mapping[str, str], seconds: float) -> Lines:
        """Return an answer without an end, in which no silence is longer than ``seconds``. Raises ApiError."""
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

    def stream(self, path: str, query: Mapping[str, str], headers: Mapping[str, str], seconds: float) -> Lines:
        return self._connection.stream_lines(self._service.proxy + path, query, seconds, EVENTS, headers)

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

    def get(self, path: str, query: Mapping[str, str], kind: type[Answer]) -> Answer:
        """Return an answer. Raises QueryError for what does not exist, and KspanError."""
        asked = self._about(query)
        reply = self._send("get", path, lambda way, headers: way.send(path, asked, headers | _GZIP))
        return self.decode(path, reply.body, kind)

    def post(self, path: str, document: Any, kind: type[Answer]) -> Answer:
        """Return the answer to a document. Raises QueryError, KspanError."""
        reply = self._send(
            "create", path, lambda way, headers: way.send(path, self._about({}), headers | _GZIP, document)
        )
        return self.decode(path, reply.body, kind)

    @contextlib.contextmanager
    def stream(self, path: str, query: Mapping[str, str], last_id: str) -> Iterator[Iterator[list[bytes]]]:
        """Yield the lines of a stream of events, which continues after the event ``last_id`` (empty: it begins).

        Raises KspanError; UnansweredError also while the lines are read.
        """
        more = {"Last-Event-ID": last_id} if last_id else {}
        lines = self._send(
            "get", path, lambda way, headers: way.stream(path, self._about(query), headers | more, SILENT_S)
        )
        with contextlib.closing(lines):
            try:
                yield iter(lines)
            except ApiError as error:
                raise unreachable(self._connection, error) from error

    def decode(self, path: str, body: bytes, kind: type[Answer]) -> Answer:
        """Return an answer as a value. Raises KspanError."""
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self.unreadable(path, str(error)) from error

    def unreadable(self, path: str, reason: str) -> KspanError:
        """Return the error for an answer that is not as expected."""
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

    def _about(self, query: Mapping[str, str]) -> Mapping[str, str]:
        return {"cluster": self._wanted, **query} if self._wanted else query

    def _send(self, verb: str, path: str, send: Callable[[Way, dict[str, str]], Answered]) -> Answered:
        """Return what a way answers. ``verb`` is the right that it takes."""
        try:
            reply = send(self._way, {TOKEN_HEADER: self._token} if self._token else {})
        except ApiError as error:
            problem = _problem_of(error.body)
            if problem is None and isinstance(error, ForbiddenError) and isinstance(self._way, _Proxy):
                self._way = self._forwarded(error, verb)
                return self._send(verb, path, send)
            self._see_version(error.headers)
            raise self._error(problem, error, path) from error
        self._see_version(reply.headers)
        self.cluster = reply.headers.get(CLUSTER_HEADER, "") or self.cluster
        return reply

    def _forwarded(self, refused: ForbiddenError, verb: str) -> Way:
        """Return a forwarded port, because the proxy is forbidden. Raises KspanError if there is none."""
        tls = self._service.scheme == "https"
        way = ForwardedPort(lambda: find_port(self._connection, self._service), tls=tls, seconds=self._seconds)
        also = ", nor find its Pod to forward a port (get services, list pods)"
        try:
            way.find()
            also = ", nor create pods/portforward"
            way.open()
        except ForbiddenError as error:
            raise no_proxy(self._service, refused, verb, also) from error
        except ApiError as error:
            raise unreachable(self._connection, error) from error
        return way

    def _error(self, problem: Problem | None, error: ApiError, path: str) -> KspanError:
        if problem is None:
            if error.status in (502, 503) or not error.status or error.status == 401 or self._version:
                return unreachable(self._connection, error, self._hint(error))
            return self.unreadable(path, str(error)) if not _is_status(error.body) else self._refused(error)
        detail = harmless(problem.detail)
        if problem.status == 401:
            return KspanError(
                f"--remote: {self._service.written} wants a token: give its file with --remote-token-file; with "
                "--auth kubernetes it is one of yours: kubectl create token NAME > FILE"
            )
        if problem.status == 404 and detail.startswith(NO_ADDRESS):
            return self.unreadable(path, f"{path} is unknown to it")
        if problem.status == 404 or (problem.status == 400 and path == STATEMENTS):
            return QueryError(detail)
        return error_of_status(problem.status, f"--remote: {self._service.written}: {detail}")

    def _hint(self, error: ApiError) -> str:
        """Say how a Service with TLS is named, if the API server could not talk to it."""
        if error.status != 503 or _NO_HTTP not in str(error) or self._service.scheme == "https":
            return ""
        return f"; a Service with TLS is named --remote={self._service.namespace}/https:{self._service.name}"

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
def open_asker(options: HistoryOptions, seconds: float = SECONDS) -> Iterator[ProxiedDaemon]:
    """Yield the daemon that ``--remote`` names; an answer may take ``seconds``.

    Raises SettingsError, or KspanError if it is not found.
    """
    name, token = parse_remote(options.remote), _token(options.token_file)
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


def _token(path: str | None) -> str:
    if not path:
        return ""
    return read_token(Path(path), f"--remote-token-file: {path}", shortest=1, wrong="not a token")
