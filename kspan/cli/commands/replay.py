"""``kspan replay`` and ``kspan demo``."""

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path

from kspan.cli.common import counted, database_url, load_rules, progress_bar, state_directory, told_if_interrupted
from kspan.emit.export_queue import ExportQueue, ExportReport
from kspan.emit.otel_spans import ClusterIdentity
from kspan.emit.targets import ExportTarget, TargetKind, open_exporter, parse_target
from kspan.errors import ExportError, InputError
from kspan.graph import Rules
from kspan.ingest.files.open import read_frames, total_size
from kspan.ingest.frames import Frame
from kspan.pipeline.replay import Replayed
from kspan.pipeline.replay import replay as ingest
from kspan.settings import FoldSettings
from kspan.store import Store, open_store


class _Skipped:
    """Tells of each bad place in the input on standard error, and counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, error: InputError) -> None:
        self.count += 1
        print(f"kspan: skipped: {error}", file=sys.stderr)


@told_if_interrupted()
def run_replay(
    files: Sequence[str],
    db: str | None,
    export: Sequence[str],
    *,
    cluster: str,
    cluster_name: str,
    rules: str | None,
    contexts: Sequence[str] = FoldSettings().context_annotations,
    skip_bad: bool,
    progress: bool,
) -> None:
    """Ingests and exports. What cannot be right is refused before anything is read."""
    targets = [parse_target(text) for text in export]
    compiled, settings = load_rules(rules), FoldSettings(context_annotations=tuple(contexts))
    skipped = _Skipped()
    with open_store(database_url(db)) as store:
        for target in targets:
            exporter = open_exporter(target, ClusterIdentity("", cluster_name))
            if exporter is not None:
                exporter.close()
        with progress_bar("reading", total_size(files), shown=progress) as advance:
            frames = read_frames(files, skip_bad=skip_bad, on_progress=advance, on_skip=skipped)
            on_bad = skipped if skip_bad else None
            done = _ingest(store, frames, compiled, cluster=cluster, settings=settings, on_bad=on_bad)
        reports = [_export(store, done.cluster, cluster_name, target) for target in targets]
        waits = "" if store.name == "sqlite://" else "what was not sent waits in the database, "
    for notice in done.notices:
        print(f"kspan: {notice}", file=sys.stderr)
    print(_told(done, skipped.count, targets, reports), file=sys.stderr)
    failures = [f"{to.name}: {report.reason}" for to, report in zip(targets, reports, strict=True) if report.reason]
    if failures:
        raise ExportError(f"{'; '.join(failures)}; {waits}run the command again")
    sent = [report.traces + report.rejected for to, report in zip(targets, reports, strict=True) if to.kind != "none"]
    if sent and not any(sent) and done.known_already and not done.appended:
        # Whoever replays a file again, to look at it once more, sees nothing.
        print(
            "kspan: what was exported before is not exported again; 'kspan traces' shows it, a new --db starts afresh",
            file=sys.stderr,
        )


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
            error.add_note("what came before it is kept; --skip-bad goes on, and exports what there is")
        raise


def _export(store: Store, cluster: str, cluster_name: str, target: ExportTarget) -> ExportReport:
    exporter = open_exporter(target, ClusterIdentity(cluster, cluster_name))
    if exporter is None:
        return ExportReport()
    queue = ExportQueue(store, cluster, target.name, exporter)
    try:
        return queue.export_pending(time.time_ns())
    finally:
        queue.close()


def _told(done: Replayed, skipped: int, targets: Sequence[ExportTarget], reports: Sequence[ExportReport]) -> str:
    parts = [f"{counted(done.appended, 'record')} journalled"]
    if done.known_already:
        parts.append(f"{done.known_already} known already")
    if skipped:
        parts.append(f"{skipped} skipped as bad")
    if done.invalid_contexts:
        parts.append(f"{counted(done.invalid_contexts, 'invalid trace context')} ignored")
    for target, report in zip(targets, reports, strict=True):
        if target.kind is not TargetKind.NONE:
            sent = f"{counted(report.traces, 'trace')} ({counted(report.spans, 'span')})"
            parts.append(f"{sent} to {target.name}")
        if report.rejected:
            parts.append(f"{counted(report.rejected, 'trace')} refused by {target.name} (see the table emissions)")
    return "kspan: " + ", ".join(parts)


def run_demo(db: str | None, *, progress: bool) -> None:
    """Replays the recording that the package carries into a fresh database, and prints its traces."""
    if db is None:
        path = state_directory() / "demo.sqlite"
        for old in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            old.unlink(missing_ok=True)
        db = str(path)
    recording = resources.files("kspan.data").joinpath("rolling-update.jsonl.gz")
    with resources.as_file(recording) as file:
        run_replay(
            [str(file)], db, ["console"], cluster="", cluster_name="demo", rules=None, skip_bad=False, progress=progress
        )
    # From a virtual environment that is not activated (make demo) the program is not on the path.
    program = "kspan" if shutil.which("kspan") else sys.argv[0]
    print(f"The history is in {db}\nTry:  {program} db stats --db {db}", file=sys.stderr)
