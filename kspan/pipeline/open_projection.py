"""Opens the projection of a cluster for writing: checks its version, rebuilds it after an upgrade, loads the fold."""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from kspan.errors import StoreError
from kspan.graph import Fold, Rules
from kspan.graph.state.version import FOLD_VERSION
from kspan.pipeline.load_fold import load_fold
from kspan.pipeline.rebuild import rebuild
from kspan.settings import FoldInputs, FoldSettings
from kspan.store import Store, is_about_data
from kspan.times import SECOND

QUICK_REBUILD: Final = 100_000
"""Journal records up to which a projection is rebuilt when it is opened: about 10 s of processor time.

Measured with ``time kspan db rebuild`` on the storm recording: 57,748 records in 6.0 s of processor time."""


_Recorded = TypeVar("_Recorded")


class Notice(msgspec.Struct, frozen=True):
    """A message for the user about the history in the database."""

    text: str
    warning: bool = True


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
    notices: tuple[Notice, ...]


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
            f"{store.name}: the projection is at record {last} of {sequence}: run '{store.rebuild_command(cluster)}'"
        )
    periods = _readable(store, cluster, store.fold_periods)
    if not periods or periods[-1].inputs != inputs:
        store.start_fold_period(cluster, sequence + 1, inputs)
        folded = [period.inputs for period in periods if period.from_seq <= sequence]
        notices += _changes(store, cluster, folded[-1], inputs) if folded else ()
    return OpenedProjection(fold, sequence, newest, notices)


def _upgrade(store: Store, cluster: str, rules: Rules, inputs: FoldInputs) -> tuple[Notice, ...]:
    version = _readable(store, cluster, store.fold_version)
    if version is None:
        # Nothing is folded yet; if something is, its version is unknown.
        version = 0 if store.last_sequence(cluster) else FOLD_VERSION
    if version == FOLD_VERSION:
        return ()
    command = f"run '{store.rebuild_command(cluster)}'"
    if version > FOLD_VERSION:
        raise StoreError(
            f"{store.name}: was written by a newer kspan (fold version {version}, this one has {FOLD_VERSION}): "
            f"update kspan, or {command} to go back to this version"
        )
    count = store.record_count(cluster, QUICK_REBUILD + 1)
    if count > QUICK_REBUILD:
        raise StoreError(
            f"{store.name}: was written by an older kspan (fold version {version}, this one has {FOLD_VERSION}) "
            f"and has more than {QUICK_REBUILD:,} journal records: {command}"
        )
    if store.pruned_to(cluster):
        # Traces that retention has cut change, so a person decides.
        raise StoreError(
            f"{store.name}: was written by an older kspan (fold version {version}, this one has {FOLD_VERSION}), and "
            f"retention has deleted a part of its journal: {command}; traces that began before the retention lose "
            "their beginning"
        )
    rebuild(store, cluster, rules, inputs.settings)
    text = f"the history was written by an older kspan: rebuilt it from {count:,} journal records"
    return (Notice(text, warning=False),)


def _readable(store: Store, cluster: str, read: Callable[[str], _Recorded]) -> _Recorded:
    """Return a record of how the history was made. Raises StoreError, with the command that repairs damage."""
    try:
        return read(cluster)
    except StoreError as error:
        if not is_about_data(error):
            raise
        raise StoreError(
            f"{store.name}: the record of how the history was made is damaged (table fold_history): "
            f"run '{store.rebuild_command(cluster)}'"
        ) from error


def _changes(store: Store, cluster: str, before: FoldInputs, now: FoldInputs) -> tuple[Notice, ...]:
    changed = ["rules"] if before.rules != now.rules else []
    changed += [
        f"{name.replace('_', '-')} {_text(old)} → {_text(new)}"
        for name, old in msgspec.structs.asdict(before.settings).items()
        if old != (new := getattr(now.settings, name))
    ]
    if not changed:
        return ()
    return (
        Notice(
            f"the history was made with other settings ({', '.join(changed)}): new records use the current ones; "
            f"'{store.rebuild_command(cluster)}' applies them to the whole history"
        ),
    )


def _text(value: int | tuple[str, ...]) -> str:
    return f"{value / SECOND:g}s" if isinstance(value, int) else ", ".join(value) or "none"
