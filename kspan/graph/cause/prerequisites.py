"""Conditions for choosing a cause. Pure: a chooser changes nothing, it raises them as errors and is called again."""

from collections.abc import Iterable
from typing import NamedTuple

from kspan.graph.cause.infer import infer_changes
from kspan.graph.rules.rules import Rules
from kspan.graph.state.records import KnownChange, ObjectState, Occurrence, Transition
from kspan.graph.state.state import State
from kspan.settings import FoldSettings


class Decide(NamedTuple):
    """Decide these occurrences, in this order."""

    occurrences: list[Occurrence]


class AddInferred(NamedTuple):
    """Add the unseen changes of a listed object, oldest first, and decide them."""

    obj: ObjectState
    changes: list[tuple[Occurrence, KnownChange]]
    near: int
    """Time of the occurrence for which they were inferred (ns)."""


class Publish(NamedTuple):
    """Promote the unpublished label change of an object to an occurrence."""

    obj: ObjectState


Prerequisite = Decide | AddInferred | Publish


class PrerequisiteError(Exception):
    """A cause cannot be chosen before ``prerequisite`` is done."""

    def __init__(self, prerequisite: Prerequisite) -> None:
        super().__init__(prerequisite)
        self.prerequisite = prerequisite


class Prerequisites:
    """Each method raises PrerequisiteError until its condition is true."""

    def __init__(self, state: State, rules: Rules, settings: FoldSettings) -> None:
        self.state = state
        self.rules = rules
        self.settings = settings

    def require_decided(self, spans: Iterable[str]) -> None:
        """The occurrences with these span ids have been decided, if they are in the graph."""
        find = self.state.occurrence
        waiting = [occ for span in spans if (occ := find(span)) is not None and not occ.decided]
        if waiting:
            raise PrerequisiteError(Decide(waiting))

    def require_inferred(self, obj: ObjectState, occ: Occurrence) -> None:
        """The unseen changes of a listed object have been added that can be causes of ``occ``.

        A top-level Event of the object may report one, so these have been decided.
        """
        events = self.state.top_level_events(obj.kind, obj.namespace, obj.name)
        if events:
            self.require_decided([event.id for event in events if event.id != occ.id])
        # What is inferred for an occurrence includes what would be for a later one.
        if obj.baseline is None or 0 < obj.baseline.near <= occ.time:
            return
        changes = infer_changes(self.state, self.rules, self.settings, obj, occ.time)
        if changes is not None:
            raise PrerequisiteError(AddInferred(obj, changes, occ.time))

    def require_published(self, objects: Iterable[ObjectState], before: Occurrence) -> None:
        """Label changes of these objects before an occurrence are occurrences."""
        for obj in objects:
            if obj.unpublished is not None and obj.unpublished.rv < before.rv:
                raise PrerequisiteError(Publish(obj))

    def require_cause(self, transition: Transition) -> KnownChange:
        """A transition as a cause. It has been decided: it may have become a repeat of an earlier one."""
        self.require_decided([transition.span])
        return transition.as_cause()
