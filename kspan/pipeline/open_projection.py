"""Opens the projection of a cluster for writing: checks its version, rebuilds it after an upgrade, loads the fold."""

from collections.abc import Sequence
from typing import Final

import msgspec

from kspan.errors import StoreError
from kspan.graph import Fold, Rules
from kspan.graph.state.version import FOLD_VERSION
from kspan.pipeline.load_fold import load_fold
from kspan.pipeline.rebuild import rebuild
from kspan.settings import FoldInputs, FoldSettings
from kspan.store import FoldPeriod, Store

QUICK_REBUILD: Final = 100_000
"""Journal records up to which a projection is rebuilt when it is opened: about 10 s of processor time.

Measured with ``time kspan db rebuild`` on the storm recording: 57,748 records in 6.0 s of processor time."""

RULES_CHANGED: Final = (
    "the history was made with other rules; new records use the current ones; "
    "run 'kspan db rebuild' to apply them to the whole history"
)

SETTINGS_CHANGED: Final = (
    "the history was made with other settings (hold, settle, max-trace-age or context-annotation); new records use the "
    "current ones; run 'kspan db rebuild' to apply them to the whole history"
)


class OpenedProjection(msgspec.Struct, frozen=True):
    """A projection that is ready for the next journal record.

    Args:
        fold: the fold, loaded with everything that is live.
        sequence: last sequence number of the journal and the projection.
        newest: greatest resourceVersion in the journal by kind.
        notices: messages for the user.
    """

    fold: Fold
    sequence: int
    newest: dict[str, str]
    notices: tuple[str, ...]


def open_projection(store: Store, cluster: str, rules: Rules, settings: FoldSettings | None = None) -> OpenedProjection:
    """Load the fold of a cluster. Records in the database if its version, the rules or the settings are new.

    Raises:
        StoreError: a newer version of the fold wrote the projection; an older one did and the journal is too long to
            rebuild it now; or the projection is not at the end of the journal.
    """
    inputs = FoldInputs(FOLD_VERSION, rules.digest, settings or FoldSettings())
    notices = _upgrade(store, cluster, rules, inputs)
    sequence = store.last_sequence(cluster)
    fold, last, newest = load_fold(store, cluster, rules, inputs.settings)
    if last != sequence:
        raise StoreError(
            f"{store.name}: the projection is at record {last} of {sequence}: {_rebuild_command(store, cluster)}"
        )
    periods = store.fold_periods(cluster)
    if not periods or periods[-1].inputs != inputs:
        store.start_fold_period(cluster, sequence + 1, inputs)
    folded = [period for period in periods if period.from_seq <= sequence]
    return OpenedProjection(fold, sequence, newest, notices + _changes(folded, inputs))


def _upgrade(store: Store, cluster: str, rules: Rules, inputs: FoldInputs) -> tuple[str, ...]:
    version = store.fold_version(cluster)
    if version is None:
        # Nothing is folded yet; if something is, its version is unknown.
        version = 0 if store.last_sequence(cluster) else FOLD_VERSION
    if version == FOLD_VERSION:
        return ()
    if version > FOLD_VERSION:
        raise StoreError(
            f"{store.name}: was written by a newer kspan (fold version {version}, this one has {FOLD_VERSION}): "
            f"update kspan, or {_rebuild_command(store, cluster)} to go back to this version"
        )
    count = store.record_count(cluster, QUICK_REBUILD + 1)
    if count > QUICK_REBUILD:
        raise StoreError(
            f"{store.name}: was written by an older kspan (fold version {version}, this one has {FOLD_VERSION}) "
            f"and has more than {QUICK_REBUILD:,} journal records: {_rebuild_command(store, cluster)}"
        )
    if store.pruned_to(cluster):
        # Retention may have cut a trace in two. It would get another id and be exported again.
        raise StoreError(
            f"{store.name}: was written by an older kspan (fold version {version}, this one has {FOLD_VERSION}), and "
            f"retention has deleted a part of its journal: {_rebuild_command(store, cluster)}; traces at the limit of "
            "the retention can be exported again"
        )
    rebuild(store, cluster, rules, inputs.settings)
    return (f"the history was written by an older kspan: rebuilt it from {count:,} journal records",)


def _rebuild_command(store: Store, cluster: str) -> str:
    several = f" --cluster {cluster}" if len(store.clusters()) > 1 else ""
    return f"run 'kspan db rebuild --db {store.name}{several}'"


def _changes(periods: Sequence[FoldPeriod], inputs: FoldInputs) -> tuple[str, ...]:
    found = []
    if any(period.inputs.rules != inputs.rules for period in periods):
        found.append(RULES_CHANGED)
    if any(period.inputs.settings != inputs.settings for period in periods):
        found.append(SETTINGS_CHANGED)
    return tuple(found)
