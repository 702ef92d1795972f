"""A real daemon whose watch of Events is open and silent, against a real API server."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from kspan.daemon.daemon import Daemon, Options, WatchEvents
from kspan.daemon.metrics import Metrics
from kspan.daemon.watermark import BRIEF, Watermark
from kspan.graph import built_in_rules
from kspan.ingest.frames import Frame
from kspan.ingest.watch import Selection, Timing, Watcher, connect
from kspan.model import Cursor
from kspan.settings import FoldSettings
from kspan.store import Store, open_store
from kspan.times import SECOND
from tests.apiserver import ApiServer, Stall
from tests.daemon.small_cluster import deployment, wait_until
from tests.daemon.writing import journalled
from tests.ingest.watch.watching import QUICK

DEPLOYMENTS = "apps/v1/deployments"
EVENTS = "v1/events"

# Silence is noticed after a second. Nothing else ends a watch or a request.
TIMING: Timing = msgspec.structs.replace(
    QUICK, watch_min=600, watch_max=600, short_min=600, short_max=600, silent=1.0, check=0.02, answer=600
)
SETTINGS = FoldSettings(hold=SECOND, settle=10 * SECOND)


class Clock:
    """The time of the machine, and the seconds by which the test has moved it."""

    def __init__(self) -> None:
        self.moved = 0

    def __call__(self) -> int:
        return time.time_ns() + self.moved * SECOND


@contextmanager
def running(server: ApiServer, store: Store, folder: Path, clock: Clock) -> Iterator[Daemon]:
    connection = connect(str(server.kubeconfig(folder / "kubeconfig")), timing=TIMING)

    def make_watcher(deliver: Callable[[Frame], None], cursors: Mapping[str, Cursor], observer: WatchEvents) -> Watcher:
        return Watcher(connection, Selection(("deployments", "events")), deliver, cursors, observer, clock)

    metrics = Metrics()
    options = Options(tick_s=0.05, settings=SETTINGS)
    daemon = Daemon(store, server.cluster_uid, built_in_rules(), [], options, metrics, make_watcher, clock)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop(time.monotonic() + 60)
        connection.close()
    assert daemon.writer.failure is None


def event(name: str, about: Mapping[str, Any], reason: str) -> dict[str, Any]:
    metadata = about["metadata"]
    subject = {"kind": "Deployment", "apiVersion": "apps/v1"}
    subject |= {key: metadata[key] for key in ("namespace", "name", "uid", "resourceVersion")}
    return {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": subject,
        "reason": reason,
        "type": "Normal",
        "source": {"component": "some-controller"},
    }


def create(server: ApiServer, name: str) -> dict[str, Any]:
    server.put(DEPLOYMENTS, deployment(name, 0))
    found = server.get(DEPLOYMENTS, "default", name)
    assert found is not None
    return found


def traces(store: Store, cluster: str, name: str) -> list[tuple[str, str]]:
    """Trace id and reason of each span about this Deployment."""
    rows = [row for row in store.projection_rows(cluster, "spans") if row["object_name"] == name]
    return sorted((row["trace_id"], row["reason"]) for row in rows)


def closed(store: Store, cluster: str) -> int:
    return sum(bool(row["closed_at"]) for row in store.projection_rows(cluster, "traces"))


def test_event_time_is_held_back_while_a_watch_that_ended_by_itself_is_not_open_again() -> None:
    watermark, now = Watermark(SETTINGS.hold), [1_000 * SECOND]
    events = WatchEvents(Metrics(), watermark, lambda: now[0])
    for resource in (DEPLOYMENTS, EVENTS):
        events.connected(resource)
    watermark.synced(0)
    events.restarted(EVENTS, "timeout")
    assert not watermark.is_held_back(now[0] + BRIEF)
    assert watermark.is_held_back(now[0] + BRIEF + 1)
    now[0] += 20 * SECOND
    events.connected(EVENTS)
    assert watermark.is_held_back(now[0] + SETTINGS.hold - 1)
    assert not watermark.is_held_back(now[0] + SETTINGS.hold)


def test_an_event_during_a_silence_is_in_its_trace_which_was_not_closed_meanwhile(tmp_path: Path) -> None:
    clock = Clock()
    with ApiServer(clock=clock) as server, open_store(str(tmp_path / "db")) as store:
        cluster = server.cluster_uid

        def is_journalled(name: str) -> bool:
            return any(found == name for _, found, _ in journalled(store, cluster))

        with running(server, store, tmp_path, clock) as daemon:
            wait_until(lambda: not daemon.problems() and server.open_watches(EVENTS))
            list_hangs = server.faults.add(Stall(), EVENTS, "list")
            watch_hangs = server.faults.add(Stall(), EVENTS, "watch", times=1)
            wait_until(lambda: watch_hangs.hits)
            web = create(server, "web")
            server.put(EVENTS, event("missed", web, "Checked"))
            # It is noticed, but the stream cannot be opened again yet.
            wait_until(lambda: list_hangs.hits)
            wait_until(lambda: is_journalled("web"))
            assert not is_journalled("missed")

            clock.moved = 30
            daemon.writer.tick(clock())
            create(server, "later")
            wait_until(lambda: is_journalled("later"))
            assert closed(store, cluster) == 0

            list_hangs.lift()
            wait_until(lambda: is_journalled("missed"))
            clock.moved = 3_600
            wait_until(lambda: closed(store, cluster) == 2)
        ids = {trace_id for trace_id, _ in traces(store, cluster, "web")}
        assert len(ids) == 1
        assert [reason for _, reason in traces(store, cluster, "web")] == ["Checked", "Create"]
        text = daemon.writer.metrics.text()[0].decode()
        assert 'kspan_watch_reopened_total{reason="siblings-advanced",resource="v1/events"} 1.0' in text
        assert not [kind for kind, _, _ in journalled(store, cluster) if kind == "GAP"]
