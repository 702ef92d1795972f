"""Loads a fold from the rows of a projection."""

from collections.abc import Iterator
from itertools import chain

import msgspec

from kspan.errors import StoreError
from kspan.graph import Fold, Rules
from kspan.settings import FoldSettings
from kspan.store import Store, is_about_data


def load_fold(
    store: Store, cluster: str, rules: Rules, settings: FoldSettings | None = None
) -> tuple[Fold, int, dict[str, str]]:
    """Load a fold from the rows of a projection: (fold, last journal record in it, newest versions by kind).

    Raises StoreError if a row is not of this version of the fold, or is damaged.
    """
    fold = Fold(cluster, rules, settings)
    try:
        live = store.load_projection(cluster)
        fold.load(
            _consumed(live.objects),
            live.owners,
            chain((row.fold for row in live.pending), (row.fold for row in live.spans)),
            (row.fold for row in live.traces),
            live.clock,
        )
    except (msgspec.DecodeError, StoreError) as error:
        if isinstance(error, StoreError) and not is_about_data(error):
            raise
        raise StoreError(
            f"{store.name}: the stored state of the fold is damaged ({error.__cause__ or error}): "
            f"run '{store.rebuild_command(cluster)}'"
        ) from error
    return fold, live.last_seq, live.newest


def _consumed(states: list[bytes]) -> Iterator[bytes]:
    # Each state is released once it is decoded: two forms of 100,000 objects take half a gigabyte.
    states.reverse()
    while states:
        yield states.pop()
