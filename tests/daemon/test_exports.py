"""Export jobs: retries, their log, and the last attempt when the daemon stops."""

import logging
import threading
from collections.abc import Iterator, Sequence

import pytest

from kspan.daemon.exports import ExportJob, finish_all
from kspan.daemon.metrics import Metrics
from kspan.emit.export_queue import ExportQueue, ExportResult, TraceSpans
from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.pipeline.projector import Projector
from kspan.store import Store, open_store
from kspan.times import SECOND
from tests.daemon.small_cluster import wait_until
from tests.recordings import journal, project

NOW = 1_800_000_000 * SECOND


class Receiver:
    """An exporter whose receiver is up, down, or hangs."""

    def __init__(self) -> None:
        self.down = ""
        self.retry_after = 0.0
        self.hang = threading.Event()
        self.hang.set()
        self.taken: list[str] = []
        self.tries = 0

    def export(self, traces: Sequence[TraceSpans]) -> ExportResult:
        self.tries += 1
        self.hang.wait()
        if self.down:
            return ExportResult(reason=self.down, retry_after=self.retry_after)
        self.taken += [trace.trace_id for trace, _ in traces]
        return ExportResult(accepted=[trace.trace_id for trace, _ in traces])

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture(scope="module")
def filled() -> Iterator[tuple[Store, str, list[str]]]:
    """A store with closed traces: (store, cluster, trace ids)."""
    cluster, records = journal("01-deployment-create")
    expected = sorted(row["trace_id"] for row in project(cluster, records)["traces"])
    with open_store("sqlite://") as store:
        projector = Projector(store, cluster, built_in_rules())
        projector.add(JournalBatch([record]) for record in records)
        projector.run_out()
        yield store, cluster, expected


def test_a_receiver_that_is_down_is_tried_less_and_less_often_and_then_gets_everything(
    filled: tuple[Store, str, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store, cluster, expected = filled
    receiver, metrics, clock = Receiver(), Metrics(), [0.0]
    receiver.down = "connection refused"
    export = ExportJob(ExportQueue(store, cluster, "one", receiver), "one", metrics, lambda: clock[0])
    tries = []
    for _ in range(300):
        before = receiver.tries
        export.run(NOW)
        if receiver.tries > before:
            tries.append(clock[0])
        clock[0] += 1
    assert tries == [0, 2, 6, 14, 30, 62, 122, 182, 242]
    receiver.down = ""
    clock[0] += 60
    export.run(NOW)
    assert sorted(receiver.taken) == expected
    assert metrics.registry.get_sample_value("kspan_failed_exports_total", {"target": "one"}) == len(tries)
    assert metrics.registry.get_sample_value("kspan_emitted_traces_total", {"target": "one"}) == len(expected)
    assert [record.getMessage() for record in caplog.records if record.name == "kspan.daemon.exports"] == [
        "export to one failing, will retry: connection refused",
        "one accepts traces again",
    ]


def test_the_last_attempt_at_a_receiver_is_not_delayed_by_another_that_hangs(
    filled: tuple[Store, str, list[str]],
) -> None:
    store, cluster, expected = filled
    good, hanging, metrics = Receiver(), Receiver(), Metrics()
    hanging.hang.clear()
    exports = [
        ExportJob(ExportQueue(store, cluster, "good", good), "good", metrics),
        ExportJob(ExportQueue(store, cluster, "hanging", hanging), "hanging", metrics),
    ]
    assert not finish_all(exports, NOW, 0.5)
    assert sorted(good.taken) == expected
    exports[0].run(NOW)
    assert good.tries == 1
    hanging.hang.set()
    wait_until(lambda: hanging.taken)


def test_a_receiver_that_asks_for_more_time_gets_it(filled: tuple[Store, str, list[str]]) -> None:
    store, cluster, _ = filled
    receiver, clock = Receiver(), [0.0]
    receiver.down, receiver.retry_after = "429 Too Many Requests", 37.0
    export = ExportJob(ExportQueue(store, cluster, "patient", receiver), "patient", Metrics(), lambda: clock[0])
    export.run(NOW)
    for clock[0] in (36.0, 37.0):
        export.run(NOW)
    assert receiver.tries == 2
