"""``kspan db verify`` and ``kspan db rebuild``: the journal is the only source of truth, and here is the proof."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from kspan.errors import StoreError
from kspan.graph import Fold, Rules
from kspan.graph.state.records import Clock
from kspan.model import Delta
from kspan.settings import FoldSettings
from kspan.store import Store, is_about_data, open_store

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


class Difference(msgspec.Struct, frozen=True):
    """A row that the database has otherwise than the journal says. ``columns`` is empty where a whole row is.

    ``problem`` is ``missing`` (the journal says there should be one), ``unexpected``, ``differs``, or ``unreadable``
    (some row is, and nothing after it was compared).
    """

    table: str
    key: str
    problem: str
    columns: tuple[str, ...] = ()


def project(
    store: Store,
    cluster: str,
    rules: Rules,
    settings: FoldSettings | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[Delta]:
    """The deltas of the whole journal, from nothing. ``on_progress`` is told how many records were folded since."""
    fold = Fold(cluster, rules, settings)
    for run in store.replay(cluster):
        for sequence, record in run:
            fold.apply(sequence, record)
        if on_progress is not None:
            on_progress(len(run))
        yield fold.take_delta()


def verify(
    store: Store,
    cluster: str,
    rules: Rules,
    settings: FoldSettings | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[Difference]:
    """What differs between the projection in the database and one made afresh from its journal, row by row.

    Raises StoreError for a journal that was pruned: what it forgot is still (rightly) in the projection.
    """
    first = next((run[0][0] for run in store.replay(cluster, batch=1)), 1)
    if first != 1:
        raise StoreError(
            f"{store.name}: the journal was pruned and begins at record {first}; only a whole one can be verified"
        )
    with open_store("sqlite://") as fresh:
        for delta in project(store, cluster, rules, settings, on_progress):
            fresh.commit(cluster, 0, [], [], delta)
        for table in TABLES:
            try:
                yield from _compare(table, fresh.projection_rows(cluster, table), store.projection_rows(cluster, table))
            except StoreError as error:
                if not is_about_data(error):
                    raise
                # Something in it is not what its column holds (no JSON, say): no more of this table can be compared.
                yield Difference(table, "a row", "unreadable")


def _compare(table: str, expected: Iterator[Row], found: Iterator[Row]) -> Iterator[Difference]:
    """Both come in the order of their key, so one pass tells what is missing on which side."""
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


def made_with_other_rules(store: Store, cluster: str, rules: Rules) -> bool:
    """Whether the projection in the database was begun with other rules than these."""
    clock = store.load_projection(cluster).clock
    return bool(clock) and msgspec.msgpack.decode(clock, type=Clock).rules != rules.digest


def rebuild(
    store: Store,
    cluster: str,
    rules: Rules,
    settings: FoldSettings | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> None:
    """Replaces the projection by one made afresh from the journal, in one transaction.

    What was emitted stays marked as emitted.
    """
    store.rebuild(cluster, project(store, cluster, rules, settings, on_progress))
