"""``kspan db verify``, ``rebuild`` and ``stats``."""

import sys
from collections.abc import Sequence

import msgspec

from kspan.cli.common import fold_settings, load_rules, open_existing, progress_bar, the_cluster
from kspan.errors import SettingsError
from kspan.pipeline import rebuild as rebuilding
from kspan.query.answers.objects import stats_answer
from kspan.settings import FoldSettings
from kspan.store import ClusterStats, Store
from kspan.terminal.counted import counted
from kspan.terminal.text import harmless
from kspan.times import format_time

SHOWN = 20
"""Differences that are printed. The first ones show what is wrong, their number how much."""


def run_verify(db: str | None, cluster: str, rules: str | None, *, progress: bool) -> int:
    """Check the tables, and compare the projection with a complete journal. Returns 0 if all agrees, 1 if not."""
    compiled = load_rules(rules)
    with open_existing(db, read_only=True) as store:
        name = the_cluster(store, cluster)
        pruned_to = store.pruned_to(name)
        total = store.last_sequence(name)
        with progress_bar("folding", total, shown=progress) as advance:
            differences = list(rebuilding.verify(store, name, compiled, on_progress=advance))
        command = store.rebuild_command(name)
    for found in differences[:SHOWN]:
        columns = f" in {', '.join(found.columns)}" if found.columns else ""
        print(f"{found.table} {found.key}: {found.problem}{columns}")
    if len(differences) > SHOWN:
        print(f"... and {len(differences) - SHOWN} more")
    if any(found.table == "journal" for found in differences):
        print(
            "kspan: the journal is not as kspan wrote it: restore a backup; a rebuild cannot repair the journal",
            file=sys.stderr,
        )
    if pruned_to:
        return _report_pruned(pruned_to, agrees=not differences)
    if differences:
        rows = f"{counted(len(differences), 'row')} {'differs' if len(differences) == 1 else 'differ'}"
        print(f"kspan: {rows} from the {counted(total, 'journal record')}; '{command}' repairs that", file=sys.stderr)
        return 1
    print(f"The projection agrees with the {counted(total, 'journal record')}.")
    return 0


def _report_pruned(pruned_to: int, *, agrees: bool) -> int:
    """Report the check of a database with a pruned journal. Returns the exit code."""
    print(
        f"kspan: retention has deleted journal records up to record {pruned_to}, so the projection was not compared "
        "with the journal",
        file=sys.stderr,
    )
    if agrees:
        print("The journal agrees with its checksums, and the traces agree with their spans.")
    return 0 if agrees else 1


def run_rebuild(
    db: str | None,
    cluster: str,
    rules: str | None,
    *,
    hold: str | None,
    settle: str | None,
    max_trace_age: str | None,
    report_failure_after: str | None,
    contexts: Sequence[str] | None,
    span_labels: Sequence[str] | None,
    progress: bool,
) -> None:
    """Replace the projection. Settings that are not given (None) stay as recorded in the database."""
    compiled = load_rules(rules)
    with open_existing(db) as store:
        name = the_cluster(store, cluster)
        recorded = rebuilding.recorded_inputs(store, name)
        settings = fold_settings(
            hold,
            settle,
            max_trace_age,
            report_failure_after,
            contexts,
            span_labels,
            recorded.settings if recorded is not None else FoldSettings(),
        )
        total = store.last_sequence(name)
        with progress_bar("folding", total, shown=progress) as advance:
            rebuilding.rebuild(store, name, compiled, settings, on_progress=advance)
    if recorded is None and total:
        print("kspan: the settings that made the history were not recorded: used those given here", file=sys.stderr)
    elif recorded is not None and recorded.rules != compiled.digest:
        print("kspan: the history was made with other rules; the current ones now apply to all of it", file=sys.stderr)
    print(f"Rebuilt the projection from {counted(total, 'journal record')}.")


def run_stats(db: str | None, output: str) -> None:
    """Print statistics of all clusters in the database."""
    if output not in ("table", "json"):
        raise SettingsError(f"--output can be table or json, not {output!r}")
    with open_existing(db, read_only=True) as store:
        stats = store.stats()
        if output == "json":
            print(msgspec.json.format(msgspec.json.encode([stats_answer(s) for s in stats]), indent=2).decode())
            return
        _print_table(store, stats)


def _print_table(store: Store, stats: list[ClusterStats]) -> None:
    print(f"database   {store.name}  {stats[0].size if stats else 0:,} bytes")
    if not stats:
        print("The journal is empty.")
    names = {each.uid: harmless(each.name) for each in store.named_clusters()}
    for s in stats:
        print(f"\ncluster    {s.cluster}  {names.get(s.cluster, '')}".rstrip())
        if s.first_recorded_at:
            print(f"journal    {format_time(s.first_recorded_at)} to {format_time(s.last_recorded_at)}")
        _print_counts("records", s.journal)
        _print_counts("rows", s.rows)
        _print_counts("traces", s.traces)
        for target, counts in sorted(s.emissions.items()):
            _print_counts(f"to {target}", counts)


def _print_counts(label: str, counts: dict[str, int]) -> None:
    print(f"{label:<10} " + ("  ".join(f"{k} {v:,}" for k, v in sorted(counts.items())) or "none"))
