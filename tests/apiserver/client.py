"""The official client for the server's tests: it builds the requests, and the responses are raw."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from kubernetes import client, config

TIMEOUT = 20.0
"""Seconds without a byte after which a test has failed."""

METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class Answer(NamedTuple):
    """``text`` is the raw body, ``body`` the decoded JSON."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.body["items"]]

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])


class Client:
    """A client for one kubeconfig. A context manager: closes its connections."""

    def __init__(self, kubeconfig: Path) -> None:
        # The client's annotations are incomplete and partly wrong.
        load: Any = config.load_kube_config
        configuration: Any = client.Configuration()
        load(str(kubeconfig), client_configuration=configuration)
        configuration.retries = False  # urllib3 would itself wait for a Retry-After and retry
        self.api: Any = client.ApiClient(configuration)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.api.rest_client.pool_manager.clear()

    def call(
        self, path: str, method: str = "GET", body: Any = None, accept: str = "application/json", **params: Any
    ) -> Answer:
        response = self.send(path, method, body, accept, **params)
        text = response.read().decode()
        headers = {name.lower(): value for name, value in response.headers.items()}
        response.release_conn()
        return Answer(response.status, text, headers)

    def send(
        self, path: str, method: str = "GET", body: Any = None, accept: str = "application/json", **params: Any
    ) -> Any:
        """Return the response of urllib3, not read yet."""
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
        request = self.api.param_serialize(
            method,
            path,
            query_params=[(name, str(value)) for name, value in params.items()],
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        return self.api.call_api(*request, _request_timeout=(5, TIMEOUT)).response

    @contextmanager
    def watch(self, path: str, accept: str = "application/json", **params: Any) -> Iterator["WatchLines"]:
        response = self.send(path, accept=accept, watch="true", **params)
        try:
            yield WatchLines(response)
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                response.close()


class WatchLines:
    """The lines of a watch. ``torn`` is the incomplete rest after the last whole line."""

    def __init__(self, response: Any) -> None:
        self.status: int = response.status
        self.torn = b""
        self._chunks: Iterator[bytes] = response.stream(65536, decode_content=False)
        self._lines: list[bytes] = []

    def line(self) -> bytes | None:
        """Return the next line; None at the end of the stream. Raises an error of urllib3 if the connection breaks."""
        while not self._lines:
            chunk = next(self._chunks, None)
            if chunk is None:
                return None
            *self._lines, self.torn = (self.torn + chunk).split(b"\n")
        return self._lines.pop(0)

    def next(self) -> tuple[str, Any]:
        """(type, object) of the next line."""
        text = self.line()
        assert text is not None, "the watch has ended"
        event = json.loads(text)
        return event["type"], event["object"]

    def summary(self, count: int) -> list[tuple[str, str]]:
        """(type, name) of the next lines."""
        return [(kind, obj["metadata"].get("name", "")) for kind, obj in (self.next() for _ in range(count))]

    def until(self, name: str) -> list[tuple[str, Any]]:
        """Everything before the first line about the object of this name."""
        return list(takewhile(lambda event: event[1]["metadata"].get("name") != name, iter(self.next, None)))

    def rest(self) -> list[tuple[str, Any]]:
        """Everything up to the end of the stream."""
        events = []
        while (text := self.line()) is not None:
            event = json.loads(text)
            events.append((event["type"], event["object"]))
        return events
