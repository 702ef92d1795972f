"""Measures reading, building, encoding and sending spans over OTLP/HTTP to a real receiver."""

import os
import time
from pathlib import Path
from typing import Final

from benchmarks.storm import deltas
from kspan.emit.export_queue import ExportQueue
from kspan.emit.otel_spans import ClusterIdentity
from kspan.emit.targets import open_exporter, parse_target
from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBuilder
from kspan.pipeline.projector import Projector
from kspan.store import open_store
from tests.emit.receivers import run_rotel

CLUSTER: Final = "benchmark"


def send(recording: Path, folder: Path) -> tuple[int, float, float]:
    """(spans, wall-clock seconds, processor seconds) for all traces of a recording."""
    with open_store(str(folder / "sending.sqlite")) as store, run_rotel(folder, detailed=False) as rotel:
        projector = Projector(store, CLUSTER, built_in_rules())
        streams = JournalBuilder(projector, {})
        for frame in deltas(recording):
            projector.add(streams.feed(frame))
        projector.add(streams.finish())
        projector.run_out()
        os.environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": rotel.http_endpoint, "NO_PROXY": "127.0.0.1"}
        exporter = open_exporter(parse_target("otlp"), ClusterIdentity(CLUSTER, ""))
        assert exporter is not None
        queue = ExportQueue(store, CLUSTER, "otlp", exporter)
        began, processor = time.perf_counter(), time.process_time()
        report = queue.export_pending(time.time_ns())
        spent = time.perf_counter() - began, time.process_time() - processor
        queue.close()
        if report.reason:
            raise SystemExit(f"the receiver did not accept the spans: {report.reason}")
    return report.spans, *spent
