"""Notices of the fold in the daemon's metrics and log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from kspan.daemon.metrics import Metrics
from kspan.daemon.writer import Writer
from kspan.graph import Rules, built_in_rules, parse_rules
from kspan.ingest.frames import Frame, FrameType
from kspan.pipeline.projector import Projector
from kspan.pipeline.rebuild import rebuild
from kspan.store import Store, open_store
from kspan.times import SECOND

NOW = 1_800_000_000 * SECOND
CLUSTER = "c1"
INVALID = "kspan_invalid_trace_contexts_total"

OTHERS = """
[[rule]]
name = "controller-creates-pod"
enabled = false
"""


def applied(name: str, context: str) -> Frame:
    metadata = {
        "uid": f"uid-{name}",
        "name": name,
        "namespace": "default",
        "resourceVersion": "7",
        "annotations": {"tracing.k8s.io/traceparent": context},
    }
    body = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata}
    return Frame(NOW, "v1/configmaps", FrameType.ADDED, msgspec.json.encode(body), "test", 1)


@contextmanager
def writing(store: Store, rules: Rules, metrics: Metrics) -> Iterator[Writer]:
    writer = Writer(store, CLUSTER, rules, metrics=metrics, clock=lambda: NOW)
    writer.start()
    yield writer
    assert writer.stop(30)
    assert writer.failure is None


def test_invalid_trace_contexts_are_counted_in_the_metrics() -> None:
    metrics = Metrics()
    with open_store("sqlite://") as store, writing(store, built_in_rules(), metrics) as writer:
        for name, context in (("a", "hello"), ("b", ""), ("c", f"00-{'a' * 32}-{'b' * 16}-01")):
            writer.deliver(applied(name, context))
        writer.tick(NOW + 60 * SECOND)
    assert metrics.registry.get_sample_value(INVALID) == 2
    assert f"{INVALID} 2.0".encode() in metrics.text()[0]


def test_the_counter_starts_at_zero_after_a_restart() -> None:
    with open_store("sqlite://") as store:
        with writing(store, built_in_rules(), Metrics()) as writer:
            writer.deliver(applied("a", "hello"))
            writer.tick(NOW + 60 * SECOND)
        metrics = Metrics()
        with writing(store, built_in_rules(), metrics) as writer:
            writer.deliver(applied("b", "hello"))
            writer.tick(NOW + 120 * SECOND)
    assert metrics.registry.get_sample_value(INVALID) == 1


def test_changed_rules_are_reported_at_every_start_until_the_history_is_rebuilt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    others = parse_rules("my.toml", OTHERS)

    def notes(rules: Rules) -> int:
        caplog.clear()
        with caplog.at_level(logging.WARNING), writing(store, rules, Metrics()) as writer:
            writer.deliver(applied(f"number-{store.last_sequence(CLUSTER)}", "hello"))
        return sum("made with other settings (rules)" in record.message for record in caplog.records)

    with open_store(str(tmp_path / "db.sqlite")) as store:
        assert [notes(built_in_rules()), notes(built_in_rules())] == [0, 0]
        assert [notes(others), notes(others)] == [1, 0]
        rebuild(store, CLUSTER, others)
        assert [notes(others), notes(built_in_rules())] == [0, 1]


def test_other_rules_before_the_first_record_are_not_a_change() -> None:
    with open_store("sqlite://") as store:
        Projector(store, CLUSTER, built_in_rules()).run_out()
        assert Projector(store, CLUSTER, parse_rules("my.toml", OTHERS)).notices == ()
