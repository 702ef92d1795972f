"""Which of the occurrences that wait for their cause a trace has to wait for. Pure.

When a trace is checked, it has been quiet for ``settle``, counted from the end of the hold of its newest occurrence. So
what happened within ``settle`` of that one has been received, together with what shows where it belongs. If versions,
an owner or the field manager show now that the cause of an occurrence is in another trace, this trace does not wait for
it. The cause itself is still chosen at the end of the hold.
"""

from kspan.graph.cause import evidence
from kspan.graph.cause.choice import SUBJECT, UNKNOWN, Choice
from kspan.graph.cause.choose import Chooser
from kspan.graph.cause.prerequisites import PrerequisiteError
from kspan.graph.observe.rollout_status import BUILT_IN
from kspan.graph.state.records import ObjectState, Occurrence, Trace
from kspan.graph.state.state import State
from kspan.graph.trace.placement import REPORTED

BY_VERSION = 0.85
"""Least confidence at which a cause counts as certain here: versions determine it, and not only time."""

LONGEST = 32
"""Number of waiting occurrences that are followed, each the cause of the one before."""


class WaitingOccurrences:
    """Answers questions about occurrences whose cause is not chosen yet."""

    def __init__(self, state: State, chooser: Chooser) -> None:
        self.state = state
        self.chooser = chooser

    def newest(self, trace: Trace, objects: list[ObjectState]) -> int:
        """Return when the newest waiting occurrence on these objects that may join the trace was received (ns).

        0 if there is none.
        """
        pending = [self.state.occurrence(span) for obj in objects for span in self.state.pending_of(obj.uid)]
        elsewhere = set[str]()
        for occ in sorted((occ for occ in pending if occ is not None), key=_received, reverse=True):
            if self._may_join(occ, trace, elsewhere):
                return occ.received
        return 0

    def taken(self, trace: Trace, objects: list[ObjectState]) -> dict[str, int]:
        """Return the objects of the trace that belong to another one, by uid, and since when (ns).

        The newest change of such an object waits, and will certainly be in another trace.
        """
        found: dict[str, int] = {}
        elsewhere = set[str]()
        for obj in objects:
            act = obj.last_act if self.state.is_pending(obj.uid) else None
            occ = self.state.occurrence(act.span) if act is not None and not act.trace else None
            if occ is not None and not self._may_join(occ, trace, elsewhere):
                found[obj.uid] = occ.received
        return found

    def _may_join(self, occ: Occurrence, trace: Trace, elsewhere: set[str]) -> bool:
        """True unless it is certain that an occurrence will be in another trace.

        It is never certain

        * for a trace in which something failed, that continues another, or that comes from another system: occurrences
          join those for more reasons than their cause;
        * for a change of an object that was progressing: its controller acts for either change, and the reports that
          show for which are still to come.

        Args:
            occ: an occurrence.
            trace: a trace.
            elsewhere: span ids of occurrences that are known to be in other traces; more are added.
        """
        if trace.warning or trace.failing or trace.previous_trace or trace.remote or self._may_interrupt(occ):
            return True
        return self._leads_to(occ, trace, set(), elsewhere)

    def _leads_to(self, occ: Occurrence, trace: Trace, visited: set[str], elsewhere: set[str]) -> bool:
        """True if the causes of an occurrence may lead to a member of the trace."""
        if occ.place.trace:
            return occ.place.trace == trace.id
        if occ.id in elsewhere:
            return False
        if occ.decided or occ.id in visited or len(visited) == LONGEST:
            return True
        visited.add(occ.id)
        if self._is_caused_by(occ, trace, visited, elsewhere):
            return True
        elsewhere.add(occ.id)
        return False

    def _is_caused_by(self, occ: Occurrence, trace: Trace, visited: set[str], elsewhere: set[str]) -> bool:
        try:
            choice = self._choice(occ)
        except PrerequisiteError:  # What it depends on waits as well.
            return True
        if choice.confidence < BY_VERSION:
            return True
        if choice.cause is None:
            return not occ.verb  # A change without a cause starts a trace; something else may be in an episode.
        cause = self.state.occurrence(choice.cause.span)
        # What follows from a closed trace is in an episode. Of a listed object, few changes are known.
        if cause is None or cause.inferred_from:
            return True
        return self._leads_to(cause, trace, visited, elsewhere)

    def _choice(self, occ: Occurrence) -> Choice:
        """The choice of the chooser as ``Decider`` asks it; UNKNOWN where more than the cause decides the place."""
        if occ.warning or occ.uncertainty or occ.inferred_from or occ.traceparent or occ.revision:
            return UNKNOWN
        if occ.verb:
            return self._of_change(occ)
        if occ.condition:
            return self.chooser.of_transition(occ)
        if occ.run is not None:
            return self.chooser.of_container_turn(occ)
        return self._of_event(occ)

    def _may_interrupt(self, occ: Occurrence) -> bool:
        """True for a change of an object that was progressing when it was made, or may have been."""
        obj = self.state.object(occ.uid) if occ.verb else None
        if obj is None:
            return False
        made = evidence.made_by(obj, occ)
        return occ.unsettled or obj.kind not in BUILT_IN or made is None or made.interrupts

    def _of_change(self, occ: Occurrence) -> Choice:
        event = evidence.reporting_event(self.state, occ)
        return Choice.event(event, SUBJECT, REPORTED) if event is not None else self.chooser.of_change(occ)

    def _of_event(self, event: Occurrence) -> Choice:
        obj, subject = self.state.object(event.uid), event.subject
        # It may be a repeat, or reported about an object of which only the name is known.
        if obj is None or not obj.rv or obj.deleted or event.top_level:
            return UNKNOWN
        if self.state.placed_before(event) is not None:
            return UNKNOWN
        if subject is None or subject.means not in evidence.VERBS:
            return self.chooser.of_event(event)
        reported = evidence.reported_change(self.state, event)
        change = self.state.occurrence(reported[0].span) if reported is not None else None
        if change is None or change.decided:
            return UNKNOWN
        return self.chooser.of_event_about(event, change)


def _received(occ: Occurrence) -> int:
    return occ.received
