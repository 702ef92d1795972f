"""``kspan replay`` and ``kspan demo``."""

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Final

from kspan.cli.common import (
    check_cluster_name,
    database_url,
    known_cluster,
    load_rules,
    progress_bar,
    report_interruption,
    state_directory,
)
from kspan.emit.export_queue import ExportQueue, ExportReport
from kspan.emit.otel_spans import ClusterIdentity
from kspan.emit.targets import ExportTarget, TargetKind, open_exporter, parse_target
from kspan.errors import ExportError, InputError
from kspan.graph import Rules
from kspan.ingest.files.bytes import STDIN
from kspan.ingest.files.open import read_frames, total_size
from kspan.ingest.frames import Frame
from kspan.paths import is_missing
from kspan.pipeline.replay import Replayed, replayed_with
from kspan.pipeline.replay import replay as ingest
from kspan.settings import MAX_TRACE_SPANS, FoldSettings
from kspan.store import Store, open_store
from kspan.terminal.counted import counted

DEMO_RECORDING: Final = "rolling-update.jsonl.gz"
DEMO_POD: Final = ("pod/web-854b7f4f-9xzlt", "-n", "rolling-update")
"""A Pod of the demo's recording: created by the new image, deleted by the rollback."""


class _Skipped:
    """Prints each invalid part of the input on standard error, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, error: InputError) -> None:
        self.count += 1
        print(f"kspan: skipped: {error}", file=sys.stderr)


@report_interruption()
def run_replay(
    files: Sequence[str],
    db: str | None,
    export: Sequence[str],
    *,
    max_trace_spans: int = MAX_TRACE_SPANS,
    cluster: str,
    cluster_name: str,
    rules: str | None,
    contexts: Sequence[str] = FoldSettings().context_annotations,
    span_labels: Sequence[str] = (),
    skip_bad: bool,
    progress: bool,
) -> str:
    """Ingest recordings, export their traces and return the uid of the cluster.

    Raises KspanError: for invalid options before anything is read, for invalid input after the records before it are
    committed, and for a failed export after the other targets have their traces.
    """
    check_cluster_name(cluster_name)
    targets = [parse_target(text) for text in export]
    compiled, settings = load_rules(rules), replayed_with(contexts, span_labels)
    missing = [path for path in files if path != STDIN and is_missing(Path(path))]
    if missing and (len(missing) == len(files) or not skip_bad):
        # A mistyped name must not leave an empty database.
        raise InputError(missing[0], 0, "no such file")
    skipped = _Skipped()
    with open_store(database_url(db)) as store:
        _check_targets(targets, cluster_name)
        with progress_bar("reading", total_size(files), shown=progress) as advance:
            frames = read_frames(files, skip_bad=skip_bad, on_progress=advance, on_skip=skipped)
            on_bad = skipped if skip_bad else None
            uid = known_cluster(store, cluster)
            done = _ingest(store, frames, compiled, cluster=uid, settings=settings, on_bad=on_bad)
        store.name_cluster(done.cluster, cluster_name)
        reports = [_export(store, done.cluster, cluster_name, target, max_trace_spans) for target in targets]
        in_memory = store.name == "sqlite://"
    for notice in done.notices:
        print(f"kspan: {notice.text}", file=sys.stderr)
    print(_summary(done, skipped.count, targets, reports), file=sys.stderr)
    _raise_failures(targets, reports, in_memory=in_memory)
    if _nothing_new(done, targets, reports):
        print(
            "kspan: these traces were exported before; 'kspan traces' lists them, a new --db exports them again",
            file=sys.stderr,
        )
    return done.cluster


def _check_targets(targets: Iterable[ExportTarget], cluster_name: str) -> None:
    """Open and close each target. Raises ExportError for one that cannot work."""
    for target in targets:
        exporter = open_exporter(target, ClusterIdentity("", cluster_name))
        if exporter is not None:
            exporter.close()


def _ingest(
    store: Store,
    frames: Iterable[Frame],
    rules: Rules,
    *,
    cluster: str,
    settings: FoldSettings,
    on_bad: Callable[[InputError], None] | None,
) -> Replayed:
    try:
        return ingest(store, frames, rules, cluster=cluster, settings=settings, on_bad=on_bad)
    except InputError as error:
        if error.line > 1:
            error.add_note("the records before this line are kept; use --skip-bad to continue after it")
        raise


def _export(store: Store, cluster: str, cluster_name: str, target: ExportTarget, max_trace_spans: int) -> ExportReport:
    exporter = open_exporter(target, ClusterIdentity(cluster, cluster_name))
    if exporter is None:
        return ExportReport()
    queue = ExportQueue(store, cluster, target.name, exporter, max_spans=max_trace_spans)
    try:
        return queue.export_pending(time.time_ns())
    finally:
        queue.close()


def _summary(done: Replayed, skipped: int, targets: Sequence[ExportTarget], reports: Sequence[ExportReport]) -> str:
    parts = [f"{counted(done.appended, 'record')} journalled"]
    if done.known_already:
        parts.append(f"{done.known_already} already known")
    if skipped:
        parts.append(f"{skipped} skipped as invalid")
    if done.invalid_contexts:
        parts.append(f"{counted(done.invalid_contexts, 'invalid trace context')} ignored")
    for target, report in zip(targets, reports, strict=True):
        if target.kind is not TargetKind.NONE:
            sent = f"{counted(report.traces, 'trace')} ({counted(report.spans, 'span')})"
            parts.append(f"{sent} exported to {target.name}")
        if report.rejected:
            parts.append(f"{counted(report.rejected, 'trace')} rejected by {target.name} (reasons: table emissions)")
    return "kspan: " + ", ".join(parts)


def _raise_failures(targets: Sequence[ExportTarget], reports: Sequence[ExportReport], *, in_memory: bool) -> None:
    failures = [f"{to.name}: {report.reason}" for to, report in zip(targets, reports, strict=True) if report.reason]
    if failures:
        kept = "" if in_memory else "the other traces are kept in the database, "
        raise ExportError(f"{'; '.join(failures)}; {kept}run the command again")


def _nothing_new(done: Replayed, targets: Sequence[ExportTarget], reports: Sequence[ExportReport]) -> bool:
    """Return whether a repeated replay exported nothing, which users do not expect when they want to look again."""
    sent = [report.traces + report.rejected for to, report in zip(targets, reports, strict=True) if to.kind != "none"]
    return bool(sent) and not any(sent) and done.known_already > 0 and not done.appended


def run_demo(db: str | None, *, progress: bool) -> None:
    """Replay the recording of the package, print its traces and an answer of ``kspan why``."""
    database = db or _new_database()
    with resources.as_file(resources.files("kspan.data").joinpath(DEMO_RECORDING)) as file:
        cluster = run_replay(
            [str(file)], database, ["none"], cluster="", cluster_name="", rules=None, skip_bad=False, progress=progress
        )

    from kspan.cli.commands.history import print_trees, run_why
    from kspan.cli.sources.source import HistoryOptions

    print_trees(database, cluster)
    # Without an activated environment (after 'make demo') the program is not on the PATH.
    program = "kspan" if shutil.which("kspan") else sys.argv[0]
    kind_name, *namespace = DEMO_POD
    print(f"$ {program} why {' '.join(DEMO_POD)} --db {database}", flush=True)
    options = HistoryOptions(database, cluster)
    run_why([kind_name], options, namespace=namespace[-1], at="", uid="", output="table")
    print(
        f"\nThe history is in {database}. Continue with:\n"
        f"  {program} traces --db {database}\n"
        f"  {program} serve --db {database}\n"
        f"  {program} timeline --kind pod --name web-854b7f4f-9xzlt --db {database}\n"
        f"  {program} sql --schema --db {database}",
        file=sys.stderr,
    )


def _new_database() -> str:
    """Return the path of the demo's own database, after deleting the one of an earlier demo."""
    path = state_directory() / "demo.sqlite"
    for old in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        old.unlink(missing_ok=True)
    return str(path)
