"""Verifies and rebuilds the projection from the journal (``kspan db verify`` and ``kspan db rebuild``)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from kspan.errors import StoreError
from kspan.graph import Fold, Rules, built_in_rules
from kspan.graph.state.version import FOLD_VERSION
from kspan.model import Delta
from kspan.pipeline.known_versions import HighWaterMarks
from kspan.pipeline.load_fold import load_fold
from kspan.settings import FoldInputs, FoldSettings
from kspan.store import FoldPeriod, Store, is_about_data, open_store
from kspan.store.check import check_journal, check_traces
from kspan.store.tables.finding import Finding

TABLES = ("objects", "owners", "pending", "spans", "traces", "gaps")
KEYS = {
    "objects": ("uid",),
    "owners": ("uid", "owner_uid"),
    "pending": ("arrival",),
    "spans": ("trace_id", "span_id"),
    "traces": ("trace_id",),
    "gaps": ("seq",),
}

Row = dict[str, Any]
OnProgress = Callable[[int], None]


class Difference(msgspec.Struct, frozen=True):
    """A row of the projection that differs from the journal.

    Args:
        table: name of the table.
        key: key of the row, without the cluster.
        problem: ``missing`` (from the database), ``unexpected``, ``differs``, ``unreadable`` (a row cannot be read; the
            rest of the table was not compared), or what does not agree with other rows.
        columns: columns that differ; empty if the whole row does.
    """

    table: str
    key: str
    problem: str
    columns: tuple[str, ...] = ()


def verify(store: Store, cluster: str, rules: Rules, on_progress: OnProgress | None = None) -> Iterator[Difference]:
    """Compare the journal with its checksums, and the traces with their spans; then replay the journal into an empty
    projection and compare it with the one in the database, row by row.

    A journal that was pruned is not replayed: what retention has deleted from it is still in the projection.

    Each period of the journal is replayed with the settings that are recorded for it, and with ``rules`` or the
    built-in rules, whichever were used.

    Args:
        store: the database.
        cluster: uid of the cluster.
        rules: the rules, or the built-in ones.
        on_progress: called with the number of records folded since the last call.

    Of ``fold_history``, only damage and a missing beginning can be noticed; what is missing there is assumed to be the
    default.

    Raises:
        StoreError: the projection was made by another version of the fold, or with rules that were not given.
    """
    for found in _findings("journal", check_journal(store, cluster)):
        yield found
        if found.problem == "unreadable":
            return
    yield from _findings("traces", check_traces(store, cluster))
    if store.pruned_to(cluster):
        return
    known = {each.digest: each for each in (built_in_rules(), rules)}
    try:
        periods = _replayable(store, cluster, known)
    except StoreError as error:
        if not is_about_data(error):
            raise
        yield Difference("fold_history", "a row", "unreadable")
        return
    if store.last_sequence(cluster) and (not periods or periods[0].from_seq > 1):
        yield Difference("fold_history", "1", "missing")
    with open_store("sqlite://") as fresh:
        marks = HighWaterMarks({})
        _replay(store, fresh, cluster, periods, known, marks, on_progress)
        yield from _compare_position(store, fresh, cluster, marks)
        for table in TABLES:
            try:
                yield from _compare(table, fresh.projection_rows(cluster, table), store.projection_rows(cluster, table))
            except StoreError as error:
                if not is_about_data(error):
                    raise
                # A column holds something else than its type (invalid JSON, for example).
                yield Difference(table, "a row", "unreadable")


def _findings(table: str, findings: Iterator[Finding]) -> Iterator[Difference]:
    """The findings about a table, up to the first row that cannot be read."""
    try:
        for found in findings:
            yield Difference(*found)
    except StoreError as error:
        if not is_about_data(error):
            raise
        yield Difference(table, "a row", "unreadable")


def rebuild(
    store: Store,
    cluster: str,
    rules: Rules,
    settings: FoldSettings | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Replace the projection by one computed from the whole journal, in one transaction.

    The rules and settings are recorded. Traces that were exported stay marked as exported.
    """
    settings = settings or FoldSettings()
    inputs = FoldInputs(FOLD_VERSION, rules.digest, settings)
    fold, marks = Fold(cluster, rules, settings), HighWaterMarks({})
    store.rebuild(cluster, _deltas(store, cluster, fold, marks, on_progress), inputs, marks.as_text)


def recorded_inputs(store: Store, cluster: str) -> FoldInputs | None:
    """The inputs of the fold that computed the newest part of the projection; None if they are missing or damaged."""
    try:
        periods = store.fold_periods(cluster)
    except StoreError as error:
        if not is_about_data(error):
            raise
        return None
    return periods[-1].inputs if periods else None


def _deltas(
    store: Store, cluster: str, fold: Fold, marks: HighWaterMarks, on_progress: OnProgress | None
) -> Iterator[Delta]:
    for run in store.replay(cluster):
        for sequence, record in run:
            fold.apply(sequence, record)
            marks.note(record)
        if on_progress is not None:
            on_progress(len(run))
        yield fold.take_delta()


def _replayable(store: Store, cluster: str, known: Mapping[str, Rules]) -> list[FoldPeriod]:
    """The periods of the journal that have records. Raises StoreError if one cannot be replayed."""
    version = store.fold_version(cluster)
    if version not in (None, FOLD_VERSION):
        raise StoreError(
            f"{store.name}: was written by another version of kspan (fold version {version}, this "
            f"one has {FOLD_VERSION}): verify it with that version, or run '{store.rebuild_command(cluster)}'"
        )
    last = store.last_sequence(cluster)
    periods = [period for period in store.fold_periods(cluster) if period.from_seq <= last]
    for period in periods:
        if period.inputs.rules not in known:
            raise StoreError(
                f"{store.name}: the history from record {period.from_seq} on was made with rules that are neither the "
                f"built-in ones nor those of --rules (digest {period.inputs.rules}): give their file with --rules, or "
                f"run '{store.rebuild_command(cluster)}' to apply the current ones"
            )
    return periods


def _replay(
    store: Store,
    fresh: Store,
    cluster: str,
    periods: Sequence[FoldPeriod],
    known: Mapping[str, Rules],
    marks: HighWaterMarks,
    on_progress: OnProgress | None,
) -> None:
    """Fold the journal of ``store`` into ``fresh``, each period with its own rules and settings; raise ``marks``."""
    coming = list(reversed(periods))
    fold = Fold(cluster, built_in_rules())
    for run in store.replay(cluster):
        for sequence, record in run:
            if coming and sequence >= coming[-1].from_seq:
                # The daemon was restarted here: it loaded its fold from the rows of the projection.
                fresh.commit(cluster, 0, [], [], fold.take_delta())
                inputs = coming.pop().inputs
                fold, _, _ = load_fold(fresh, cluster, known[inputs.rules], inputs.settings)
            fold.apply(sequence, record)
            marks.note(record)
        fresh.commit(cluster, 0, [], [], fold.take_delta())
        if on_progress is not None:
            on_progress(len(run))


def _compare_position(store: Store, fresh: Store, cluster: str, marks: HighWaterMarks) -> Iterator[Difference]:
    """Compare the row of ``fold_state``."""
    found, last = store.position(cluster), store.last_sequence(cluster)
    try:
        newest = msgspec.msgpack.decode(found.newest, type=dict[str, str])
    except msgspec.DecodeError:
        yield Difference("fold_state", "newest", "unreadable")
        newest = marks.as_text()
    same = {
        "clock": found.clock == fresh.position(cluster).clock,
        "last_seq": found.last_seq == last,
        "newest": newest == marks.as_text(),
    }
    if columns := tuple(name for name, equal in same.items() if not equal):
        yield Difference("fold_state", cluster, "differs", columns)


def _compare(table: str, expected: Iterator[Row], found: Iterator[Row]) -> Iterator[Difference]:
    """Compare two lists of rows, both in the order of their key, in one pass."""
    keys = KEYS[table]
    wanted, given = next(expected, None), next(found, None)
    while wanted is not None or given is not None:
        mine = tuple(wanted[k] for k in keys) if wanted is not None else None
        theirs = tuple(given[k] for k in keys) if given is not None else None
        if theirs is None or (mine is not None and mine < theirs):
            yield Difference(table, _text(mine), "missing")
            wanted = next(expected, None)
        elif mine is None or theirs < mine:
            yield Difference(table, _text(theirs), "unexpected")
            given = next(found, None)
        else:
            assert wanted is not None
            assert given is not None
            columns = tuple(k for k in wanted if wanted[k] != given[k])
            if columns:
                yield Difference(table, _text(mine), "differs", columns)
            wanted, given = next(expected, None), next(found, None)


def _text(key: tuple[Any, ...] | None) -> str:
    return " ".join(str(part) for part in key or ())
