"""``kspan run``: from the settings to the exit code."""

import gc
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from kspan.daemon.cluster_uid import cluster_uid, only_cluster
from kspan.daemon.daemon import Daemon, Options, WatchEvents, Watching
from kspan.daemon.exports import ExportJob, finish_all, open_export_jobs
from kspan.daemon.metrics import Metrics
from kspan.daemon.scheduler import Scheduler
from kspan.daemon.supervisor import STOP_S, Supervisor
from kspan.emit.targets import ExportTarget
from kspan.graph import Rules
from kspan.ingest.frames import Frame
from kspan.ingest.watch import Connection, Selection, Watcher
from kspan.model import Cursor
from kspan.store import Store

_logger = logging.getLogger(__name__)

FAREWELL_S: Final = 1.0
"""Seconds for what is still sent of another cluster, when the API server turns out not to be that one's."""


def tune_garbage_collection() -> None:
    """Collects seldom: what the fold remembers is some hundred thousand long-lived objects without cycles.

    The default thresholds cost up to a third of the projection's time at 300,000 graph nodes. For the process that runs
    the daemon only, so not on import.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


def run(
    store: Store,
    connection: Connection,
    selection: Selection,
    rules: Rules,
    targets: Sequence[ExportTarget],
    options: Options,
) -> int:
    """Runs until SIGTERM or SIGINT (0), or until a part dies (1). For the main thread.

    Raises SettingsError, ExportError and StoreError for what is wrong from the start.
    """

    def make_watcher(
        deliver: Callable[[Frame], None], cursors: Mapping[str, Cursor], observer: WatchEvents
    ) -> Watching:
        # Killed between the first that named a kind and its first list, nobody would name it again for long.
        return Watcher(connection, selection, deliver, cursors, observer, referenced=store.named_kinds(cluster))

    tune_garbage_collection()
    metrics = Metrics()
    supervisor = Supervisor(options.listen, metrics)
    known = options.cluster or only_cluster(store)
    # Opened before anything is asked: what is wrong with a target is told at once.
    exports = open_export_jobs(store, known, options.cluster_name, targets, metrics)
    leads = bool(known) and not store.lead(known)
    with supervisor.serving():
        cluster = options.cluster
        if not cluster:
            # What is closed needs no API server to go out.
            with _emitting(exports if leads else [], options.emit_s) as emission:
                cluster = supervisor.find_cluster(lambda: cluster_uid(connection, store), emission)
        if not cluster:
            finish_all(exports if leads else [], time.time_ns(), STOP_S)
            return supervisor.exit_code
        if cluster != known:
            finish_all(exports if leads else [], time.time_ns(), FAREWELL_S)
            exports = open_export_jobs(store, cluster, options.cluster_name, targets, metrics)
        if not supervisor.wait_to_lead(store, cluster):
            return supervisor.exit_code
        _logger.info("watching cluster %s at %s into %s", cluster, connection.host, store.name)
        daemon = Daemon(store, cluster, rules, exports, options, metrics, make_watcher)
        return supervisor.watch_over(daemon)


@contextmanager
def _emitting(exports: Sequence[ExportJob], every_s: float) -> Iterator[Scheduler]:
    schedule = Scheduler()
    for export in exports:
        schedule.every(every_s, f"export to {export.target}", export.run)
    schedule.start()
    try:
        yield schedule
    finally:
        schedule.stop()
