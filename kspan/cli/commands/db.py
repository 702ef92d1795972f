"""``kspan db verify``, ``rebuild`` and ``stats``."""

import sys

import msgspec

from kspan.cli.common import counted, load_rules, open_existing, progress_bar, the_cluster
from kspan.errors import SettingsError
from kspan.pipeline import rebuild as rebuilding
from kspan.settings import FoldSettings
from kspan.store import ClusterStats, Store
from kspan.times import format_time

SHOWN = 20
"""Differences that are printed: the first tell what is wrong, the number how badly."""


def run_verify(db: str | None, cluster: str, rules: str | None, settings: FoldSettings, *, progress: bool) -> int:
    """0 where the projection is what the journal says, 1 where it is not."""
    compiled = load_rules(rules)
    with open_existing(db, read_only=True) as store:
        name = the_cluster(store, cluster)
        total = store.last_sequence(name)
        with progress_bar("folding", total, shown=progress) as advance:
            differences = list(rebuilding.verify(store, name, compiled, settings, on_progress=advance))
        other_rules = bool(differences) and rebuilding.made_with_other_rules(store, name, compiled)
    for found in differences[:SHOWN]:
        columns = f" in {', '.join(found.columns)}" if found.columns else ""
        print(f"{found.table} {found.key}: {found.problem}{columns}")
    if len(differences) > SHOWN:
        print(f"... and {len(differences) - SHOWN} more")
    if other_rules:
        print("kspan: the projection was made with other rules than these (see --rules)", file=sys.stderr)
    if differences:
        rows = f"{counted(len(differences), 'row')} {'is' if len(differences) == 1 else 'are'}"
        print(f"kspan: {rows} not what {total} journal records say; 'kspan db rebuild' mends that", file=sys.stderr)
        return 1
    print(f"The projection is what {total} journal records say.")
    return 0


def run_rebuild(db: str | None, cluster: str, rules: str | None, settings: FoldSettings, *, progress: bool) -> None:
    """Replaces the projection."""
    compiled = load_rules(rules)
    with open_existing(db) as store:
        name = the_cluster(store, cluster)
        total = store.last_sequence(name)
        with progress_bar("folding", total, shown=progress) as advance:
            rebuilding.rebuild(store, name, compiled, settings, on_progress=advance)
    print(f"The projection was made afresh from {total} journal records.")


def run_stats(db: str | None, output: str) -> None:
    """Prints figures of all clusters in the database."""
    if output not in ("table", "json"):
        raise SettingsError(f"--output can be table or json, not {output!r}")
    with open_existing(db, read_only=True) as store:
        stats = store.stats()
        if output == "json":
            print(msgspec.json.format(msgspec.json.encode([_as_json(s) for s in stats]), indent=2).decode())
            return
        _print_table(store, stats)


def _as_json(stats: ClusterStats) -> dict[str, object]:
    found = msgspec.to_builtins(stats)
    for key in ("first_recorded_at", "last_recorded_at"):
        found[key] = format_time(found[key]) if found[key] else None
    return found  # type: ignore[no-any-return]


def _print_table(store: Store, stats: list[ClusterStats]) -> None:
    print(f"database   {store.name}  {stats[0].size if stats else 0:,} bytes")
    if not stats:
        print("The journal is empty.")
    for s in stats:
        print(f"\ncluster    {s.cluster}")
        if s.first_recorded_at:
            print(f"journal    {format_time(s.first_recorded_at)} to {format_time(s.last_recorded_at)}")
        _print_counts("records", s.journal)
        _print_counts("rows", s.rows)
        _print_counts("traces", s.traces)
        for target, counts in sorted(s.emissions.items()):
            _print_counts(f"to {target}", counts)


def _print_counts(label: str, counts: dict[str, int]) -> None:
    print(f"{label:<10} " + ("  ".join(f"{k} {v:,}" for k, v in sorted(counts.items())) or "none"))
