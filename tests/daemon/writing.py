"""Helpers for tests of the writer: frames for it, and its journal."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from kspan.daemon.writer import Writer
from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.ingest.frames import Frame, FrameType
from kspan.k8s.resources import is_watched_whole
from kspan.model import LogRecord
from kspan.pipeline.replay import find_cluster
from kspan.store import Store, open_store
from kspan.times import SECOND
from tests.recordings import Rows, recording, rows

NOW = 1_800_000_000 * SECOND
CLUSTER = "c1"


def frames_of(scenario: str) -> tuple[str, list[Frame]]:
    cluster, frames = find_cluster(read_frames([str(recording(scenario))]))
    return cluster, [frame for frame in with_marks(frames) if is_watched_whole(frame.resource)]


def with_marks(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Add the BOOKMARK that ends each list of a watcher; recordings have none."""
    version: dict[str, bytes] = {}
    for frame in frames:
        if frame.type is FrameType.LIST:
            version[frame.resource] = frame.object
        elif frame.type is not FrameType.LISTED and frame.resource in version:
            yield msgspec.structs.replace(frame, type=FrameType.BOOKMARK, object=version.pop(frame.resource))
        yield frame


def frame(kind: FrameType, resource: str = "v1/pods", name: str = "", version: int = 0, at: int = NOW) -> Frame:
    metadata = {"resourceVersion": str(version)}
    if name:
        metadata |= {"uid": f"uid-{name}", "name": name, "namespace": "default"}
    return Frame(at, resource, kind, msgspec.json.encode({"metadata": metadata}), "test", 1)


@contextmanager
def running(writer: Writer) -> Iterator[Writer]:
    writer.start()
    try:
        yield writer
    finally:
        stopped = writer.stop(30)
    assert writer.failure is None, writer.failure
    assert stopped


def deliver_all(writer: Writer, frames: Sequence[Frame]) -> None:
    for one in frames:
        writer.deliver(one)


def make(store: Store, cluster: str = CLUSTER, **options: object) -> Writer:
    return Writer(store, cluster, built_in_rules(), **options)  # type: ignore[arg-type]


def journal(store: Store, cluster: str = CLUSTER) -> list[LogRecord]:
    return [record for run in store.replay(cluster) for _, record in run]


def journalled(store: Store, cluster: str = CLUSTER) -> list[tuple[str, str, str]]:
    return [(record.type.value, record.name, record.resource_version) for record in journal(store, cluster)]


def undisturbed(cluster: str, frames: list[Frame]) -> tuple[list[LogRecord], Rows]:
    with open_store("sqlite://") as store:
        with running(make(store, cluster)) as writer:
            for one in frames:
                writer.deliver(one)
        return journal(store, cluster), rows(store, cluster)
