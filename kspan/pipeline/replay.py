"""``kspan replay``: processes recordings as the daemon would have processed the cluster, in event time."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

import msgspec

from kspan.errors import InputError
from kspan.graph import Rules
from kspan.ingest.frames import Frame, read_cluster_uid
from kspan.ingest.journal_builder import JournalBuilder
from kspan.ingest.list_policy import RECORDED_LISTS
from kspan.pipeline.open_projection import Notice
from kspan.pipeline.projector import Projector
from kspan.settings import FoldSettings
from kspan.store import Store

LOOK_AHEAD = 5_000
"""Frames in which the namespace kube-system is searched for. A recording begins with its lists, some hundred frames."""

NO_CLUSTER = "00000000-0000-0000-0000-000000000000"
"""The cluster uid of an input without the namespace kube-system: the nil UUID (RFC 9562)."""


class Replayed(msgspec.Struct, frozen=True):
    """The result of a replay."""

    cluster: str
    frames: int
    """Frames read."""
    appended: int
    """Records appended to the journal."""
    known_already: int
    """Records that the journal already had."""
    skipped: int
    """Invalid objects."""
    invalid_contexts: int = 0
    """Invalid trace contexts that were ignored."""
    notices: tuple[Notice, ...] = ()
    """Messages for the user."""


def find_cluster(frames: Iterable[Frame]) -> tuple[str, Iterator[Frame]]:
    """The cluster's uid, and all frames.

    If the input fails while it is searched, the returned iterator raises the error after the frames before it.
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
        return NO_CLUSTER, _then_raise(seen, error)
    return NO_CLUSTER, chain(seen, source)


def _then_raise(frames: list[Frame], error: InputError) -> Iterator[Frame]:
    yield from frames
    raise error


def replayed_with(
    contexts: Iterable[str] = FoldSettings().context_annotations, span_labels: Iterable[str] = ()
) -> FoldSettings:
    """The settings of a replay: nobody waits for a trace, so a failure does not cut it in two."""
    labels = tuple(dict.fromkeys(span_labels))
    return FoldSettings(report_failure_after=0, context_annotations=tuple(contexts), span_labels=labels)


def replay(
    store: Store,
    frames: Iterable[Frame],
    rules: Rules,
    *,
    cluster: str = "",
    settings: FoldSettings | None = None,
    on_bad: Callable[[InputError], None] | None = None,
) -> Replayed:
    """Process frames, then let event time run out, so that every trace is closed.

    Args:
        cluster: overrides the cluster uid of the input.
        settings: settings of the fold (default: ``replayed_with()``).
        on_bad: called for each invalid object, which is then skipped. Without it the InputError is raised, after the
            frames before it were committed.
    """
    if not cluster:
        cluster, frames = find_cluster(frames)
    projector = Projector(store, cluster, rules, settings or replayed_with())
    streams = JournalBuilder(projector, store.cursors(cluster), RECORDED_LISTS)
    if projector.fold.is_held:
        projector.let_time_pass(projector.fold.now)  # A daemon was killed during an outage. Time goes on from there.
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
