"""Exports the traces of a recording as OTLP/JSON for the scorer, through the store and the exporter."""

from pathlib import Path

from kspan.emit.export_queue import ExportQueue
from kspan.emit.otel_spans import ClusterIdentity
from kspan.emit.targets import open_exporter, parse_target
from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.pipeline.replay import replay
from kspan.store import open_store


def export(recording: Path, spans: Path) -> None:
    """Replay ``recording`` in memory and write its traces to ``spans``."""
    with open_store("sqlite://") as store:
        done = replay(store, read_frames([str(recording)]), built_in_rules())
        target = parse_target(f"file:{spans}")
        exporter = open_exporter(target, ClusterIdentity(done.cluster))
        assert exporter is not None
        queue = ExportQueue(store, done.cluster, target.name, exporter)
        report = queue.export_pending(now=1)
        queue.close()
        assert not report.reason
