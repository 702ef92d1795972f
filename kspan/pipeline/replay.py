"""``kspan replay``: recordings through the house as the daemon would have had them, on their own clock."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

import msgspec

from kspan.errors import InputError
from kspan.graph import Rules
from kspan.ingest.frames import Frame, read_cluster_uid
from kspan.ingest.list_policy import RECORDED_LISTS
from kspan.ingest.list_watch import ListWatch
from kspan.pipeline.projector import Projector
from kspan.settings import FoldSettings
from kspan.store import Store

LOOK_AHEAD = 5_000
"""Frames that are looked through for the kube-system namespace: a recording begins with its lists (some hundred)."""

NO_CLUSTER = "00000000-0000-0000-0000-000000000000"
"""The cluster of an input that does not tell: the nil UUID (RFC 9562)."""


class Replayed(msgspec.Struct, frozen=True):
    """What a replay did: frames read, records appended, records that were known already, objects skipped as bad.

    ``invalid_contexts`` were ignored; ``notices`` are messages for the user.
    """

    cluster: str
    frames: int
    appended: int
    known_already: int
    skipped: int
    invalid_contexts: int = 0
    notices: tuple[str, ...] = ()


def find_cluster(frames: Iterable[Frame]) -> tuple[str, Iterator[Frame]]:
    """The cluster's uid, and the same frames again.

    An input that breaks while it is looked through breaks where it did, after what came before.
    """
    source = iter(frames)
    seen: list[Frame] = []
    try:
        for frame in islice(source, LOOK_AHEAD):
            seen.append(frame)
            uid = read_cluster_uid(frame)
            if uid is not None:
                return uid, chain(seen, source)
    except InputError as error:
        return NO_CLUSTER, _and_then(seen, error)
    return NO_CLUSTER, chain(seen, source)


def _and_then(frames: list[Frame], error: InputError) -> Iterator[Frame]:
    yield from frames
    raise error


def replay(
    store: Store,
    frames: Iterable[Frame],
    rules: Rules,
    *,
    cluster: str = "",
    settings: FoldSettings | None = None,
    on_bad: Callable[[InputError], None] | None = None,
) -> Replayed:
    """Ingests frames, then lets the clock run out, so that every trace is closed.

    ``cluster`` overrides the uid that the input tells. ``on_bad`` is given an object that cannot be journalled, which
    is then skipped; without it the InputError is raised, after what came before was committed.
    """
    if not cluster:
        cluster, frames = find_cluster(frames)
    projector = Projector(store, cluster, rules, settings)
    streams = ListWatch(projector, store.cursors(cluster), RECORDED_LISTS)
    read, skipped, invalid = 0, 0, projector.fold.invalid_contexts
    try:
        for frame in frames:
            read += 1
            try:
                projector.add(streams.feed(frame))
            except InputError as error:
                if on_bad is None:
                    raise
                skipped += 1
                on_bad(error)
        projector.add(streams.finish())
    except InputError:
        projector.flush()
        raise
    projector.run_out()
    return Replayed(
        cluster,
        read,
        projector.appended,
        projector.known_already,
        skipped,
        invalid_contexts=projector.fold.invalid_contexts - invalid,
        notices=projector.notices,
    )
