"""A real daemon process, and a minimal API server for it: lists, and watches that send the events a test asks for.

What an API server does when things go wrong is the business of ``tests/apiserver``; here it is about the daemon.
"""

import itertools
import json
import queue
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.limits import HANG_S
from tests.quiet_server import QuietServer

CLUSTER = "6f0f8d0e-0000-4000-8000-000000000001"
NAMESPACE = {
    "kind": "Namespace",
    "apiVersion": "v1",
    "metadata": {"name": "kube-system", "uid": CLUSTER, "resourceVersion": "1"},
}


def wait_until(holds: Callable[[], object], seconds: float = HANG_S) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def deployment(name: str, version: int, generation: int = 1) -> dict[str, Any]:
    """A Deployment without replicas: complete as soon as it is there."""
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "generation": generation,
            "creationTimestamp": "2026-11-22T10:00:00Z",
        },
        "spec": {"replicas": 0},
        "status": {"observedGeneration": generation},
    }


class SmallCluster:
    """The kube-system namespace, and the Deployments that ``create`` makes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version = 10
        self._log: list[tuple[int, dict[str, Any]]] = []
        self._watches: list[queue.SimpleQueue[tuple[int, dict[str, Any]] | None]] = []
        self.lists = 0
        handler = type("Handler", (_Handler,), {"cluster": self})
        self._server = QuietServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            for watch in self._watches:
                watch.put(None)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def create(self, name: str) -> None:
        with self._lock:
            self._version += 1
            entry = (self._version, deployment(name, self._version))
            self._log.append(entry)
            for watch in self._watches:
                watch.put(entry)

    def listed(self) -> tuple[str, list[dict[str, Any]]]:
        with self._lock:
            self.lists += 1
            return str(self._version), [found for _, found in self._log]

    @contextmanager
    def watch(self, after: int) -> Iterator[queue.SimpleQueue[tuple[int, dict[str, Any]] | None]]:
        news: queue.SimpleQueue[tuple[int, dict[str, Any]] | None] = queue.SimpleQueue()
        with self._lock:
            for entry in self._log:
                if entry[0] > after:
                    news.put(entry)
            self._watches.append(news)
        try:
            yield news
        finally:
            with self._lock:
                self._watches.remove(news)

    def kubeconfig(self, path: Path) -> Path:
        host, port = self._server.server_address[:2]
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "small",
                    "clusters": [{"name": "small", "cluster": {"server": f"http://{host!s}:{port}"}}],
                    "users": [{"name": "small", "user": {"token": "secret-token-of-the-test"}}],
                    "contexts": [{"name": "small", "context": {"cluster": "small", "user": "small"}}],
                }
            )
        )
        return path


class _Handler(BaseHTTPRequestHandler):
    cluster: SmallCluster
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/api/v1/namespaces/kube-system":
            self._document(NAMESPACE)
        elif not url.path.endswith("/deployments"):
            self._document({"kind": "Status", "status": "Failure", "code": 404, "message": "not here"}, 404)
        elif query.get("watch"):
            self._watch(int(query["resourceVersion"]))
        else:
            version, items = self.cluster.listed()
            head = {"kind": "DeploymentList", "apiVersion": "apps/v1", "metadata": {"resourceVersion": version}}
            self._document(head | {"items": items})

    def _document(self, document: object, status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _watch(self, after: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        with self.cluster.watch(after) as news:
            while (entry := news.get()) is not None:
                line = json.dumps({"type": "ADDED", "object": entry[1]}).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""


SCRIPT = """
import sys
exec(sys.argv.pop(1))
from kspan.cli import main
main()
"""


_numbers = itertools.count(1)


class Process:
    """``kspan run`` in a process of its own; ``sabotage`` is what is done to the program in it before it runs.

    Without a kubeconfig it finds out by itself. ``starter`` is a command that starts it, with its own as arguments.
    """

    def __init__(
        self,
        kubeconfig: Path | None,
        database: Path,
        export: list[str],
        sabotage: str = "",
        starter: Sequence[str] = (),
        **options: Any,
    ) -> None:
        flags = ["run", "--db", str(database)]
        if kubeconfig is not None:
            flags += ["--kubeconfig", str(kubeconfig)]
        flags += [part for target in export for part in ("--export", target)]
        for name, value in ({"listen": "127.0.0.1:0"} | options).items():
            flag = f"--{name.replace('_', '-')}"
            flags += [flag] if value is True else [flag, str(value)]
        self._log = database.with_name(f"{database.name}.{next(_numbers)}.log")
        with self._log.open("wb") as log:
            command = [*starter, sys.executable, "-W", "error", "-c", SCRIPT, sabotage, *flags]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def ends(self) -> int:
        """The exit code after SIGTERM."""
        self.process.terminate()
        return self.process.wait(HANG_S)

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines()]

    @property
    def url(self) -> str:
        """Where it listens, once it does."""
        found: list[str] = []

        def listens() -> bool:
            assert self.process.poll() is None, self.log
            found[:] = [line["message"] for line in self.lines if line["message"].startswith("listening on")]
            return bool(found)

        wait_until(listens)
        return found[-1].removeprefix("listening on ")

    def get(self, path: str) -> tuple[int, str]:
        return get(self.url + path)

    def wait_ready(self) -> None:
        wait_until(lambda: self.get("/readyz")[0] == 200)


def get(url: str) -> tuple[int, str]:
    """The status and the text of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=HANG_S) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
