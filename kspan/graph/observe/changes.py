"""Changes of an object become occurrences: creation, update, deletion, new labels. Pure."""

from collections.abc import Sequence

from kspan.graph.observe import diff, field_managers
from kspan.graph.observe.condition_diff import ended_phase
from kspan.graph.observe.diff import join_summaries
from kspan.graph.observe.field_managers import NO_WRITER, ContentChange, FieldManagerEntry, Writer
from kspan.graph.observe.object_state import ObservedObject
from kspan.graph.observe.timing import clock_error, estimate_time, middle
from kspan.graph.rules.references import applier_of, whole_of
from kspan.graph.rules.rules import Rules
from kspan.graph.rules.status_fields import ChangedFields, changed_fields, revision_of
from kspan.graph.state.objects import PAUSED_KEPT
from kspan.graph.state.records import (
    Finalizer,
    Gap,
    KnownChange,
    LostDependent,
    News,
    ObjectState,
    Occurrence,
    Replacement,
)
from kspan.graph.state.state import State
from kspan.ids import span_id
from kspan.k8s.objects import ObjectMeta, decode_spec
from kspan.k8s.resource_version import EPOCH_STEP
from kspan.model import VANISHED, LogRecord, RecordType
from kspan.times import SECOND, parse_time_or_zero

FINALIZERS_KEPT = 16
"""Finalizers of one object that is being deleted. Objects have one or two."""

_UPDATERS = {
    "Node": "node-controller",
    "PersistentVolume": "persistentvolume-controller",
    "PersistentVolumeClaim": "persistentvolume-controller",
}
"""The controllers of the controller manager that change the spec of these kinds, also if another one has created the
object."""


class ChangeObserver:
    """Creates the occurrences of changes."""

    def __init__(self, state: State, rules: Rules) -> None:
        self.state = state
        self.rules = rules

    def created(self, seen: ObservedObject, new: ObjectState) -> None:
        """Add the creation of an object. If it replaces a dependent that its owner lost, the owner notes that."""
        entry = self._creator(seen, new)
        writer = Writer(entry.manager, entry.subresource) if entry is not None else NO_WRITER
        occ, change = self._written(seen, new, "Create", writer, new.created)
        self._publish(new, None, occ, change)
        occ.whole = whole_of(self.rules.parts, seen.meta.annotations, new.namespace)
        _set_context(occ, new.traceparent, changed=bool(new.traceparent))
        if new.kind == "Node":
            change.effect = "opened"
        elif seen.spec.paused and new.kind == "Deployment":
            change.effect = "paused"
        in_gap = self._date_in_gap(seen.record, occ, change, None, new.created)
        # In a gap, a list shows the replacement first, and what it replaces as missing once it is complete.
        owner = self.state.objects.owner(new) if in_gap else self.state.object(new.owner)
        if owner is not None and (owner.lost_dependents or in_gap):
            self.state.objects.add_replacement(owner, Replacement(occ.id, occ.rv, occ.time, new.name, new.node))
        self.state.add_change(new, occ, change)

    def _creator(self, seen: ObservedObject, new: ObjectState) -> FieldManagerEntry | None:
        """Return the entry of who created an object: in a gap, others can have written it since."""
        entries = new.field_managers
        if new.kind in field_managers.COMPLETED:
            entries = field_managers.field_manager_entries(seen.meta.managedFields, content=True)
        found = field_managers.creator(entries, new.created, new.owner_manager, new.kind)
        return found if found is not None or self._is_in_gap(seen, new) else field_managers.newest_entry(entries)

    def _is_in_gap(self, seen: ObservedObject, new: ObjectState) -> bool:
        """True if the version of an object was written while its stream was not watched."""
        return new.rv <= self.state.clock.gap(seen.record.resource).end

    def updated(
        self, seen: ObservedObject, new: ObjectState, old: ObjectState, content: ContentChange | None = None
    ) -> None:
        """Add a change of an object's spec, or of its ``content`` if only the metadata are known."""
        patch, summary = _describe(old, new)
        writer = self._writer(seen, new, old, patch)
        if content is not None:
            summary = join_summaries(content.summary if content.certain else f"perhaps {content.summary}", summary)
            if writer == NO_WRITER and content.manager:
                writer = Writer(content.manager, probable=True)
        elif not new.spec and (content := _content_change(seen, new, old)) is not None:
            summary = join_summaries(content.summary, summary)
        occ, change = self._written(seen, new, "Update", writer, writer.time)
        self._publish(new, old, occ, change)
        _set_context(occ, new.traceparent, changed=new.traceparent != old.traceparent)
        occ.patch, occ.summary = patch, summary
        change.replicas_before, change.template_changed = old.replicas, old.template != new.template
        occ.unsettled = old.progressing
        suspended = new.kind == "Job" and bool(seen.spec.suspend)  # Its Pods are deleted.
        change.interrupts = old.progressing and (change.template_changed or suspended)
        if new.kind == "Node":
            change.effect = field_managers.node_change(old.spec, new.spec)
        elif seen.spec.paused and new.kind == "Deployment":
            change.effect = "paused"
        elif new.kind == "Deployment" and decode_spec(old.spec).paused:
            change.effect, occ.resumes = "resumed", _made_while_paused(old)
        self._date_in_gap(seen.record, occ, change, old, writer.time)
        if change.manual:
            self._tell_whole(seen.meta, occ, change, new)
        self.state.add_change(new, occ, change)

    def content_changed(self, seen: ObservedObject, new: ObjectState, old: ObjectState) -> None:
        """Add a change of an object of which only the metadata are known, if managedFields show that there was one.

        Not the heartbeats of programs: the lock of a leader election is an annotation, and a status is the same field
        again and again.
        """
        content = _content_change(seen, new, old)
        if content is None:
            return
        if not content.named:
            writer = self._writer(seen, new, old, "")
            by_person = self.rules.is_person(writer.manager or content.manager)
            before, received = old.field_managers, seen.record.recorded_at
            heartbeat = field_managers.is_heartbeat(before, writer, new.created, received)
            if not by_person and (heartbeat or not content.certain):
                return
        self.updated(seen, new, old, content)

    def signalled(self, seen: ObservedObject, new: ObjectState, old: ObjectState) -> None:
        """Add a change of fields of the status that make controllers act: somebody wrote a request there, or published
        a revision. What the controller of the object writes there does not count."""
        fields = self.rules.status_fields[new.kind]
        changed = changed_fields(old.signals, new.signals, fields)
        writer = self._signal_writer(seen, changed)
        by_controller = self._is_controller_of(writer.manager, seen.meta)
        # A controller never writes such a field alone. Who removes one leaves no trace in managedFields.
        requested = not by_controller if changed.written and writer.manager else changed.alone
        if not changed.exist or not (revision_of(new.signals) if fields.publishes else requested):
            return
        occ, change = self._written(seen, new, "Update", writer, writer.time, by_version=True)
        occ.by_controller, change.manual = by_controller, not by_controller
        occ.patch, occ.summary = diff.describe_status(changed.before, changed.after)
        occ.unsettled = old.progressing
        change.interrupts = any(changed.after.get(name) is True for name in fields.cancels)
        self._date_in_gap(seen.record, occ, change, old, writer.time)
        self._publish(new, old, occ, change)
        self.state.add_change(new, occ, change)

    def _publish(self, new: ObjectState, old: ObjectState | None, occ: Occurrence, change: KnownChange) -> None:
        """Note the revision that an object publishes since a change, if that is new."""
        fields = self.rules.status_fields.get(new.kind) if new.signals else None
        if fields is None or not fields.publishes or (old is not None and old.signals[:1] == new.signals[:1]):
            return
        occ.revision = revision_of(new.signals)
        if occ.revision:
            change.effect = "published" if occ.verb == "Update" else ""
            self.state.objects.add_news(new, News(occ.id, change.rv, occ.time, occ.revision))

    def _signal_writer(self, seen: ObservedObject, changed: ChangedFields) -> Writer:
        """Return who wrote the fields of a status that have a new value: their manager.

        Who only removed fields was probably the person that wrote into this status before.
        """
        entries = seen.meta.managedFields
        for name in changed.written:
            found = field_managers.field_writer(entries, f"f:{name.partition('.')[0]}")
            if found is not None:
                return found
        people = (e.manager for e in entries or () if e.subresource == "status" and self.rules.is_person(e.manager))
        manager = max(people, default="") if not changed.written else ""
        return Writer(manager, "status", probable=True) if manager else NO_WRITER

    def _is_controller_of(self, manager: str, meta: ObjectMeta) -> bool:
        """True if a manager is a known controller, or writes the conditions of the object."""
        if not manager or self.rules.is_person(manager):
            return False
        return self.rules.is_controller(manager) or field_managers.writes_conditions(manager, meta.managedFields)

    def relabelled(self, seen: ObservedObject, new: ObjectState, old: ObjectState) -> None:
        """Keep a change of labels by a person or tool. It is added when it turns out to be the cause of something.

        New labels of a Pod are the cause when an owner adopts or releases it.
        """
        if new.labels != old.labels:
            patch, summary = _describe(old, new)
            writer = self._writer(seen, new, old, patch)
            if not self.rules.is_controller(writer.manager):
                occ = self._occurrence(new, "Update", seen.record, writer.time, by_version=True)
                occ.manager, occ.probable_manager = writer.manager, writer.probable
                occ.actor = field_managers.service_of(writer.manager) or "unknown"
                occ.patch, occ.summary, occ.unsettled = patch, summary, old.progressing
                self.state.objects.keep_unpublished(new, occ)
        if old.owner and not new.owner and new.unpublished is not None:
            self.lost(old, self.state.publish_change(new), new.rv)
        elif new.owner and not old.owner and new.unpublished is not None:
            self.state.publish_change(new)

    def deleted(self, seen: ObservedObject, new: ObjectState, old: ObjectState | None) -> None:
        """Add the deletion of an object, at the first record that shows it.

        An object that is missing from a list was deleted after the version that was seen last, and before the list.
        """
        record, meta, floor = seen.record, seen.meta, 0
        if meta.deletionTimestamp and record.type is not RecordType.DELETED:
            # deletionTimestamp is the time of the request plus the grace period.
            floor = parse_time_or_zero(meta.deletionTimestamp) - (meta.deletionGracePeriodSeconds or 0) * SECOND
        occ = self._occurrence(new, "Delete", record, floor)
        occ.actor = "unknown"
        occ.by_controller = True
        occ.related = new.traceparent
        occ.applier = self._applied_for(seen.meta)
        occ.notes = (*occ.notes, *self.state.objects.take_announcements(new))
        ended = ended_phase(new.conditions)
        change = KnownChange(occ.id, occ.verb, occ.rv, occ.time)
        change.effect = "deleted" if new.kind == "Node" else "ended" if ended else ""
        change.interrupts = occ.unsettled = old is not None and old.progressing
        self._date_in_gap(record, occ, change, old, floor)
        self._tell_whole(seen.meta, occ, change, new)
        self.state.add_change(new, occ, change)
        if not ended:  # A finished Pod was already counted as lost when it finished.
            self.lost(new, occ, change.rv)

    def note_finalizers(self, seen: ObservedObject, obj: ObjectState) -> None:
        """Note on the deletion of an object which finalizers hold it, and which of them were removed.

        The last record of an object still shows the finalizer with which it was removed.
        """
        deletion = self.state.occurrence(obj.changes[-1].span) if obj.changes else None
        if deletion is None or deletion.verb != "Delete":
            return  # Its trace is closed, or the first list showed it.
        if not seen.meta.finalizers and not deletion.finalizers:
            return  # Nothing holds the object: a Pod that ends gracefully.
        gone = seen.record.type is RecordType.DELETED
        now = self.removed_at(seen, obj)  # A finalizer is removed after the request, too, and before the object.
        present = () if gone else seen.meta.finalizers or ()
        known = {finalizer.name for finalizer in deletion.finalizers}
        added = tuple(Finalizer(name) for name in dict.fromkeys(present) if name not in known)
        found = (f if f.removed or f.name in present else Finalizer(f.name, now) for f in deletion.finalizers)
        self.state.set_finalizers(deletion, (*found, *added)[:FINALIZERS_KEPT])

    def _tell_whole(self, meta: ObjectMeta, occ: Occurrence, change: KnownChange, part: ObjectState) -> None:
        """Make a change of an object a possible cause of what is done for the one of which it is a part: a Rollout can
        use the pod template of a Deployment (argoproj RolloutSpec, workloadRef)."""
        occ.whole = whole_of(self.rules.parts, meta.annotations, occ.namespace)
        if change.template_changed and not occ.whole:
            rollouts = (o for o in self.state.objects.targeting(part) if o.kind == "Rollout" and not o.deleting)
            occ.whole = next(((o.kind, o.namespace, o.name) for o in rollouts), ())
        for obj in self.state.objects.named(*occ.whole) if len(occ.whole) == 3 else ():
            if not obj.deleting and not self.state.holds(occ.id):
                self.state.objects.add_change_of_part(obj, change)

    def removed_at(self, seen: ObservedObject, new: ObjectState) -> int:
        """When an object was removed from storage (ns): if nobody saw that, the earliest possible time."""
        stated, received = parse_time_or_zero(seen.meta.deletionTimestamp), seen.record.recorded_at
        if not self._vanished(seen.record, new.rv):
            # An object is removed after the request, and after its last change.
            requested = stated - (seen.meta.deletionGracePeriodSeconds or 0) * SECOND
            earliest = received - self.state.clock.unwatched_before(seen.record)
            return min(received, max(earliest, requested, new.written))
        gap = self.state.clock.gap(seen.record.resource)
        return min(max(seen.record.recorded_at, gap.until), max(stated, gap.since))

    def lost(self, obj: ObjectState, occ: Occurrence, rv: int, *, ended: bool = False) -> None:
        """Note on the owner of an object that it lost this dependent.

        Args:
            obj: the dependent.
            occ: its deletion, its release by the owner, or the transition to the phase in which it ended.
            rv: the resourceVersion of that; the earliest possible if it was not watched.
            ended: it finished, and still exists.
        """
        ordered = 0 if ended else -1
        self.state.objects.add_lost_dependent(
            obj, LostDependent(occ.id, rv, occ.time, obj.uid, obj.name, obj.node, ordered=ordered, ended=ended)
        )

    def _written(
        self, seen: ObservedObject, new: ObjectState, verb: str, writer: Writer, floor: int, *, by_version: bool = False
    ) -> tuple[Occurrence, KnownChange]:
        """Return a creation or update with its writer, and what is kept of it as a possible cause."""
        occ = self._occurrence(new, verb, seen.record, floor, by_version=by_version)
        occ.manager, occ.subresource, occ.probable_manager = writer.manager, writer.subresource, writer.probable
        occ.by_controller = self._is_by_controller(new, occ.manager, seen.meta)
        occ.actor = self._actor(new, occ)
        occ.applier = self._applier(seen.meta, occ.manager)
        change = KnownChange(occ.id, occ.verb, occ.rv, occ.time, new.replicas, template=new.template)
        change.generation = occ.generation
        change.manual, change.manager = not occ.by_controller, occ.manager
        return occ, change

    def _writer(self, seen: ObservedObject, new: ObjectState, old: ObjectState, patch: str) -> Writer:
        """Return who made an update, whose JSON patch is ``patch``."""
        before, now = old.field_managers, new.field_managers
        written = field_managers.new_entries(before, now)
        if len(written) > 1 or (written and self._is_in_gap(seen, new)):
            found = self._writer_in_gap(seen, new, written, patch)
            if found is not None:
                return found
            now = tuple([entry for entry in now if entry not in written])
        found = field_managers.find_writer(before, now, seen.record.recorded_at, self.rules.is_controller)
        if new.replicas != old.replicas:
            entries = seen.meta.managedFields
            if field_managers.is_scaled_without_trace(entries, old.replicas, new.replicas):
                if found == NO_WRITER or found.probable:
                    return self._scaler(now, old, found)
            elif found == NO_WRITER:
                found = field_managers.find_scaler(now, _last_scaler(old))
        if found == NO_WRITER:
            found = field_managers.owner_of(seen.meta.managedFields, diff.first_pointer(patch))
        return found

    def _writer_in_gap(
        self, seen: ObservedObject, new: ObjectState, written: list[FieldManagerEntry], patch: str
    ) -> Writer | None:
        """Return which of several writes since the version before changed the fields; None if it was none of them."""
        if patch and new.spec:
            return field_managers.writer_of_fields(
                seen.meta.managedFields, written, patch, new.spec, self.rules.is_controller
            )
        last = field_managers.newest_entry([entry for entry in written if entry.content] or written)
        return Writer(last.manager, last.subresource, last.time, probable=len(written) > 1) if last else None

    def _scaler(self, now: Sequence[FieldManagerEntry], old: ObjectState, loser: Writer) -> Writer:
        """Return who scaled an object to zero or from zero: nobody who applies it.

        ``loser``: the manager that had the field before, if it lost it now.
        """
        last = loser.manager or _last_scaler(old)
        if loser.subresource != "scale" and (loser.manager or self.rules.is_person(last)):
            last = field_managers.command_that_scales(last)
        found = field_managers.find_scaler(now, last)
        return found if found != NO_WRITER else Writer(subresource="scale")

    def _occurrence(
        self, obj: ObjectState, verb: str, record: LogRecord, floor: int, *, by_version: bool = False
    ) -> Occurrence:
        """Return a change. Its id is a hash of the uid, the verb, and the generation (or the resourceVersion)."""
        time = self._estimate(record, floor)
        identity = str(obj.generation) if obj.generation and not by_version else f"v{obj.resource_version}"
        key = (obj.uid, verb) if verb in ("Create", "Delete") else (obj.uid, verb, identity)
        if record.epoch:
            # After a restore from a backup, the same generations are other changes.
            key = (*key, f"epoch {record.epoch}")
        return Occurrence(
            id=span_id(self.state.cluster, *key),
            uid=obj.uid,
            kind=obj.kind,
            namespace=obj.namespace,
            name=obj.name,
            reason=verb,
            arrival=self.state.clock.next_arrival(),
            received=self.state.clock.now,
            time=time,
            latest=time,
            uncertainty=clock_error(record, floor),
            verb=verb,
            rv=obj.rv,
            api_version=obj.api_version,
            resource_version=obj.resource_version,
            generation=obj.generation,
        )

    def _estimate(self, record: LogRecord, floor: int) -> int:
        """Return the best estimate (ns) of when the change in a record happened (``estimate_time``)."""
        return estimate_time(record, floor, watched=not self.state.clock.unwatched_before(record))

    def _date_in_gap(
        self, record: LogRecord, occ: Occurrence, change: KnownChange, old: ObjectState | None, stated: int
    ) -> bool:
        """Give a change that was not watched its bounds. False if it was watched, though perhaps received late.

        As a cause it has the earliest version and time that it can have, as an effect the latest version. Unless the
        object states the time, the middle of the possible times is the estimate.
        """
        gap = self.state.clock.gap(record.resource)
        vanished = self._vanished(record, change.rv)
        if change.rv > gap.end and not vanished:
            if not stated and (late := self.state.clock.unwatched_before(record)):
                self._date_between(occ, change, record.recorded_at - late, record.recorded_at)
            return False
        until = max(record.recorded_at, gap.until if gap.end else 0)
        change.exact = False
        change.rv = max(old.rv if old is not None else 0, gap.start) + 1
        if vanished:
            # A first list that broke off leaves no gap: its version is not known.
            occ.rv = max(gap.end, change.rv) if gap.end else (record.epoch + 1) * EPOCH_STEP - 1
        if stated:
            # It was not received at once. A whole second may have begun before the gap.
            change.time = min(stated, until)
            occ.time = occ.latest = max(change.time, min(gap.since, change.time + SECOND))
        elif old is not None:
            self._date_between(occ, change, min(until, _last_known(old, gap)), until)
        return True

    def _date_between(self, occ: Occurrence, change: KnownChange, earliest: int, latest: int) -> None:
        """Give a change of unknown time its bounds (ns)."""
        change.time, change.range = earliest, latest - earliest
        occ.time, occ.uncertainty = middle(earliest, latest)
        occ.latest = latest

    def _vanished(self, record: LogRecord, rv: int) -> bool:
        """True if nobody saw how the object was deleted: a list does not contain it any more."""
        unseen = record.reason == VANISHED or rv <= self.state.clock.gap(record.resource).end
        return record.type is RecordType.DELETED and unseen

    def _is_by_controller(self, obj: ObjectState, manager: str, meta: ObjectMeta) -> bool:
        if self.rules.is_person(manager):
            return False
        if self.rules.is_controller(manager) or (obj.owner and manager and manager == obj.owner_manager):
            return True
        return field_managers.writes_status(manager, meta.managedFields)

    def _applier(self, meta: ObjectMeta, manager: str) -> tuple[str, ...]:
        """Return the object for which a tool made a change, if the changed object has a mark of that."""
        return applier_of(self.rules.appliers, bytes(meta.labels), meta.annotations, manager)

    def _applied_for(self, meta: ObjectMeta) -> tuple[str, ...]:
        """Return the object for which a tool made an object. If field managers are known, the tool is one of them."""
        if not meta.labels and not meta.annotations:
            return ()
        managers = [entry.manager for entry in meta.managedFields or ()] or [""]
        return next((found for name in managers if (found := self._applier(meta, name))), ())

    def _actor(self, obj: ObjectState, occ: Occurrence) -> str:
        """Return the component that made a change."""
        if occ.manager == field_managers.SHARED and occ.verb == "Update":
            if occ.subresource == "scale" and not obj.owner:
                return "horizontal-pod-autoscaler"
            if obj.kind in _UPDATERS:
                return _UPDATERS[obj.kind]
        if occ.by_controller and obj.owner and self.rules.is_controller(occ.manager):
            owner = self.state.object(obj.owner)
            kind = owner.kind if owner is not None else self.owner_kind(obj)
            return self.rules.actors.get(kind, occ.manager)
        return field_managers.service_of(occ.manager) or "unknown"

    def owner_kind(self, obj: ObjectState) -> str:
        """Return the kind of an object's controlling owner; empty without one."""
        return self.state.objects.owner_kind(obj.owner, obj.uid)


def _set_context(occ: Occurrence, traceparent: str, *, changed: bool) -> None:
    """Let a change continue the trace of a new trace context, or only link to a context that the object had before."""
    if traceparent and changed:
        occ.traceparent = traceparent
    else:
        occ.related = traceparent


def _made_while_paused(obj: ObjectState) -> tuple[str, ...]:
    """The spans of the changes that a Deployment rolls out once it is resumed, oldest first."""
    found: list[str] = []
    for change in reversed(obj.changes):
        if change.effect != "paused":
            break
        if change.verb == "Create" or change.template_changed:
            found.insert(0, change.span)
    return tuple(found[-PAUSED_KEPT:])


def _last_scaler(obj: ObjectState) -> str:
    """The manager that last set the replicas of an object, as far as that was seen."""
    return next((c.manager for c in reversed(obj.changes) if c.manager and c.replicas != c.replicas_before), "")


def _last_known(obj: ObjectState, gap: Gap) -> int:
    """When an object was last known to be as it was before a gap (ns)."""
    changed = obj.changes[-1].time if obj.changes else 0
    return max(gap.since, changed) or obj.seen


def _content_change(seen: ObservedObject, new: ObjectState, old: ObjectState) -> ContentChange | None:
    if field_managers.mixes_status(seen.meta.managedFields):
        return None
    return field_managers.content_change(
        old.field_managers,
        new.field_managers,
        same_metadata=new.labels == old.labels,
        has_status=field_managers.has_status(seen.meta.managedFields),
    )


def _describe(old: ObjectState, new: ObjectState) -> tuple[str, str]:
    before, after = (diff.ComparedFields(o.spec, o.label_text, o.annotations or {}) for o in (old, new))
    return diff.describe(before, after)
