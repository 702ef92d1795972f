"""Journal records become object states and occurrences. Pure.

Occurrences depend only on the order of records within a stream, which the API server guarantees; the order between
streams does not matter.
"""

from kspan.graph.observe.changes import ChangeObserver
from kspan.graph.observe.condition_diff import PHASE
from kspan.graph.observe.containers import ContainerObserver
from kspan.graph.observe.events import EventObserver
from kspan.graph.observe.failures import FailureObserver
from kspan.graph.observe.object_state import (
    LABELLED,
    ObservedObject,
    baseline_entries,
    next_state,
    observed_object,
    owner_rows,
    revived,
    spec_changed,
)
from kspan.graph.observe.transitions import TransitionObserver
from kspan.graph.rules.references import source_of
from kspan.graph.rules.rules import Rules
from kspan.graph.rules.status_fields import read_signals
from kspan.graph.state.records import ObjectState
from kspan.graph.state.state import State
from kspan.k8s.objects import decode_object
from kspan.model import LogRecord, RecordType
from kspan.settings import FoldSettings


class Observer:
    """Adds object states and occurrences to the state of the fold."""

    def __init__(self, state: State, rules: Rules, settings: FoldSettings) -> None:
        self.state = state
        self.rules = rules
        self.settings = settings
        self.failures = FailureObserver(rules.failures, settings)
        self.events = EventObserver(state, rules, self.failures)
        self.changes = ChangeObserver(state, rules)
        self.transitions = TransitionObserver(state, rules)
        self.containers = ContainerObserver(state)

    def observe(self, record: LogRecord) -> None:
        """Process a record of an object. An object that does not match the schema is ignored."""
        if record.kind == "Event" and record.resource.startswith("v1/"):
            self.events.observe(record)
            return
        obj = decode_object(record.payload)
        if obj is not None and obj.metadata.uid:
            obj.kind = obj.kind or record.kind
            obj.apiVersion = obj.apiVersion or record.api_version
            known = self.state.object(obj.metadata.uid)
            if known is not None and known.deleted and record.type is not RecordType.DELETED:
                known = revived(known)
            self._observe(observed_object(record, obj, known), known)

    def _observe(self, seen: ObservedObject, known: ObjectState | None) -> None:
        new = self._remember(seen, known)
        if seen.record.type is RecordType.LISTED:
            writers = baseline_entries(seen, new)
            self.state.objects.set_baseline(new, writers, deleting=bool(seen.meta.deletionTimestamp))
            if new.kind == "Pod":
                self.containers.remember(seen, new)
            elif new.kind in self.rules.sources:
                self.transitions.remember_revision(seen, new)
            return
        # An object that is only known from references has no version.
        self._observe_change(seen, new, known if known is not None and known.rv else None)
        if new.kind == "Pod":
            self.containers.observe(seen, new)
        if new.deleting:
            self.changes.note_finalizers(seen, new)
        if seen.record.type is RecordType.DELETED:
            self.state.objects.delete(new, self.changes.removed_at(seen, new))
            return
        if new.conditions != (known.conditions if known is not None else ()):
            self._observe_transitions(seen, new, known)
        if new.deleting and new.kind == "Namespace":
            self.transitions.note_remaining(seen, new)

    def _remember(self, seen: ObservedObject, known: ObjectState | None) -> ObjectState:
        """Put the new state of an object, its owners and its scale target into the state of the fold."""
        new = next_state(seen, known, self.state.clock.now, self.settings)
        if new.kind in self.rules.sources and (known is None or known.spec != new.spec):
            new.source = source_of(new.spec, self.rules.sources[new.kind].reference, new.namespace)
        if (fields := self.rules.status_fields.get(new.kind)) is not None and seen.obj.status:
            new.signals = read_signals(bytes(seen.obj.status), fields)
        new.failures = self.failures.after_status(seen, new, self.state.clock.now)
        self.state.objects.put(new)
        if known is not None and known.progressing and not new.progressing:
            self.state.objects.end_changes(new, new.reached)
        if new.failures != (known.failures if known is not None else ()):
            self.state.check_traces_of(new)
        if known is None or new.owners != known.owners:
            for row in owner_rows(seen.meta):
                self.state.objects.own(row)
        if new.target_name and (known is None or not known.target_name):
            self.events.set_scale_target(new)
        return new

    def _observe_change(self, seen: ObservedObject, new: ObjectState, old: ObjectState | None) -> None:
        """Add the change that a record shows, if any. An object that is being deleted has no further changes."""
        if old is not None and old.deleting:
            return
        if seen.record.type is RecordType.DELETED or seen.meta.deletionTimestamp:
            self.state.objects.mark_deleting(new)
            self.changes.deleted(seen, new, old)
        elif old is None:
            self.changes.created(seen, new)
        elif spec_changed(old, new):
            self.changes.updated(seen, new, old)
        elif new.signals != old.signals:
            self.changes.signalled(seen, new, old)
        elif new.kind in LABELLED:
            self.changes.relabelled(seen, new, old)
        elif not new.spec and not new.generation and new.resource_version != old.resource_version:
            self.changes.content_changed(seen, new, old)

    def _observe_transitions(self, seen: ObservedObject, new: ObjectState, known: ObjectState | None) -> None:
        """Add condition and phase transitions. A Pod that ended is lost to its owner, unless it completed its Job."""
        for occ in self.transitions.observe(seen, new, known):
            if (
                occ.condition_status == PHASE
                and new.kind == "Pod"
                and (occ.condition == "Failed" or self.changes.owner_kind(new) != "Job")
            ):
                self.changes.lost(new, occ, occ.rv, ended=True)
