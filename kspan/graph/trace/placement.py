"""Where an occurrence goes in the graph once its cause is chosen: under it, as a root, or into an episode. Pure."""

from typing import NamedTuple

from kspan.graph.observe.events import is_combined
from kspan.graph.observe.trace_context import read_context
from kspan.graph.state.records import KnownChange, Occurrence
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
        if self.state.clock.was_closed(name):
            occ.related = occ.traceparent
            return False
        occ.rule, occ.confidence = CARRIED, 1.0
        occ.remote_parent = span
        self.state.join_trace(occ, name)
        return True

    def hang(self, occ: Occurrence, parent: Occurrence) -> None:
        """Hangs an occurrence under its cause."""
        occ.cause = occ.parent = parent.id
        self.state.join_trace(occ, parent.trace)

    def insert_above(self, event: Occurrence, delta: Occurrence) -> None:
        """A late subject-Event takes the place that it would have had above its delta."""
        event.rule, event.confidence = delta.rule, delta.confidence
        event.cause, event.parent, event.episodic = delta.cause, delta.parent, delta.episodic
        event.link_trace, event.link_span = delta.link_trace, delta.link_span
        delta.link_trace = delta.link_span = ""
        delta.episodic = False
        self.state.join_trace(event, delta.trace)
        delta.rule, delta.confidence = SUBJECT, 0.98
        delta.actor = event.actor
        delta.cause = delta.parent = delta.reported_by = event.id
        self.state.change_parent(delta)

    def move(self, occ: Occurrence, parent: Occurrence) -> None:
        """Takes an occurrence and all that follows from it out of where they hang, and hangs them under ``parent``."""
        below = self.state.effects_of(occ.id)
        if occ.trace != parent.trace:
            for span in (occ.id, *below):
                moved = self.state.occurrence(span)
                if moved is not None and moved.trace == occ.trace and span != occ.id:
                    self.state.leave_trace(moved)
                    self.state.join_trace(moved, parent.trace)
            self.state.leave_trace(occ)
        self.hang(occ, parent)

    def start(self, occ: Occurrence, root_of: Occurrence | None) -> None:
        """A root. What only happened to an object, with no cause known, gathers in one trace an object and time."""
        if not occ.verb and root_of is None and not occ.top_level and not (occ.subject and occ.subject.starts):
            self.episode(occ, None)
            return
        root = root_of or occ
        generation = str(root.generation) if root.generation else root.resource_version
        self.state.join_trace(
            occ, trace_id(self.state.cluster, root.uid, root.verb, generation, root.event_uid or root.id)
        )

    def episode(self, occ: Occurrence, cause: KnownChange | None) -> None:
        """What follows a closed trace (or nothing known) gathers in a trace of its own, one an object and time."""
        obj = self.state.object(occ.uid)
        previous = cause.trace if cause is not None else ""
        current = self.state.trace(obj.episode) if obj is not None and obj.episode else None
        if obj is None or current is None or current.previous_trace != previous:
            number = obj.episodes + 1 if obj is not None else 0
            name = trace_id(self.state.cluster, "episode", previous, occ.uid, str(number))
            if obj is not None:
                self.state.start_episode(obj, name)
        else:
            name = current.id
        occ.episodic = True
        occ.cause = cause.span if cause is not None else ""
        if cause is not None:
            occ.link_trace, occ.link_span = cause.trace, cause.span
        self.state.join_trace(occ, name, previous)

    def repeats(self, occ: Occurrence, cause: str) -> bool:
        """Makes a repeat with the same cause a span event of the span before it."""
        last = self.state.placed_before(occ)
        if last is None or last.cause != cause or last.message != occ.message or is_combined(occ.message):
            return False
        self.state.add_repeat(last, occ, occ.event_count)
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
                self.state.merge_transition(obj, this, last)
                self.state.add_repeat(last, occ, _count(last) + 1)
                return True
        return False
