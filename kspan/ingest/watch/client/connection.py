"""Requests to an API server: the official client's configuration and TLS, but our errors and our streams of lines."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from kspan import __version__
from kspan.ingest.watch.client.credentials import ClientSettings
from kspan.ingest.watch.client.errors import (
    ApiError,
    DisconnectedError,
    KubeconfigError,
    ServerError,
    StalledError,
    TornError,
    UnauthorizedError,
    error_of,
)
from kspan.ingest.watch.client.line_splitter import LineSplitter
from kspan.ingest.watch.client.sockets import set_read_timeout
from kspan.ingest.watch.client.text import one_line
from kspan.ingest.watch.retry import Timing
from kspan.k8s.resources import WatchTarget
from kspan.k8s.strict_json import DECODE_ERRORS
from kspan.k8s.wire import ApiStatus, Page, read_head, read_page, read_status

log = logging.getLogger("kspan.watch")

CHUNK = 64 * 1024
"""Bytes that are read at once, at most. Data that has arrived is delivered without waiting for a full chunk."""

JSON = "application/json"
PROBLEM = "application/problem+json"

_ACCEPT = "Accept"
_UNAUTHORIZED = 401
_OK = (200, 201)
_KUBE_SYSTEM = "/api/v1/namespaces/kube-system"


class Reply(msgspec.Struct, frozen=True):
    """An answer. Names of headers are matched in any case."""

    headers: Mapping[str, str]
    body: bytes


class _Client(msgspec.Struct, frozen=True):
    """The official client, and the renewal of its credentials."""

    api: Any
    renew: Callable[[], str]

    @property
    def host(self) -> str:
        return str(self.api.configuration.host)

    @property
    def endpoint(self) -> tuple[str, str]:
        """The URL, and the CA that vouches for it."""
        return self.host, str(self.api.configuration.ssl_ca_cert)


class Connection:
    """Sends requests to one API server. For all threads.

    Args:
        load: returns the client's settings, or raises KubeconfigError. It is called again if the API server rejects
            the credentials, or if it cannot be reached and ``stamp`` returns another value than before.
        timing: intervals and timeouts.
        stamp: returns a value that changes when the kubeconfig changes.
    """

    def __init__(
        self, load: Callable[[], ClientSettings], timing: Timing, stamp: Callable[[], object] = lambda: None
    ) -> None:
        self.timing = timing
        self._load = load
        self._stamp = stamp
        self._lock = threading.RLock()
        self._generation = 0
        self._cluster = ""
        self._warnings: dict[str, str] = {}
        self._loaded = stamp()
        self._client = self._make_client()

    @property
    def host(self) -> str:
        """The API server's URL."""
        return self._client.host

    def find_cluster(self) -> str:
        """Return the uid of the cluster, which is that of its namespace kube-system.

        From then on, a kubeconfig that leads to another cluster is ignored.

        Raises:
            ApiError: the request failed; ServerError: the answer has no uid.
        """
        self._cluster = _uid(self.get(_KUBE_SYSTEM), _KUBE_SYSTEM)
        return self._cluster

    def get_json(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return a decoded document. Raises ApiError."""
        body = self.get(path, query)
        try:
            return msgspec.json.decode(body)
        except DECODE_ERRORS as error:
            raise ServerError(f"GET {path}: the answer is not valid JSON") from error

    def get(self, path: str, query: Mapping[str, str] | None = None, accept: str = JSON) -> bytes:
        """Return a document. Raises ApiError."""
        return _read_all(self._send(path, query or {}, {_ACCEPT: accept}, self.timing.answer), path)

    def post_json(self, path: str, document: Mapping[str, Any], seconds: float) -> Any:
        """Send a document (a review) and return the decoded answer. Raises ApiError.

        ``seconds`` is the longest time without data.
        """
        body = _read_all(self._send(path, {}, {_ACCEPT: JSON}, seconds, document), path)
        try:
            return msgspec.json.decode(body)
        except DECODE_ERRORS as error:
            raise ServerError(f"POST {path}: the answer is not valid JSON") from error

    def ask(
        self,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        seconds: float,
        document: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Send a request that is not for the API server itself, but for what it is a proxy of. Raises ApiError.

        Args:
            path: the path, percent-encoded.
            query: parameters.
            headers: headers in addition to those of every request.
            seconds: the longest time without data.
            document: what is sent in a POST; None: a GET.
        """
        response = self._send(path, query, {_ACCEPT: JSON, **headers}, seconds, document)
        return Reply(response.headers, _read_all(response, path))

    def signed(self, path: str) -> tuple[Any, str, Mapping[str, str]]:
        """Return the client's configuration, and URL and headers of a GET that others send. Raises ApiError."""
        client = self._client
        _, url, headers, *_ = self._authorized(client, path, {}, {}, None)
        return client.api.configuration, url, headers

    def list_page(
        self, target: WatchTarget, namespace: str = "", *, limit: int = 0, token: str = "", version: str = ""
    ) -> Page:
        """Return one page of a list. Raises ApiError.

        Args:
            target: the resource.
            namespace: empty for the whole cluster. A field selector may follow, after a question mark.
            limit: objects per page; 0: the whole list in one page.
            token: continues a list.
            version: list exactly this resourceVersion (not together with ``token``).
        """
        path, query = _collection(target, namespace)
        if limit:
            query["limit"] = str(limit)
        if token:
            query["continue"] = token
        elif version:
            query |= {"resourceVersion": version, "resourceVersionMatch": "Exact"}
        body = self.get(path, query, _accept(target, "List"))
        try:
            return read_page(body)
        except ValueError as error:
            raise ServerError(f"GET {path}: {error}") from error

    def watch(self, target: WatchTarget, namespace: str, version: str, timeout: int) -> "LineStream":
        """Open a watch that starts after a resourceVersion and lasts ``timeout`` seconds. Raises ApiError."""
        path, selected = _collection(target, namespace)
        query = selected | {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(timeout),
        }
        return self.stream_lines(path, query, timeout * self.timing.stall, _accept(target))

    def stream_lines(
        self,
        path: str,
        query: Mapping[str, str],
        read_timeout: float,
        accept: str = JSON,
        headers: Mapping[str, str] | None = None,
    ) -> "LineStream":
        """Open a stream of lines; ``read_timeout`` is the longest silence in seconds. Raises ApiError.

        The answer has to begin within ``Timing.open``. ``headers`` are sent in addition to those of every request.
        """
        sent = {_ACCEPT: accept, **(headers or {})}
        response = self._send(path, query, sent, min(read_timeout, self.timing.open))
        set_read_timeout(response, read_timeout)
        return LineStream(response, path)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._client.api.close()

    # requests --------------------------------------------------------------------------------------------------------

    def _send(
        self,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        read_timeout: float,
        body: Any = None,
    ) -> Any:
        """Return the response with its body unread. After a 401, retry once with reloaded credentials.

        A request with a ``body`` is a POST, others are GETs.
        """
        client, generation = self._client, self._generation
        try:
            response = self._request(client, path, query, headers, read_timeout, body)
        except DisconnectedError:
            self._reload_if_changed(generation)
            raise
        # What is behind a proxy of the API server answers with a problem (RFC 9457): other credentials do not help.
        if response.status == _UNAUTHORIZED and response.headers.get("Content-Type") != PROBLEM:
            _discard(response)
            try:
                client = self._reloaded(generation)
            except KubeconfigError as error:
                text = f"401 Unauthorized, and the credentials cannot be reloaded: {error}"
                raise UnauthorizedError(text, status=401) from error
            response = self._request(client, path, query, headers, read_timeout, body)
        if response.status not in _OK:
            raise _error_of_response(response, path)
        return response

    def _request(
        self,
        client: _Client,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        read_timeout: float,
        body: Any = None,
    ) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        request = self._authorized(client, path, query, headers, body)
        try:
            return client.api.call_api(*request, _request_timeout=(self.timing.connect, read_timeout)).response
        except ApiException as error:  # the client raises this for TLS failures
            raise DisconnectedError(f"{request[0]} {path}: {one_line(error.reason)}") from error
        except (HTTPError, OSError) as error:
            broken = _error_of_transport(error, path, request[0])
            if isinstance(broken, StalledError):
                client.api.close()  # The connections that are idle may be as dead as this one.
            raise broken from error
        except ValueError:
            # The text of this error contains the header, and thereby the token.
            raise UnauthorizedError("the token contains characters that are not allowed in a header") from None

    def _authorized(
        self, client: _Client, path: str, query: Mapping[str, str], sent: Mapping[str, str], body: Any
    ) -> Any:
        """Return the arguments of the client's ``call_api``, with credentials that are renewed if necessary."""
        # One thread at a time, as a renewal runs a plugin or sends a request.
        with self._lock:
            try:
                problem = client.renew()
                method, url, headers, *others = client.api.param_serialize(
                    "GET" if body is None else "POST",
                    path,
                    query_params=list(query.items()),
                    header_params={**sent} | ({} if body is None else {"Content-Type": JSON}),
                    body=body,
                    auth_settings=["BearerToken"],
                )
            except Exception as error:
                # Loaders raise many kinds of errors: OAuth's, those of a missing file, of a plugin.
                raise UnauthorizedError(f"the credentials cannot be renewed: {one_line(error)}") from error
            # Renewal begins five minutes before credentials expire; until then the old ones are valid.
            self._warn_once("the credentials cannot be renewed", f"{problem}; the old ones are used" if problem else "")
        for name in headers:
            if name.lower() == "authorization":
                headers[name] = headers[name].strip()  # A token file may end with a newline.
        return method, url, headers, *others

    def _warn_once(self, about: str, text: str) -> None:
        """Log a warning unless it is the same as the previous one; an empty text ends the problem."""
        if text and text != self._warnings.get(about):
            log.warning("%s: %s", about, text)
        self._warnings[about] = text

    # reloading -------------------------------------------------------------------------------------------------------

    def _make_client(self) -> _Client:
        from kubernetes.client.api_client import ApiClient

        settings = self._load()
        client = ApiClient(settings.configuration)
        client.user_agent = f"kspan/{__version__}"
        return _Client(client, settings.renew)

    def _reload_if_changed(self, generation: int) -> None:
        """Reload a changed kubeconfig for the next attempt: the API server may have a new address or CA."""
        if self._stamp() == self._loaded:
            return
        try:
            self._reloaded(generation)
        except (KubeconfigError, ApiError) as error:
            log.debug("the kubeconfig has changed, but cannot be used: %s", error)

    def _reloaded(self, generation: int) -> _Client:
        """Return a client with reloaded settings. The first thread of a generation loads it for all.

        Raises:
            KubeconfigError: there are no usable settings, or they lead to another cluster.
        """
        with self._lock:
            if generation == self._generation:
                stamp, client = self._stamp(), self._make_client()
                if self._cluster and client.endpoint != self._client.endpoint:
                    try:
                        self._check_cluster(client)
                    except BaseException:
                        client.api.close()
                        raise
                self._client.api.close()
                self._client, self._loaded = client, stamp
                self._generation += 1
            return self._client

    def _check_cluster(self, client: _Client) -> None:
        """Raise KubeconfigError if a client leads to another cluster.

        A local cluster that was deleted and created again has the same name in the kubeconfig. Its objects must not be
        mixed with those of the old cluster.

        Raises:
            ApiError: the cluster did not answer.
        """
        response = self._request(client, _KUBE_SYSTEM, {}, {_ACCEPT: JSON}, self.timing.answer)
        if response.status != 200:
            raise _error_of_response(response, _KUBE_SYSTEM)
        found = _uid(_read_all(response, _KUBE_SYSTEM), _KUBE_SYSTEM)
        if found != self._cluster:
            text = f"{client.host} is now cluster {found} instead of {self._cluster}"
            self._warn_once("the changed kubeconfig is ignored", text)
            raise KubeconfigError(text)


class LineStream:
    """The lines of a response. Iteration yields the lines that arrived together, as soon as they arrived.

    Raises StalledError, TornError (the last line was incomplete, and is dropped) or DisconnectedError.
    """

    def __init__(self, response: Any, path: str) -> None:
        self._response = response
        self._path = path

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the answer. Names are matched in any case."""
        found: Mapping[str, str] = self._response.headers
        return found

    def __iter__(self) -> Iterator[list[bytes]]:
        from urllib3.exceptions import HTTPError

        splitter = LineSplitter()
        try:
            for chunk in self._chunks():
                lines = splitter.feed(chunk)
                if lines:
                    yield lines
        except (HTTPError, OSError, ValueError) as error:
            broken = _error_of_transport(error, self._path)
            if splitter.torn and not isinstance(broken, StalledError):
                raise TornError(f"{broken}, in the middle of a line") from error
            raise broken from error
        if splitter.torn:
            raise TornError(f"GET {self._path}: the stream ended in the middle of a line")

    def _chunks(self) -> Iterator[bytes]:
        response = self._response
        if response.chunked:
            # Yields each chunk of the transfer encoding as it arrives; with one line per chunk, twice as fast as read1.
            yield from response.stream(CHUNK, decode_content=False)
            return
        # Without chunks (an old proxy), stream() would wait for the whole 64 KiB.
        while data := response.read1(CHUNK, decode_content=False):
            yield data

    def interrupt(self) -> None:
        """End the stream, from any thread."""
        try:
            self._response.shutdown()
        except (OSError, RuntimeError, ValueError):
            return  # It has ended already.

    def close(self) -> None:
        """Close the connection: one with an unread rest of an answer cannot be used again."""
        self._response.close()
        self._response.release_conn()


def _uid(body: bytes, path: str) -> str:
    try:
        return read_head("v1/namespaces", body).uid
    except ValueError as error:
        raise ServerError(f"GET {path}: {error}") from error


def _collection(target: WatchTarget, namespace: str) -> tuple[str, dict[str, str]]:
    """The URL path of a collection and its query: a namespace may have a field selector (``OF_CLUSTER_SCOPED``)."""
    name, _, selector = namespace.partition("?")
    return target.path(name), {"fieldSelector": selector} if selector else {}


def _accept(target: WatchTarget, suffix: str = "") -> str:
    return f"{JSON};as=PartialObjectMetadata{suffix};g=meta.k8s.io;v=v1" if target.metadata_only else JSON


def _read_all(response: Any, path: str) -> bytes:
    """Return the whole body, and release the connection for another request."""
    from urllib3.exceptions import HTTPError

    try:
        return bytes(response.data)
    except (HTTPError, OSError) as error:
        response.close()
        raise _error_of_transport(error, path) from error
    finally:
        response.release_conn()


def _discard(response: Any) -> None:
    response.close()
    response.release_conn()


def _error_of_response(response: Any, path: str) -> ApiError:
    try:
        body = _read_all(response, path)
    except ApiError:
        body = b""  # The HTTP status is enough.
    status = read_status(body) if body.lstrip().startswith(b"{") else ApiStatus()
    text = status.message or response.reason or "no reason given"
    after = response.headers.get("Retry-After", "")
    retry_after = float(after) if after.isdecimal() else 0.0
    return error_of(response.status, f"{response.status} {one_line(text)}", body, retry_after, response.headers)


def _error_of_transport(error: Exception, path: str, method: str = "GET") -> ApiError:
    from urllib3.exceptions import ConnectTimeoutError
    from urllib3.exceptions import TimeoutError as UrllibTimeoutError

    if isinstance(error, UrllibTimeoutError) and not isinstance(error, ConnectTimeoutError):
        return StalledError(f"{method} {path}: timed out waiting for data")
    return DisconnectedError(f"{method} {path}: {one_line(error)}")
