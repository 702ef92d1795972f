"""Where an occurrence goes in the graph once its cause is chosen: under it, as a root, or into an episode. Pure."""

from typing import NamedTuple

import networkx as nx

from kspan.graph.observe.events import is_combined
from kspan.graph.observe.trace_context import read_context
from kspan.graph.observe.transitions import NOTES_KEPT
from kspan.graph.state.records import KnownChange, Occurrence, Repeat, Trace
from kspan.graph.state.state import State
from kspan.ids import trace_id
from kspan.settings import FoldSettings

CARRIED, SUBJECT, OWN, OWNER, PLACE, ROOT = "carried", "subject", "own", "owner", "place", "root"


class Choice(NamedTuple):
    """A chosen cause (None: a root), the rule that chose it, and how sure it is (0 to 1; see docs/architecture.md)."""

    cause: KnownChange | None
    rule: str
    confidence: float


UNKNOWN = Choice(None, ROOT, 0.3)


REPEATS_KEPT = 128
"""Span events of one span: SDKs and receivers take no more by default (OTEL_SPAN_EVENT_COUNT_LIMIT)."""


def _count(occ: Occurrence) -> int:
    return occ.repeats[-1].count if occ.repeats else 1


class Placer:
    """Hangs decided occurrences into traces, and keeps what depends on where they hang."""

    def __init__(self, state: State, settings: FoldSettings) -> None:
        self.state = state
        self.settings = settings

    def carry(self, occ: Occurrence) -> bool:
        """Joins the trace whose context the changed object carries; tells whether it has.

        A trace that was closed is final: what comes with its context again is only linked to it.
        """
        context = read_context(occ.traceparent)
        if context is None:
            return False
        name, span = context
        if name in self.state.clock.carried:
            occ.related = occ.traceparent
            return False
        occ.rule, occ.confidence = CARRIED, 1.0
        occ.remote_parent = span
        self.join(occ, name)
        return True

    def hang(self, occ: Occurrence, parent: Occurrence) -> None:
        """Hangs an occurrence under its cause."""
        occ.cause = occ.parent = parent.id
        self.join(occ, parent.trace)

    def insert_above(self, event: Occurrence, delta: Occurrence) -> None:
        """A late subject-Event takes the place that it would have had above its delta."""
        event.rule, event.confidence = delta.rule, delta.confidence
        event.cause, event.parent, event.episodic = delta.cause, delta.parent, delta.episodic
        event.link_trace, event.link_span = delta.link_trace, delta.link_span
        delta.link_trace = delta.link_span = ""
        delta.episodic = False
        self.join(event, delta.trace)
        delta.rule, delta.confidence = SUBJECT, 0.98
        delta.actor = event.actor
        delta.cause = delta.parent = delta.reported_by = event.id
        self.state.effect(event.id, delta)
        self.state.dirty_spans[delta.id] = delta

    def move(self, occ: Occurrence, parent: Occurrence) -> None:
        """Takes an occurrence and all that follows from it out of where they hang, and hangs them under ``parent``."""
        below = sorted(nx.descendants(self.state.causality, occ.id))
        if occ.trace != parent.trace:
            for span in (occ.id, *below):
                moved = self.state.occurrence(span)
                if moved is not None and moved.trace == occ.trace and span != occ.id:
                    self.state.members[moved.trace].discard(span)
                    self.join(moved, parent.trace)
            self.state.members[occ.trace].discard(occ.id)
            self.state.dirty_traces[occ.trace] = None
        self.hang(occ, parent)

    def start(self, occ: Occurrence, root_of: Occurrence | None) -> None:
        """A root. What only happened to an object, with no cause known, gathers in one trace an object and time."""
        if not occ.verb and root_of is None and not occ.top_level and not (occ.subject and occ.subject.starts):
            self.episode(occ, None)
            return
        root = root_of or occ
        generation = str(root.generation) if root.generation else root.resource_version
        self.join(occ, trace_id(self.state.cluster, root.uid, root.verb, generation, root.event_uid or root.id))

    def episode(self, occ: Occurrence, cause: KnownChange | None) -> None:
        """What follows a closed trace (or nothing known) gathers in a trace of its own, one an object and time."""
        obj = self.state.object(occ.uid)
        previous = cause.trace if cause is not None else ""
        current = self.state.traces.get(obj.episode) if obj is not None and obj.episode else None
        if obj is None or current is None or current.previous_trace != previous:
            number = 0
            if obj is not None:
                obj.episodes += 1
                number = obj.episodes
                self.state.dirty_objects[obj.uid] = None
            name = trace_id(self.state.cluster, "episode", previous, occ.uid, str(number))
            if obj is not None:
                obj.episode = name
        else:
            name = current.id
        occ.episodic = True
        occ.cause = cause.span if cause is not None else ""
        if cause is not None:
            occ.link_trace, occ.link_span = cause.trace, cause.span
        self.join(occ, name, previous)

    def join(self, occ: Occurrence, name: str, previous: str = "") -> None:
        """Makes an occurrence part of a trace, which it opens if need be."""
        now = self.state.clock.now
        trace = self.state.traces.get(name)
        if trace is None:
            check = now + self.settings.settle
            trace = self.state.traces[name] = Trace(name, now, now, check, previous_trace=previous)
            self.state.opened.add(name)
            self.state.wait(check, 1, 0, name)
        trace.active = max(trace.active, now)
        trace.warning = trace.warning or occ.warning
        occ.trace = name
        self.state.members[name].add(occ.id)
        self.state.effect(occ.parent, occ)
        if occ.event_uid:
            self.state.tracks.placed(occ)
        self.state.dirty_traces[name] = None
        self.state.dirty_spans[occ.id] = occ
        self._note_trace(occ)

    def _note_trace(self, occ: Occurrence) -> None:
        """Objects keep the trace of their causes: once it is closed, only they know it."""
        obj = self.state.object(occ.uid) if occ.verb or occ.condition else None
        if obj is None:
            return
        for cause in obj.changes if occ.verb else obj.transitions:
            if cause.span == occ.id:
                cause.trace = occ.trace
        self.state.dirty_objects[obj.uid] = None

    def mark_loss(self, occ: Occurrence, *, ordered: bool) -> None:
        """Notes on the owner of what was deleted whether its controller did it."""
        obj = self.state.object(occ.uid) if occ.verb == "Delete" else None
        owner = self.state.object(obj.owner) if obj is not None and obj.owner else None
        if owner is None:
            return
        for loss in owner.lost_dependents:
            if loss.span == occ.id:
                loss.ordered = int(ordered)
        self.state.dirty_objects[owner.uid] = None

    def repeats(self, occ: Occurrence, cause: str) -> bool:
        """Makes a repeat with the same cause a span event of the span before it."""
        last = self.state.tracks.placed_before(occ)
        if last is None or last.cause != cause or last.message != occ.message or is_combined(occ.message):
            return False
        self._repeat(occ, last, Repeat(occ.time, occ.event_count, occ.message, occ.arrival))
        return True

    def turns_again(self, occ: Occurrence, cause: str) -> bool:
        """Makes a turn that came before, from the same cause, a span event of that: what flaps must not flood."""
        obj = self.state.object(occ.uid)
        this = next((t for t in obj.transitions if t.span == occ.id), None) if obj is not None else None
        if obj is None or this is None:
            return False
        for earlier in reversed([t for t in obj.transitions if t.rv < this.rv and t.type == this.type]):
            last = self.state.occurrence(earlier.span)
            if last is not None and last.trace and (last.reason, last.cause) == (occ.reason, cause):
                this.span, this.trace = last.id, last.trace
                self.state.dirty_objects[obj.uid] = None
                self._repeat(occ, last, Repeat(occ.time, _count(last) + 1, occ.message, occ.arrival))
                return True
        return False

    def _repeat(self, occ: Occurrence, last: Occurrence, repeat: Repeat) -> None:
        if len(last.repeats) == REPEATS_KEPT:
            # The newest one tells until when, and how many there were.
            repeat = max(last.repeats.pop(), repeat, key=lambda r: r.arrival)
        last.repeats.append(repeat)
        last.warning = last.warning or occ.warning
        last.notes = [*last.notes, *occ.notes][:NOTES_KEPT]
        trace = self.state.traces[last.trace]
        trace.active = max(trace.active, self.state.clock.now)
        self.state.dirty_spans[last.id] = last
        self.state.dirty_traces[trace.id] = None
        self.state.drop_occurrence(occ)
