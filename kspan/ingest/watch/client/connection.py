"""Raw requests through the official client: its configuration and credentials, our errors and our line splitting."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from kspan import __version__
from kspan.ingest.watch.backoff import Timing
from kspan.ingest.watch.client.credentials import overhearing
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
from kspan.k8s.resources import WatchTarget
from kspan.k8s.wire import ApiStatus, Page, read_page, read_status

log = logging.getLogger("kspan.watch")

CHUNK = 64 * 1024
"""Bytes read at once, at most: what has arrived is delivered without waiting for so much."""

JSON = "application/json"

_UNAUTHORIZED = 401
_KUBE_SYSTEM = "/api/v1/namespaces/kube-system"


class Connection:
    """An API server, and the right to ask it. For all threads.

    ``load`` makes the client's configuration; it is called again when the API server no longer knows us, or cannot be
    reached and what ``stamp`` gives (of the kubeconfig) is another than it was. Raises KubeconfigError.
    """

    def __init__(self, load: Callable[[], Any], timing: Timing, stamp: Callable[[], object] = lambda: None) -> None:
        self.timing = timing
        self._load = load
        self._stamp = stamp
        self._lock = threading.RLock()
        self._generation = 0
        self._cluster = ""
        self._told: dict[str, str] = {}
        self._loaded = stamp()
        self._client = self._make_client()

    @property
    def host(self) -> str:
        """The API server's URL."""
        return str(self._client.configuration.host)

    def find_cluster(self) -> str:
        """The uid of the cluster, which is that of its namespace kube-system. From then on no kubeconfig that changes
        leads to another one. Raises ApiError; ServerError where the answer has none."""
        self._cluster = _uid(self.get(_KUBE_SYSTEM), _KUBE_SYSTEM)
        return self._cluster

    def get_json(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """A document, decoded. Raises ApiError."""
        body = self.get(path, query)
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ServerError(f"GET {path}: the answer is no JSON") from error

    def get(self, path: str, query: Mapping[str, str] | None = None, accept: str = JSON) -> bytes:
        """A document. Raises ApiError."""
        return _read_all(self._send(path, query or {}, accept, self.timing.answer), path)

    def list_page(
        self, target: WatchTarget, namespace: str = "", *, limit: int = 0, token: str = "", version: str = ""
    ) -> Page:
        """One page of a list (``limit`` 0: all of it in one), as of ``version`` if one is given. Raises ApiError."""
        query = {"limit": str(limit)} if limit else {}
        if token:
            query["continue"] = token
        elif version:
            query |= {"resourceVersion": version, "resourceVersionMatch": "Exact"}
        body = self.get(target.path(namespace), query, _accept(target, "List"))
        try:
            return read_page(body)
        except ValueError as error:
            raise ServerError(f"GET {target.path(namespace)}: {error}") from error

    def watch(self, target: WatchTarget, namespace: str, version: str, timeout: int) -> "LineStream":
        """Opens a watch from a resourceVersion on, for ``timeout`` seconds. Raises ApiError."""
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(timeout),
        }
        return self.stream_lines(target.path(namespace), query, timeout * self.timing.stall, _accept(target))

    def stream_lines(
        self, path: str, query: Mapping[str, str], read_timeout: float, accept: str = JSON
    ) -> "LineStream":
        """Opens a stream of lines that may be silent for ``read_timeout`` seconds. Raises ApiError."""
        return LineStream(self._send(path, query, accept, read_timeout), path)

    def close(self) -> None:
        """Let go of the connections that are not in use."""
        self._client.close()

    # ------------------------------------------------------------------------------------------------------------------

    def _make_client(self) -> Any:
        from kubernetes.client.api_client import ApiClient

        client = ApiClient(self._load())
        client.user_agent = f"kspan/{__version__}"
        return client

    def _send(self, path: str, query: Mapping[str, str], accept: str, read_timeout: float) -> Any:
        """The response to a GET, its body unread. A 401 is asked again once, with credentials read afresh."""
        client, generation = self._client, self._generation
        try:
            response = self._request(client, path, query, accept, read_timeout)
        except DisconnectedError:
            self._follow(generation)
            raise
        if response.status == _UNAUTHORIZED:
            _drain(response)
            try:
                client = self._renewed(generation)
            except KubeconfigError as error:
                raise UnauthorizedError(f"the API server does not know us, and {error}", status=401) from error
            response = self._request(client, path, query, accept, read_timeout)
        if response.status != 200:
            raise _failure(response, path)
        return response

    def _request(self, client: Any, path: str, query: Mapping[str, str], accept: str, read_timeout: float) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        request = self._authorized(client, path, query, accept)
        try:
            return client.call_api(*request, _request_timeout=(self.timing.connect, read_timeout)).response
        except ApiException as error:  # the client's own word for a TLS failure
            raise DisconnectedError(f"GET {path}: {_text(error.reason)}") from error
        except (HTTPError, OSError) as error:
            raise _broken(error, path) from error
        except ValueError:
            # Without its text, which has the header in it.
            raise UnauthorizedError("the token has characters in it that no token can have") from None

    def _authorized(self, client: Any, path: str, query: Mapping[str, str], accept: str) -> Any:
        # One at a time: this refreshes what has expired, by a plugin's process or an OAuth request.
        with self._lock, overhearing() as complaints:
            try:
                method, url, headers, *others = client.param_serialize(
                    "GET",
                    path,
                    query_params=list(query.items()),
                    header_params={"Accept": accept},
                    auth_settings=["BearerToken"],
                )
            except Exception as error:
                # Hooks of the loaders raise anything: OAuth's errors, a file that is gone, a plugin's exit.
                raise UnauthorizedError(f"the credentials cannot be refreshed: {_text(error)}") from error
            # For as long as they are good: the client asks five minutes before they expire.
            self._warn(
                "the credentials cannot be refreshed",
                f"{_text(complaints[0])}; going on with the old ones" if complaints else "",
            )
        for name in headers:
            if name.lower() == "authorization":
                headers[name] = headers[name].strip()  # A token's file may end with a newline.
        return method, url, headers, *others

    def _warn(self, about: str, text: str) -> None:
        """Says it once, until it is another (empty: nothing is wrong)."""
        if text and text != self._told.get(about):
            log.warning("%s: %s", about, text)
        self._told[about] = text

    def _follow(self, generation: int) -> None:
        """Reads the kubeconfig for the next try if it is another by now: the API server may have moved, or have a new
        CA."""
        if self._stamp() == self._loaded:
            return
        try:
            self._renewed(generation)
        except (KubeconfigError, ApiError) as error:
            log.debug("the kubeconfig has changed, but does not help: %s", error)

    def _renewed(self, generation: int) -> Any:
        """The client with its configuration loaded anew, by whichever thread came first. Raises KubeconfigError."""
        with self._lock:
            if generation == self._generation:
                stamp, client = self._stamp(), self._make_client()
                if self._cluster and _place(client) != _place(self._client):
                    try:
                        self._recognize(client)
                    except BaseException:
                        client.close()
                        raise
                self._client.close()
                self._client, self._loaded = client, stamp
                self._generation += 1
            return self._client

    def _recognize(self, client: Any) -> None:
        """Raises KubeconfigError where a client leads to another cluster: one that was made anew has the name of the
        old one in the kubeconfig, and its objects would be taken for those of the old one. Raises ApiError."""
        response = self._request(client, _KUBE_SYSTEM, {}, JSON, self.timing.answer)
        if response.status != 200:
            raise _failure(response, _KUBE_SYSTEM)
        found = _uid(_read_all(response, _KUBE_SYSTEM), _KUBE_SYSTEM)
        if found != self._cluster:
            text = f"{client.configuration.host} is cluster {found} by now, and not {self._cluster}"
            self._warn("the kubeconfig is not followed", text)
            raise KubeconfigError(text)


class LineStream:
    """The lines of a response: iterating gives those that arrived together, as soon as they did.

    Raises StalledError, TornError (the last line had no end, and is dropped) or DisconnectedError.
    """

    def __init__(self, response: Any, path: str) -> None:
        self._response = response
        self._path = path

    def __iter__(self) -> Iterator[list[bytes]]:
        from urllib3.exceptions import HTTPError

        splitter = LineSplitter()
        try:
            for chunk in self._chunks():
                lines = splitter.feed(chunk)
                if lines:
                    yield lines
        except (HTTPError, OSError, ValueError) as error:
            broken = _broken(error, self._path)
            if splitter.torn and not isinstance(broken, StalledError):
                raise TornError(f"{broken}, in the middle of a line") from error
            raise broken from error
        if splitter.torn:
            raise TornError(f"GET {self._path}: the stream ended in the middle of a line")

    def _chunks(self) -> Iterator[bytes]:
        response = self._response
        if response.chunked:
            # Gives each chunk of the transfer encoding as it comes; twice as fast as read1 with one line in each.
            yield from response.stream(CHUNK, decode_content=False)
            return
        # Without chunks (an old proxy), stream() would wait for the whole 64 KiB.
        while data := response.read1(CHUNK, decode_content=False):
            yield data

    def interrupt(self) -> None:
        """End it, from any thread."""
        try:
            self._response.shutdown()
        except (OSError, RuntimeError, ValueError):
            return  # It is at its end already.

    def close(self) -> None:
        """Let go of the connection; one whose answer was not read to its end cannot be used again."""
        self._response.close()
        self._response.release_conn()


def _place(client: Any) -> tuple[str, str]:
    """Where a client leads to: a URL, and who vouches for it."""
    return str(client.configuration.host), str(client.configuration.ssl_ca_cert)


def _uid(body: bytes, path: str) -> str:
    try:
        return str(msgspec.json.decode(body)["metadata"]["uid"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError) as error:
        raise ServerError(f"GET {path}: the answer has no uid") from error


def _accept(target: WatchTarget, suffix: str = "") -> str:
    return f"{JSON};as=PartialObjectMetadata{suffix};g=meta.k8s.io;v=v1" if target.metadata_only else JSON


def _read_all(response: Any, path: str) -> bytes:
    """The whole body; the connection is free for another request then."""
    from urllib3.exceptions import HTTPError

    try:
        return bytes(response.data)
    except (HTTPError, OSError) as error:
        response.close()
        raise _broken(error, path) from error
    finally:
        response.release_conn()


def _drain(response: Any) -> None:
    response.close()
    response.release_conn()


def _failure(response: Any, path: str) -> ApiError:
    try:
        body = _read_all(response, path)
    except ApiError:
        body = b""  # The status is what counts.
    status = read_status(body) if body.lstrip().startswith(b"{") else ApiStatus()
    text = status.message or response.reason or "no reason given"
    after = response.headers.get("Retry-After", "")
    return error_of(
        response.status, f"{response.status} {_text(text)}", body, float(after) if after.isdecimal() else 0.0
    )


def _broken(error: Exception, path: str) -> ApiError:
    from urllib3.exceptions import ConnectTimeoutError
    from urllib3.exceptions import TimeoutError as UrllibTimeoutError

    if isinstance(error, UrllibTimeoutError) and not isinstance(error, ConnectTimeoutError):
        return StalledError(f"GET {path}: nothing came for too long")
    return DisconnectedError(f"GET {path}: {_text(error)}")


def _text(error: object) -> str:
    """One line, of a length for a log."""
    return " ".join(str(error).split())[:300] or type(error).__name__
