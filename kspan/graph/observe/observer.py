"""From a journal record to occurrences: what is remembered of the object, and what happened to it. Pure.

Occurrences depend only on the order within the object's own stream, which the API server guarantees; how streams
interleave plays no part here.
"""

import zlib
from sys import intern

import msgspec

from kspan.graph.observe import diff, field_managers
from kspan.graph.observe.condition_diff import PHASE, ended_phase, standing
from kspan.graph.observe.events import EventObserver
from kspan.graph.observe.rollout_status import BUILT_IN, STILL, assess, disruption, ended
from kspan.graph.observe.trace_context import carried
from kspan.graph.observe.transitions import TransitionObserver, moment
from kspan.graph.rules.rules import Rules
from kspan.graph.state.records import Baseline, KnownChange, LostDependent, ObjectState, Occurrence, Replacement
from kspan.graph.state.state import State
from kspan.ids import span_id
from kspan.k8s.objects import KubeObject, ObjectMeta, ObjectStatus, Spec, decode_object, decode_spec, decode_status
from kspan.k8s.resource_version import version_number
from kspan.k8s.workloads import (
    REVISION,
    content,
    pod_index,
    revision_label,
    template_fingerprint,
    toleration_seconds,
    wanted_node,
)
from kspan.model import LogRecord, OwnerRow, RecordType
from kspan.settings import FoldSettings
from kspan.times import SECOND, parse_time_or_zero

LABELLED = ("Namespace", "Node", "Pod")
"""Kinds whose labels alone make controllers act: by them DaemonSets pick Nodes, and ReplicaSets their Pods; those of a
Namespace say what its Pods may do (Pod security)."""

MOST_NUMBERED = 8
"""Revisions as which one ReplicaSet was rolled out: more never come before the first of them is decided."""


class Observer:
    """Turns records into object states and occurrences."""

    def __init__(self, state: State, rules: Rules, settings: FoldSettings) -> None:
        self.state = state
        self.rules = rules
        self.settings = settings
        self.events = EventObserver(state, rules, settings)
        self.transitions = TransitionObserver(state, rules, settings)

    def observe(self, record: LogRecord) -> None:
        """Takes in one record of an object. Off-schema objects leave no trace; they stay in the journal."""
        if record.kind == "Event" and record.resource.startswith("v1/"):
            self.events.observe(record)
            return
        obj = decode_object(record.payload)
        if obj is not None and obj.metadata.uid:
            obj.kind = obj.kind or record.kind
            obj.apiVersion = obj.apiVersion or record.api_version
            self._object(record, obj)

    # objects ---------------------------------------------------------------------------------------------------------

    def _object(self, record: LogRecord, obj: KubeObject) -> None:
        meta = obj.metadata
        known = self.state.object(meta.uid)
        if known is not None and known.deleted and record.type is not RecordType.DELETED:
            known = _revived(known)
        old = known if known is not None and known.rv else None
        spec = decode_spec(bytes(obj.spec)) if obj.kind in BUILT_IN else Spec()
        status = decode_status(bytes(obj.status))
        new = self._remember(record, obj, spec, status, known)
        if known is None or new.owners != known.owners:
            self._own(meta)
        if new.target_name and (known is None or not known.target_name):
            self.events.aim_again(new)
        asked = bool(meta.deletionTimestamp)
        if record.type is RecordType.LISTED:
            new.deleting = asked
            new.baseline = Baseline(
                new.resource_version, new.generation, new.replicas, new.template, new.field_managers
            )
            return
        gone, deleting = record.type is RecordType.DELETED, old is not None and old.deleting
        if (gone or asked) and not deleting:
            new.deleting = True
            self._deletion(record, meta, new)
        elif old is None:
            self._changed(record, meta, new, None)
        elif not deleting and self._spec_changed(old, new):
            self._changed(record, meta, new, old)
        elif not deleting and new.kind in LABELLED:
            self._labelled(record, new, old)
        if gone:
            self.state.objects.delete(new, moment(record, parse_time_or_zero(meta.deletionTimestamp)))
        elif new.conditions != (known.conditions if known is not None else ()):
            self._turned(record, meta, status, new, known)

    def _turned(
        self, record: LogRecord, meta: ObjectMeta, status: ObjectStatus, new: ObjectState, known: ObjectState | None
    ) -> None:
        """Conditions and phases; a Pod that ended by itself is lost to its owner's controller."""
        for occ in self.transitions.observe(record, meta, status, new, known):
            if occ.status == PHASE and new.kind == "Pod" and (occ.warning or self._owner_kind(new) != "Job"):
                self._lose(new, occ, occ.rv, ended=True)

    def _remember(
        self, record: LogRecord, obj: KubeObject, spec: Spec, status: ObjectStatus, known: ObjectState | None
    ) -> ObjectState:
        meta, now = obj.metadata, self.state.clock.now
        old = known if known is not None else ObjectState(uid=meta.uid)
        progress, disrupted, finished = STILL, old.disruption, 0
        if obj.kind in BUILT_IN or meta.deletionTimestamp:
            progress = assess(obj, spec, status)
            disrupted = disruption(status) if obj.kind == "Pod" else ""
            finished = ended(status) if obj.kind == "Job" else 0
        owner, owners = _owners(meta)
        new = ObjectState(
            uid=meta.uid,
            kind=obj.kind,
            namespace=meta.namespace,
            name=meta.name,
            resource=record.resource,
            api_version=obj.apiVersion,
            rv=version_number(meta.resourceVersion, record.epoch) or max(old.rv, 1),
            resource_version=meta.resourceVersion,
            generation=meta.generation,
            created=parse_time_or_zero(meta.creationTimestamp) or old.created or now,
            seen=old.seen or now,
            deleting=old.deleting,
            deleted=old.deleted,
            forget=old.forget,
            owner=owner,
            owner_manager=field_managers.owning_manager(meta.managedFields) if owner else "",
            node=spec.nodeName or (wanted_node(bytes(spec.affinity)) if obj.kind == "Pod" else ""),
            replicas=_replicas(obj.kind, spec),
            template=self._fingerprint(record, obj, spec, old),
            progressing=progress.progressing,
            failed=progress.failed,
            settled=old.settled if progress.progressing == old.progressing else now,
            reached=old.reached
            if progress.progressing == old.progressing
            else moment(record, field_managers.last_write(meta.managedFields)),
            disruption=disrupted,
            target_kind=spec.scaleTargetRef.kind if spec.scaleTargetRef else "",
            target_name=spec.scaleTargetRef.name if spec.scaleTargetRef else "",
            traceparent=carried(meta.annotations, self.settings.context_annotations) if meta.annotations else "",
            # A Pod's spec hardly ever changes, and Pods are the most numerous kind.
            spec=b"" if obj.kind == "Pod" else bytes(obj.spec),
            field_managers=field_managers.field_manager_entries(meta.managedFields),
            baseline=old.baseline,
            changes=old.changes,
            lost_dependents=old.lost_dependents,
            replacements=old.replacements,
            refused=old.refused,
            unpublished=old.unpublished,
            ended=finished,
            owners=owners,
            labels=zlib.crc32(bytes(meta.labels)) if obj.kind in LABELLED else 0,
            events=old.events,
            episode=old.episode,
            episodes=old.episodes,
            conditions=standing(obj.kind, status) if obj.status else (),
            transitions=old.transitions,
            notes=old.notes,
            claim=spec.claimRef.uid if spec.claimRef is not None else "",
            label_text=bytes(meta.labels) if not owner and obj.kind != "Pod" else b"",
            annotations=diff.compared_annotations(meta.annotations) or None if meta.annotations and not owner else None,
        )
        self._made_as(new, obj, spec, known)
        self.state.objects.put(new)
        return new

    def _made_as(self, new: ObjectState, obj: KubeObject, spec: Spec, known: ObjectState | None) -> None:
        """What a Pod (or a revision) keeps from its first record on, but for its labels; a ReplicaSet's number."""
        if new.kind == "ReplicaSet":
            new.revision = (obj.metadata.annotations or {}).get(REVISION, "")
            new.numbered = known.numbered if known is not None else ()
            if new.revision and (known is None or new.revision != known.revision):
                new.numbered = (*new.numbered[1 - MOST_NUMBERED :], new.rv)
            return
        if new.kind not in ("Pod", "ControllerRevision"):
            return
        if known is not None and known.rv and known.labels == new.labels and new.labels:
            new.index, new.revision, new.toleration_seconds = known.index, known.revision, known.toleration_seconds
            return
        labels = bytes(obj.metadata.labels)
        new.index, new.revision = pod_index(labels), revision_label(labels)
        new.toleration_seconds = toleration_seconds(bytes(spec.tolerations))

    def _own(self, meta: ObjectMeta) -> None:
        for ref in meta.ownerReferences or ():
            if ref.uid:
                # Each of these stands in many rows, and a uid in other places too.
                uid, owner, name = intern(meta.uid), intern(ref.uid), intern(ref.name)
                version, kind = intern(ref.apiVersion), intern(ref.kind)
                self.state.objects.own(OwnerRow(uid, owner, version, kind, name, bool(ref.controller)))

    def _fingerprint(self, record: LogRecord, obj: KubeObject, spec: Spec, old: ObjectState) -> int:
        if obj.metadata.generation and obj.metadata.generation == old.generation:
            return old.template
        if spec.template:
            return template_fingerprint(bytes(spec.template))
        return 0 if obj.spec or obj.metadata.generation else zlib.crc32(content(record.payload))

    def _spec_changed(self, old: ObjectState, new: ObjectState) -> bool:
        if new.generation or old.generation:
            return new.generation > old.generation
        return new.spec != old.spec or new.template != old.template

    def _changed(self, record: LogRecord, meta: ObjectMeta, new: ObjectState, old: ObjectState | None) -> None:
        writer = (
            field_managers.newest_entry(new.field_managers)
            if old is None
            else field_managers.changed_entry(old.field_managers, new.field_managers)
        )
        told = writer.time if writer else 0
        occ = self._change(new, "Create" if old is None else "Update", record, told if old else new.created)
        occ.manager, occ.subresource = (writer.manager, writer.subresource) if writer else ("", "")
        occ.by_controller = self._is_effect(new, occ.manager, meta)
        occ.actor = self._actor(new, occ)
        if new.traceparent and (old is None or old.traceparent != new.traceparent):
            occ.traceparent = new.traceparent
        else:
            occ.related = new.traceparent
        cause = KnownChange(occ.id, occ.verb, occ.rv, occ.time, new.replicas, template=new.template)
        cause.generation = occ.generation
        cause.manual = not occ.by_controller
        if old is not None:
            occ.patch, occ.summary = diff.describe(_compared(old), _compared(new))
            cause.before, cause.template_changed = old.replicas, old.template != new.template
        if new.kind == "Node":
            cause.turned = field_managers.turn_of_node(old.spec, new.spec) if old is not None else "opened"
        self._blur(record, cause, old, told if old is not None else new.created)
        owner = self.state.object(new.owner) if old is None and new.owner else None
        if owner is not None and owner.lost_dependents:
            self.state.objects.add_replacement(owner, Replacement(occ.id, occ.rv, occ.time, new.name, new.node))
        self.state.add_change(new, occ, cause)

    def _blur(self, record: LogRecord, cause: KnownChange, old: ObjectState | None, told: int) -> None:
        """Of a change in a gap it is only known after which version it was made, and perhaps its second."""
        start, end = self.state.clock.gap(record.resource)
        if cause.rv > end:
            return
        cause.exact = False
        cause.rv = (old.rv if old is not None else start) + 1
        if not told and old is not None:
            cause.time = min(cause.time, old.changes[-1].time if old.changes else old.seen)

    def _labelled(self, record: LogRecord, new: ObjectState, old: ObjectState) -> None:
        """Labels start nothing by themselves, but what they lead to goes back to who set them."""
        if new.labels != old.labels:
            writer = field_managers.changed_entry(old.field_managers, new.field_managers)
            if writer is not None and not self.rules.is_controller(writer.manager):
                occ = self._change(new, "Update", record, writer.time, version=True)
                occ.manager, occ.actor = writer.manager, field_managers.service_of(writer.manager)
                occ.patch, occ.summary = diff.describe(_compared(old), _compared(new))
                self.state.objects.keep_unpublished(new, occ)
        if old.owner and not new.owner and new.unpublished is not None:
            self._lose(old, self.state.publish_change(new), new.rv)
        elif new.owner and not old.owner and new.unpublished is not None:
            self.state.publish_change(new)

    def _is_effect(self, obj: ObjectState, manager: str, meta: ObjectMeta) -> bool:
        if self.rules.is_person(manager):
            return False
        if self.rules.is_controller(manager) or (obj.owner and manager and manager == obj.owner_manager):
            return True
        return manager in field_managers.status_writers(meta.managedFields)

    def _actor(self, obj: ObjectState, occ: Occurrence) -> str:
        if occ.by_controller and obj.owner:
            owner = self.state.object(obj.owner)
            kind = owner.kind if owner is not None else self._owner_kind(obj)
            if self.rules.is_controller(occ.manager):
                return self.rules.actors.get(kind, occ.manager)
        return field_managers.service_of(occ.manager) or "unknown"

    def _owner_kind(self, obj: ObjectState) -> str:
        row = self.state.objects.owner_row(obj.owner, obj.uid)
        return row.owner_kind if row is not None else ""

    def _deletion(self, record: LogRecord, meta: ObjectMeta, new: ObjectState) -> None:
        # deletionTimestamp is when the object may be gone at the earliest: the request plus the grace period.
        stamp = parse_time_or_zero(meta.deletionTimestamp)
        floor = stamp - (meta.deletionGracePeriodSeconds or 0) * SECOND if stamp else 0
        if record.type is RecordType.DELETED:
            floor = 0
        occ = self._change(new, "Delete", record, floor)
        occ.actor = "unknown"
        occ.by_controller = True
        occ.related = new.traceparent
        occ.notes = [*occ.notes, *self.state.objects.take_announcements(new)]
        cause = KnownChange(occ.id, occ.verb, occ.rv, occ.time, turned="deleted" if new.kind == "Node" else "")
        self.state.add_change(new, occ, cause)
        if not ended_phase(new.conditions):  # Of one that had ended, its controller took leave then.
            self._lose(new, occ, occ.rv)

    def _lose(self, obj: ObjectState, occ: Occurrence, rv: int, *, ended: bool = False) -> None:
        """Note on its owner, seen yet or not, that a dependent was deleted, orphaned or finished."""
        ordered = 0 if ended else -1
        self.state.objects.add_lost_dependent(
            obj, LostDependent(occ.id, rv, occ.time, obj.uid, obj.name, obj.node, ordered=ordered, ended=ended)
        )

    def _change(
        self, obj: ObjectState, verb: str, record: LogRecord, floor: int, *, version: bool = False
    ) -> Occurrence:
        time = moment(record, floor)
        identity = str(obj.generation) if obj.generation and not version else f"v{obj.resource_version}"
        key = (obj.uid, verb) if verb in ("Create", "Delete") else (obj.uid, verb, identity)
        if record.epoch:
            # Restored from a backup, an object goes through its generations again, and they are others.
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
            verb=verb,
            rv=obj.rv,
            api_version=obj.api_version,
            resource_version=obj.resource_version,
            generation=obj.generation,
        )


def _revived(obj: ObjectState) -> ObjectState:
    """An object that was deleted and is there again (etcd was restored): what it is has to be seen anew."""
    return msgspec.structs.replace(obj, rv=0, deleted=0, deleting=False, forget=0, owners=())


def _compared(obj: ObjectState) -> diff.ComparedFields:
    return diff.ComparedFields(obj.spec, obj.label_text, obj.annotations or {})


def _owners(meta: ObjectMeta) -> tuple[str, tuple[str, ...]]:
    """(uid of the owner that controls the object, uids of all its owners)."""
    if not meta.ownerReferences:
        return "", ()
    controller = next((ref.uid for ref in meta.ownerReferences if ref.controller), "")
    return controller, tuple(ref.uid for ref in meta.ownerReferences if ref.uid)


def _replicas(kind: str, spec: Spec) -> int:
    if spec.replicas is not None:
        return spec.replicas
    return 1 if kind in ("Deployment", "ReplicaSet", "StatefulSet") else -1
