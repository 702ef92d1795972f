"""Helpers for tests of reflectors and watchers: short intervals, and a collector of the delivered frames."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kspan.ingest.frames import Frame
from kspan.ingest.watch import Connection, Stopped, Timing, connect
from kspan.ingest.watch.frame_sink import FrameSink
from kspan.ingest.watch.reflector import Reflector
from kspan.ingest.watch.silence import SilenceMonitor
from kspan.k8s.resources import DEFAULT, WatchTarget
from tests.limits import HANG_S

PODS = next(target for target in DEFAULT if target.resource == "v1/pods")
EVENTS = next(target for target in DEFAULT if target.resource == "v1/events")

QUICK = Timing(
    first=0.02,
    ceiling=0.1,
    shortest=0.02,
    refused=0.2,
    watch_min=2,
    watch_max=2,
    short_min=2,
    short_max=2,
    connect=2,
    answer=2,
    settle=0.02,
)

TOKEN = "secret-token"


def until(holds: Callable[[], Any], what: str) -> None:
    """Poll until a condition holds; fail after HANG_S seconds."""
    end = time.monotonic() + HANG_S
    while not holds():
        assert time.monotonic() < end, f"not within {HANG_S} s: {what}"
        time.sleep(0.005)


def kubeconfig(path: Path, url: str, token: str = TOKEN) -> str:
    """Write a kubeconfig for a server with a token; return its path."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path.write_text(json.dumps(config), encoding="utf-8")
    return str(path)


def connection_to(url: str, folder: Path, timing: Timing = QUICK) -> Connection:
    return connect(kubeconfig(folder / "kubeconfig", url), timing=timing)


class Collector:
    """Collects delivered frames and observed events. It blocks while ``gate`` is cleared."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.events: list[tuple[str, str, str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.stopped = False
        self.blocked = False

    def deliver(self, frame: Frame) -> None:
        self.blocked = not self.gate.is_set()
        self.gate.wait()
        if self.stopped:
            raise Stopped
        self.frames.append(frame)

    def restarted(self, resource: str, reason: str) -> None:
        self.events.append(("restarted", resource, reason))

    def connected(self, resource: str) -> None:
        self.events.append(("connected", resource, ""))

    def doubted(self, resource: str, reason: str) -> None:
        self.events.append(("doubted", resource, reason))

    def refused(self, resource: str, status: int) -> None:
        self.events.append(("refused", resource, str(status)))

    def reasons(self) -> list[str]:
        return [text for what, _, text in self.events if what == "restarted"]

    def doubts(self) -> list[str]:
        return [text for what, _, text in self.events if what == "doubted"]

    def of(self, resource: str) -> list[Frame]:
        return [frame for frame in list(self.frames) if frame.resource == resource]

    def words(self, resource: str = "v1/pods") -> list[str]:
        """Each frame as ``TYPE name@version`` or ``TYPE @version``."""
        return [word(frame) for frame in self.of(resource)]

    def wait(self, *words: str, resource: str = "v1/pods") -> None:
        """Wait until these were delivered, in any order."""
        until(lambda: set(words) <= set(self.words(resource)), f"{words} in {self.words(resource)}")


def word(frame: Frame) -> str:
    value = json.loads(frame.object)
    metadata = value.get("metadata", {})
    if frame.type.value == "ERROR":
        return f"ERROR {value.get('code')}"
    if frame.type.value == "NOTE":
        return f"NOTE {value['error']}"
    name = metadata.get("name", "")
    return f"{frame.type.value} {name}@{metadata['resourceVersion']}"


@contextmanager
def reflecting(
    connection: Connection,
    target: WatchTarget = PODS,
    *,
    version: str = "",
    scopes: tuple[str, ...] = ("",),
    on_reference: Callable[[str, str], None] = lambda *_: None,
    start_versions: Sequence[str] = (),
    monitor: SilenceMonitor | None = None,
) -> Iterator[Collector]:
    """Run a reflector within the context, and yield the collector of its frames."""
    collector = Collector()
    reflector = Reflector(
        connection,
        FrameSink(target, collector.deliver, on_reference, time.time_ns),
        scopes,
        version,
        collector,
        start_versions,
        monitor,
    )
    ended: list[BaseException] = []

    def run() -> None:
        try:
            reflector.run()
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield collector
    finally:
        collector.stopped = True
        collector.gate.set()
        reflector.stop()
        thread.join(HANG_S)
        connection.close()
    assert not thread.is_alive()
    assert isinstance(ended[0], Stopped), ended
