"""The live state of the fold: two digraphs, and indexes derived from them.

``ownership`` (owner -> dependent, nodes are uids) carries an ObjectState on each node; ``causality`` (cause -> effect,
nodes are span ids) an Occurrence, from when its cause is decided: half of the Events turn out to be repeats, and never
are in it. Everything else here can be computed from the two and what waits, and is kept only for speed, so that a
restart needs nothing but the rows of what is live.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable
from sys import intern
from typing import TypeVar

import msgspec
import networkx as nx

from kspan.graph.observe.condition_diff import shared
from kspan.graph.state.event_tracks import EventTracks
from kspan.graph.state.records import Clock, ObjectState, Occurrence, Refusal, Trace
from kspan.model import Delta, GapRow, OwnerRow, PendingRow, SpanRow

Key = TypeVar("Key")


class State:
    """The two graphs and their indexes, and what of them has changed since the last delta."""

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self.clock = Clock()
        self.ownership: nx.DiGraph[str] = nx.DiGraph()
        self.causality: nx.DiGraph[str] = nx.DiGraph()
        self._objects: dict[str, ObjectState] = {}
        self._occurrences: dict[str, Occurrence] = {}
        self.traces: dict[str, Trace] = {}
        self.members: dict[str, set[str]] = defaultdict(set)
        self.by_name: dict[tuple[str, str, str], list[str]] = {}
        self.told: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        self.decisions: dict[str, list[str]] = defaultdict(list)
        self.top_level: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        self.pending: dict[str, set[str]] = defaultdict(set)
        self.tracks = EventTracks()
        self.refused: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self.held: deque[tuple[int, int, Occurrence]] = deque()
        self.deadlines: list[tuple[int, int, int, str]] = []
        self.dirty_objects: dict[str, None] = {}
        self.dirty_spans: dict[str, Occurrence] = {}
        self.dirty_traces: dict[str, None] = {}
        self.delta = Delta()
        # What the database has, as far as it decides between writing a row whole and updating it.
        self.rewritten: set[str] = set()
        self.opened: set[str] = set()
        self._stored_spans: dict[str, tuple[str, int, bool]] = {}
        self._stored_pending: set[int] = set()

    # objects -----------------------------------------------------------------------------------------------------

    def object(self, uid: str) -> ObjectState | None:
        """The object with this uid, if it is remembered."""
        return self._objects.get(uid)

    def objects(self) -> Iterable[ObjectState]:
        """All that are remembered. For rare questions: their number is the cluster's size."""
        return self._objects.values()

    def put_object(self, obj: ObjectState) -> None:
        """Remembers an object under its uid and its name."""
        old = self._objects.get(obj.uid)
        _share_words(obj, old)
        if old is None or _found_by(old) != _found_by(obj):
            self.rewritten.add(obj.uid)
        self.ownership.add_node(obj.uid, object=obj)
        self._objects[obj.uid] = obj
        if obj.name:
            uids = self.by_name.setdefault((obj.kind, obj.namespace, obj.name), [])
            if obj.uid not in uids:
                uids.append(obj.uid)
        self.dirty_objects[obj.uid] = None

    def spoken_of(self, uid: str, kind: str, namespace: str, name: str, kept: int) -> ObjectState:
        """The object with this uid; one that was not seen yet is remembered for ``kept`` ns."""
        obj = self.object(uid)
        if obj is None:
            now = self.clock.now
            obj = ObjectState(uid, kind, namespace, name, created=now, seen=now, forget=now + kept)
            self.put_object(obj)
            self.wait(obj.forget, 2, 0, uid)
        return obj

    def refuse(self, obj: ObjectState, refusal: Refusal) -> None:
        """Notes what the controller of an object was refused, and because of what."""
        self._no_longer_refused(obj)
        obj.refused = refusal
        self.refused[refusal.kind, refusal.namespace, refusal.name].add(obj.uid)
        self.dirty_objects[obj.uid] = None

    def _no_longer_refused(self, obj: ObjectState) -> None:
        if obj.refused is not None:
            key = (obj.refused.kind, obj.refused.namespace, obj.refused.name)
            self.refused[key].discard(obj.uid)
            if not self.refused[key]:
                del self.refused[key]

    def own(self, row: OwnerRow) -> None:
        """Draws an edge owner -> dependent."""
        if not self.ownership.has_edge(row.owner_uid, row.uid):
            self.ownership.add_edge(row.owner_uid, row.uid, row=row)
            self.delta.owners.append(row)

    def forget_object(self, uid: str) -> None:
        """Lets an object go that is deleted and can cause nothing any more."""
        obj = self.object(uid)
        if obj is None:
            return
        uids = self.by_name.get((obj.kind, obj.namespace, obj.name), [])
        if uid in uids:
            uids.remove(uid)
            if not uids:
                del self.by_name[obj.kind, obj.namespace, obj.name]
        self._no_longer_refused(obj)
        owners = list(self.ownership.pred[uid])
        self.ownership.remove_node(uid)
        del self._objects[uid]
        for owner in owners:
            if self.object(owner) is None and not self.ownership.succ[owner]:
                self.ownership.remove_node(owner)

    def named(self, kind: str, namespace: str, name: str) -> list[ObjectState]:
        """The objects that bear or bore this name, oldest first."""
        found = (self.object(uid) for uid in self.by_name.get((kind, namespace, name), ()))
        return sorted((obj for obj in found if obj is not None), key=lambda obj: (obj.created, obj.uid))

    def bearing(self, kind: str, namespace: str, name: str) -> list[ObjectState]:
        """Like ``named``; without a name all of the kind in the namespace."""
        if name:
            return self.named(kind, namespace, name)
        return [obj for obj in self._objects.values() if (obj.kind, obj.namespace) == (kind, namespace)]

    # occurrences ---------------------------------------------------------------------------------------------------

    def holds(self, span: str) -> bool:
        """Whether there is such an occurrence, which waits or is in an open trace."""
        return span in self._occurrences

    def occurrence(self, span: str) -> Occurrence | None:
        """The occurrence with this span id, if it waits or is in an open trace."""
        return self._occurrences.get(span)

    def add_occurrence(self, occ: Occurrence, deadline: int) -> None:
        """Takes in an occurrence that will be decided at ``deadline`` (ns)."""
        self._index(occ)
        self.pending[occ.uid].add(occ.id)
        self._hold(occ, deadline)
        self.dirty_spans[occ.id] = occ

    def drop_occurrence(self, occ: Occurrence) -> None:
        """Lets an occurrence go that became a repeat of another, and its row."""
        self.dirty_spans.pop(occ.id, None)
        stored = self._stored_spans.pop(occ.id, None)
        if stored is not None:
            self.delta.dropped_spans.append((stored[0], occ.id))
        self._drop_pending(occ)
        self.forget_occurrence(occ)

    def write_pending(self, occ: Occurrence, row: PendingRow) -> None:
        """Puts the row of an occurrence that waits into the delta."""
        self.delta.pending.append(row)
        self._stored_pending.add(occ.arrival)

    def _drop_pending(self, occ: Occurrence) -> None:
        if occ.arrival in self._stored_pending:
            self._stored_pending.remove(occ.arrival)
            self.delta.dropped_pending.append((occ.arrival,))

    def write_span(self, occ: Occurrence, row: SpanRow, *, final: bool) -> None:
        """Puts a row into the delta, in the place of the one that the database has of the occurrence: that one has to
        go first if it is under another trace. Whole, if anything differs that an index is about."""
        self._drop_pending(occ)
        place = (row.trace_id, row.start_time, row.error)
        stored = self._stored_spans.pop(row.span_id, None)
        (self.delta.updated_spans if stored == place else self.delta.spans).append(row)
        if stored is not None and stored[0] != row.trace_id:
            self.delta.dropped_spans.append((stored[0], row.span_id))
        if not final:
            self._stored_spans[row.span_id] = place

    def _index(self, occ: Occurrence) -> None:
        self._occurrences[occ.id] = occ
        if occ.event_uid:
            self.tracks.add(occ)
        self.index_told(occ)
        if occ.top_level:
            self.top_level[occ.kind, occ.namespace, occ.name].append(occ.id)
        if occ.subject is not None and occ.subject.starts:
            self.decisions[occ.reported_uid].append(occ.id)

    def index_told(self, occ: Occurrence) -> None:
        """Makes a subject-Event known under the name of its subject."""
        if occ.subject is not None and occ.subject.name:
            self.told[occ.subject.kind, occ.subject.namespace, occ.subject.name].append(occ.id)

    def settle_pending(self, occ: Occurrence) -> None:
        """Notes that an occurrence waits no longer."""
        waiting = self.pending.get(occ.uid)
        if waiting is not None:
            waiting.discard(occ.id)
            if not waiting:
                del self.pending[occ.uid]
        self.dirty_spans[occ.id] = occ

    def forget_occurrence(self, occ: Occurrence) -> None:
        """Lets an occurrence go."""
        if occ.id in self.causality:
            self.causality.remove_node(occ.id)
        del self._occurrences[occ.id]
        if occ.event_uid:
            self.tracks.forget(occ)
        told = occ.subject
        if told is not None and told.name:
            _remove(self.told, (told.kind, told.namespace, told.name), occ.id)
        if told is not None and told.starts:
            _remove(self.decisions, occ.reported_uid, occ.id)
        if occ.top_level:
            _remove(self.top_level, (occ.kind, occ.namespace, occ.name), occ.id)

    def close_occurrence(self, occ: Occurrence) -> None:
        """Lets an occurrence go whose trace is closed: its object remembers what has to be known of it."""
        self.dirty_spans.pop(occ.id, None)
        obj = self.object(occ.reported_uid) if occ.event_uid else None
        if obj is not None and self.tracks.keep(occ, obj):
            self.dirty_objects[obj.uid] = None
        self.forget_occurrence(occ)

    def effect(self, cause: str, occ: Occurrence) -> None:
        """Draws the edge cause -> occurrence, in the place of the one that may have been there."""
        if occ.id in self.causality:
            for old in list(self.causality.pred[occ.id]):
                self.causality.remove_edge(old, occ.id)
        else:
            self.causality.add_node(occ.id, occurrence=occ)
        if cause and cause in self.causality:
            self.causality.add_edge(cause, occ.id, rule=occ.rule, confidence=occ.confidence)

    # time ------------------------------------------------------------------------------------------------------------

    def _hold(self, occ: Occurrence, until: int) -> None:
        # Nearly all are held for the same time, so that they are decided in the order in which they came: a heap of
        # what comes in five seconds would be most of what deciding costs.
        if not self.held or self.held[-1][:2] <= (until, occ.arrival):
            self.held.append((until, occ.arrival, occ))
        else:
            self.wait(until, 0, occ.arrival, occ.id)

    def wait(self, at: int, rank: int, order: int, key: str) -> None:
        """Asks to be woken at ``at`` (ns): rank 0 decides an occurrence, 1 checks a trace, 2 forgets an object."""
        heapq.heappush(self.deadlines, (at, rank, order, key))

    def add_gap(self, gap: GapRow) -> None:
        """Notes a gap for the projection."""
        self.delta.gaps.append(gap)

    # restart ---------------------------------------------------------------------------------------------------------

    def load(
        self,
        objects: Iterable[bytes],
        owners: Iterable[OwnerRow],
        occurrences: Iterable[bytes],
        traces: Iterable[bytes],
        clock: bytes,
        hold: int,
    ) -> None:
        """Takes up what the rows of a projection say is live. What waits does so for ``hold`` (ns)."""
        if clock:
            self.clock = msgspec.msgpack.decode(clock, type=Clock)
        for raw in objects:
            obj = msgspec.msgpack.decode(raw, type=ObjectState)
            self.put_object(obj)
            if obj.refused is not None:
                self.refuse(obj, obj.refused)
            if obj.forget:
                self.wait(obj.forget, 2, 0, obj.uid)
        for row in owners:
            self.ownership.add_edge(row.owner_uid, row.uid, row=row)
        loaded = [msgspec.msgpack.decode(raw, type=Occurrence) for raw in occurrences]
        for occ in sorted(loaded, key=lambda occ: occ.arrival):
            self._index(occ)
            if occ.decided:
                self._stored_spans[occ.id] = (occ.trace, occ.time, occ.warning)
                self.members[occ.trace].add(occ.id)
            else:
                self._stored_pending.add(occ.arrival)
                self.pending[occ.uid].add(occ.id)
                self._hold(occ, occ.received + hold)
        placed = [occ for occ in loaded if occ.decided]
        self.causality.add_nodes_from((occ.id, {"occurrence": occ}) for occ in placed)
        for occ in placed:
            self.effect(occ.parent, occ)
        for raw in traces:
            trace = msgspec.msgpack.decode(raw, type=Trace)
            self.traces[trace.id] = trace
            self.wait(trace.check, 1, 0, trace.id)
        self.dirty_objects.clear()
        self.rewritten.clear()
        self.delta = Delta()


def _remove(index: dict[Key, list[str]], key: Key, span: str) -> None:
    index[key].remove(span)
    if not index[key]:
        del index[key]


def _found_by(obj: ObjectState) -> tuple[str, ...]:
    return obj.resource, obj.kind, obj.namespace, obj.name


def _share_words(obj: ObjectState, old: ObjectState | None) -> None:
    """Words that many objects have, and uids that stand in many places, are kept once: of a hundred thousand objects
    they are some 70 MB."""
    obj.uid, obj.owner, obj.owner_manager = intern(obj.uid), intern(obj.owner), intern(obj.owner_manager)
    obj.kind, obj.resource, obj.api_version = intern(obj.kind), intern(obj.resource), intern(obj.api_version)
    obj.namespace, obj.name, obj.node = intern(obj.namespace), intern(obj.name), intern(obj.node)
    # They seldom change from version to version, and hashing them costs more than all the words.
    unchanged = old is not None and old.conditions == obj.conditions
    obj.conditions = old.conditions if old is not None and unchanged else shared(obj.conditions)
