"""Asks a daemon over a forwarded port."""

import contextlib
import http.client
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from kspan.cli.sources.services import LABEL, Service, UnansweredError
from kspan.errors import KspanError
from kspan.ingest.watch.client.connection import CHUNK, Connection, Reply
from kspan.ingest.watch.client.errors import ApiError, DisconnectedError, error_of
from kspan.ingest.watch.client.line_splitter import LineSplitter
from kspan.ingest.watch.client.port_forward import PodPort, Tunnel
from kspan.ingest.watch.client.text import one_line
from kspan.web.v1.wire import EVENTS

_HOST: Final = "localhost"
"""The name by which the daemon is addressed: it accepts it on every address."""

_OK: Final = (200, 201)
_ENDED: Final = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""Errors that show that the other side has closed the connection."""


def find_port(connection: Connection, service: Service) -> PodPort:
    """Return the port of a Pod that is ready behind a Service. Raises ApiError, or KspanError if there is none."""
    spec = connection.get_json(service.path).get("spec") or {}
    selector = spec.get("selector") or {}
    labels = ",".join(f"{name}={value}" for name, value in sorted(selector.items())) or LABEL
    path = f"/api/v1/namespaces/{service.namespace}/pods"
    pods = connection.get_json(path, {"labelSelector": labels}).get("items") or []
    pod = next(filter(_is_ready, pods), None)
    if pod is None:
        raise UnansweredError(f"--remote: no Pod behind {service.written} is ready")
    ports: list[Any] = spec.get("ports") or []
    target: Any = next((each for each in ports if service.port in (each.get("name"), str(each["port"]))), {})
    return PodPort(connection, service.namespace, pod["metadata"]["name"], _number(pod, target, service))


def _is_ready(pod: Any) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _number(pod: Any, target: Any, service: Service) -> int:
    wanted = target.get("targetPort", target.get("port"))
    if isinstance(wanted, int):
        return wanted
    for container in pod["spec"]["containers"] if wanted else []:
        for port in container.get("ports") or []:
            if port.get("name") == wanted:
                return int(port["containerPort"])
    raise KspanError(f"--remote: the Service {service.written} has no port {service.port!r}")


class ForwardedPort:
    """A way to a daemon: HTTP over a forwarded port. It keeps one connection, and streams have one of their own.

    Args:
        find: finds the port of a Pod. It is called for each connection, because the Pod may have been replaced.
        tls: the daemon speaks TLS.
        seconds: the longest time without data.
    """

    def __init__(self, find: Callable[[], PodPort], *, tls: bool, seconds: float) -> None:
        self._find = find
        self._found: PodPort | None = None
        self._tls = tls
        self._seconds = seconds
        self._client: _Client | None = None

    def find(self) -> None:
        """Find the port for the next connection. Raises ApiError, or KspanError if there is none."""
        self._found = self._find()

    def open(self) -> None:
        """Connect. Raises ApiError, KspanError."""
        self._client = self._connect(self._seconds)

    def _connect(self, seconds: float) -> "_Client":
        port, self._found = self._found or self._find(), None
        client = _Client(port, tls=self._tls, seconds=seconds)
        try:
            client.connect()
        except OSError as error:
            client.end()
            raise DisconnectedError(f"no TLS over a forwarded port: {one_line(error)}") from error
        return client

    def send(self, path: str, query: Mapping[str, str], headers: Mapping[str, str], document: Any = None) -> Reply:
        """See Way."""
        method, body = ("GET", None) if document is None else ("POST", msgspec.json.encode(document))
        sent = {"Accept": "application/json", **headers} | (
            {} if body is None else {"Content-Type": "application/json"}
        )
        sent.pop("Accept-Encoding", None)
        target = f"{path}?{urlencode(query)}" if query else path
        was_kept = self._client is not None
        try:
            try:
                response, found = self._ask(method, target, body, sent)
            except _ENDED:
                # The daemon closes connections that were idle. Questions only read, so they can be asked again.
                if not was_kept:
                    raise
                self.close()
                response, found = self._ask(method, target, body, sent)
        except (http.client.HTTPException, OSError) as error:
            reason = self.close()
            raise _broken(path, reason, error, method) from error
        known = http_headers(response)
        if response.status not in _OK:
            raise error_of(response.status, f"{response.status} {one_line(response.reason)}", found, headers=known)
        return Reply(known, found)

    def stream(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], seconds: float
    ) -> "ForwardedStream":
        """See Way."""
        client = self._connect(seconds)
        try:
            client.request("GET", f"{path}?{urlencode(query)}", headers={"Accept": EVENTS, **headers})
            response = client.getresponse()
            known = http_headers(response)
            if response.status not in _OK:
                text, body = f"{response.status} {one_line(response.reason)}", response.read()
                raise error_of(response.status, text, body, headers=known)
        except (http.client.HTTPException, OSError) as error:
            raise _broken(path, client.end(), error) from error
        except ApiError:
            client.end()
            raise
        return ForwardedStream(client, response, path)

    def _ask(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        if self._client is None:
            self.open()
        client = self._client
        assert client is not None
        client.request(method, target, body, headers)
        response = client.getresponse()
        found = response.read()
        if response.will_close:
            self.close()
        return response, found

    def close(self) -> str:
        """Close the connection. Return what the Pod's node said was wrong with it."""
        client, self._client = self._client, None
        return client.end() if client is not None else ""


class ForwardedStream:
    """The lines of an answer over a forwarded port. Iteration yields those that arrived together."""

    def __init__(self, client: "_Client", response: http.client.HTTPResponse, path: str) -> None:
        self.headers = http_headers(response)
        self._client = client
        self._response = response
        self._path = path

    def __iter__(self) -> Iterator[list[bytes]]:
        splitter = LineSplitter()
        try:
            while chunk := self._response.read1(CHUNK):
                if lines := splitter.feed(chunk):
                    yield lines
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise _broken(self._path, self.close(), error) from error

    def close(self) -> str:
        """Close the connection. Return what the Pod's node said was wrong with it."""
        return self._client.end()


def _broken(path: str, reason: str, error: Exception, method: str = "GET") -> DisconnectedError:
    """Return the error for a connection that broke. ``reason`` is what the Pod's node said."""
    return DisconnectedError(f"{method} {path} over a forwarded port: {reason or one_line(error)}")


def http_headers(response: http.client.HTTPResponse) -> Mapping[str, str]:
    """Return the headers, whose names are matched in any case."""
    from urllib3 import HTTPHeaderDict

    return HTTPHeaderDict(response.getheaders())


class _Client(http.client.HTTPConnection):
    def __init__(self, port: PodPort, *, tls: bool, seconds: float) -> None:
        super().__init__(_HOST, timeout=seconds)
        self._forwarded = port
        self._tls = tls
        self._tunnel: Tunnel | None = None
        self._opened: socket.socket | None = None

    def connect(self) -> None:
        """Connect through a tunnel. Raises ApiError."""
        mine, other = socket.socketpair()
        try:
            self._tunnel = self._forwarded.connect(other)
        except ApiError:
            mine.close()
            other.close()
            raise
        mine.settimeout(self.timeout)
        if self._tls:
            # As the API server's own proxy: the name in the certificate is that of the Service, if any.
            context = ssl._create_unverified_context()  # noqa: SLF001
            self.sock = context.wrap_socket(mine, server_hostname=_HOST)
        else:
            self.sock = mine
        self._opened = self.sock

    def end(self) -> str:
        """Close the connection. Return what the Pod's node said was wrong with it.

        ``close`` is also called by http.client, while the last answer is still to be read.
        """
        # An answer that was not read to its end keeps the socket open.
        if self._opened is not None:
            with contextlib.suppress(OSError):
                self._opened.shutdown(socket.SHUT_RDWR)
        self.close()
        if self._tunnel is None:
            return ""
        self._tunnel.join()
        return self._tunnel.error
