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
from kspan.ingest.watch import Connection, Selection, Watcher, check_names
from kspan.model import Cursor
from kspan.store import Store

_logger = logging.getLogger(__name__)

OTHER_CLUSTER_S: Final = 1.0
"""Seconds allowed to finish exports of the previous cluster if the API server turns out to be a different one."""


def tune_garbage_collection() -> None:
    """Collect garbage less often: the fold keeps some 100,000 long-lived objects without reference cycles.

    The default thresholds cost up to a third of the projection's time at 300,000 graph nodes. Only for the process that
    runs the daemon, so not at import.
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
    """Run until SIGTERM or SIGINT (returns 0), or until a part dies (returns 1). For the main thread.

    Raises SettingsError, ExportError or StoreError if the daemon cannot start.
    """

    def make_watcher(
        deliver: Callable[[Frame], None], cursors: Mapping[str, Cursor], observer: WatchEvents
    ) -> Watching:
        # A kill may come after the first reference to a kind and before its first list. Nothing may refer to it
        # again for a long time, so the kinds that the database refers to are watched from the start.
        return Watcher(connection, selection, deliver, cursors, observer, referenced=store.named_kinds(cluster))

    tune_garbage_collection()
    metrics = Metrics()
    supervisor = Supervisor(options.listen, metrics, options.access, options.answering, options.tls)
    known = options.cluster or only_cluster(store)
    # Opened before the API server is asked, so that an invalid target is reported at once.
    exports = open_export_jobs(store, known, options.cluster_name, targets, metrics, options.max_trace_spans)
    leads = bool(known) and not store.lead(known)
    with supervisor.serving():
        cluster = options.cluster
        if not cluster:
            # Closed traces can be exported without an API server.
            with _exporting(exports if leads else [], options.export_s) as scheduler:
                cluster = supervisor.find_cluster(lambda: cluster_uid(connection, store), scheduler)
        if not cluster:
            finish_all(exports if leads else [], time.time_ns(), STOP_S)
            return supervisor.exit_code
        supervisor.cluster = cluster
        if cluster != known:
            finish_all(exports if leads else [], time.time_ns(), OTHER_CLUSTER_S)
            exports = open_export_jobs(store, cluster, options.cluster_name, targets, metrics, options.max_trace_spans)
        if not supervisor.wait_to_lead(store, cluster):
            return supervisor.exit_code
        check_names(connection, selection)
        _logger.info("watching cluster %s at %s into %s", cluster, connection.host, store.name)
        daemon = Daemon(store, cluster, rules, exports, options, metrics, make_watcher)
        return supervisor.watch_over(daemon)


@contextmanager
def _exporting(jobs: Sequence[ExportJob], every_s: float) -> Iterator[Scheduler]:
    scheduler = Scheduler()
    for job in jobs:
        scheduler.every(every_s, f"export to {job.target}", job.run)
    scheduler.start()
    try:
        yield scheduler
    finally:
        scheduler.stop()
