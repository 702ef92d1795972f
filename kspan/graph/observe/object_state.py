"""The state of an object, from a record of it and from its state before. Pure."""

import zlib
from collections.abc import Iterator
from sys import intern
from typing import NamedTuple, TypeGuard

from msgspec.structs import replace

from kspan.graph.observe import diff, field_managers
from kspan.graph.observe.condition_diff import condition_set
from kspan.graph.observe.rollout_status import BUILT_IN, SETTLED, assess, disruption_reason, job_end
from kspan.graph.observe.timing import estimate_time
from kspan.graph.state.records import ObjectState
from kspan.graph.trace.trace_context import carried
from kspan.k8s.objects import KubeObject, ObjectMeta, ObjectStatus, Spec, decode_spec, decode_status
from kspan.k8s.resource_version import EPOCH_STEP, version_number
from kspan.k8s.resources import is_watched_whole
from kspan.k8s.workloads import (
    REVISION,
    changeable_fields,
    chosen_labels,
    content,
    lease_holder,
    metadata_fingerprint,
    mounted_claims,
    pod_index,
    revision_label,
    template_fingerprint,
    toleration_seconds,
    wanted_node,
)
from kspan.model import LogRecord, OwnerRow
from kspan.settings import FoldSettings
from kspan.times import parse_time_or_zero

LABELLED = ("Namespace", "Node", "Pod")
"""Kinds whose labels alone make controllers act: DaemonSets select Nodes by them, and ReplicaSets Pods; those of a
Namespace configure Pod security."""

REVISIONS_KEPT = 8
"""Revision numbers of one ReplicaSet. It never gets more before the first of them is decided."""


class ObservedObject(NamedTuple):
    """A version of an object in a record."""

    record: LogRecord
    obj: KubeObject
    meta: ObjectMeta
    spec: Spec
    """Empty unless the kind is built in. Of a Pod whose spec is known (``is_spec_known``), it only has the node."""
    status: ObjectStatus
    written_before: int
    """The newest time in the managedFields of the version before (ns; 0: unknown)."""


def observed_object(record: LogRecord, obj: KubeObject, known: ObjectState | None) -> ObservedObject:
    """Decode the spec, unless it is ``known``, and the status of an object."""
    if is_spec_known(known, record, obj):
        spec = Spec(nodeName=known.node)
    else:
        spec = decode_spec(obj.spec) if obj.kind in BUILT_IN else Spec()
    written_before = known.written if known is not None else 0
    return ObservedObject(record, obj, obj.metadata, spec, decode_status(obj.status), written_before)


def is_spec_known(known: ObjectState | None, record: LogRecord, obj: KubeObject) -> TypeGuard[ObjectState]:
    """True for a Pod whose spec is that of the version before. Most versions of a Pod only have another status.

    The generation of a Pod counts the changes of its spec since Kubernetes 1.34 (KEP-5067); older ones have none. After
    a restore of etcd, the same generation can have another spec.
    """
    if obj.kind != "Pod" or known is None or not known.rv or not known.node:
        return False
    if known.rv // EPOCH_STEP != record.epoch:
        return False
    return obj.metadata.generation == known.generation != 0


def next_state(seen: ObservedObject, known: ObjectState | None, now: int, settings: FoldSettings) -> ObjectState:
    """Return the state of an object after a record. What the record does not show stays as it was.

    Args:
        seen: the object in the record.
        known: its state before; None if it is new.
        now: event time (ns).
        settings: those of the fold.
    """
    # Setting attributes of a copy takes a third of the time of a constructor with fifty arguments.
    new = replace(known) if known is not None else ObjectState(uid=seen.meta.uid)
    _set_metadata(new, seen, known, now, settings)
    _set_spec(new, seen, known)
    _set_status(new, seen, now)
    _set_revision(new, seen, known, settings.span_labels)
    return new


def _set_metadata(
    new: ObjectState, seen: ObservedObject, known: ObjectState | None, now: int, settings: FoldSettings
) -> None:
    record, obj, meta, *_ = seen
    new.kind, new.api_version, new.resource = obj.kind, obj.apiVersion, record.resource
    new.namespace, new.name = meta.namespace, meta.name
    new.rv = version_number(meta.resourceVersion, record.epoch) or max(new.rv, 1)
    new.resource_version = meta.resourceVersion
    new.created = parse_time_or_zero(meta.creationTimestamp) or new.created or now
    new.seen = new.seen or now
    new.owner, new.owners = _owners(meta)
    entries = field_managers.field_manager_entries(meta.managedFields)
    # A new status leaves them as they were.
    if known is None or entries != known.field_managers or new.owner != known.owner:
        new.owner_manager = field_managers.owning_manager(meta.managedFields) if new.owner else ""
        new.field_managers = entries
    new.traceparent = carried(meta.annotations, settings.context_annotations) if meta.annotations else ""
    new.labels = zlib.crc32(bytes(meta.labels)) if obj.kind in LABELLED else 0
    if not obj.spec and not is_watched_whole(record.resource):
        new.field_managers = field_managers.field_manager_entries(meta.managedFields, content=True)
        new.labels = metadata_fingerprint(record.payload)
    # Owned objects are the most numerous, and their labels and annotations are set by the controller of their owner.
    described = not new.owner
    new.label_text = bytes(meta.labels) if described and obj.kind != "Pod" else b""
    new.annotations = diff.compared_annotations(meta.annotations) or None if meta.annotations and described else None


def baseline_entries(seen: ObservedObject, new: ObjectState) -> tuple[field_managers.FieldManagerEntry, ...]:
    """Return the entries of a listed object. If there are several, their content shows who changed more than labels,
    and who only completed what another one created."""
    several = len(new.field_managers) > 1 and (new.generation > 1 or new.kind in field_managers.COMPLETED)
    if not several:
        return new.field_managers
    return field_managers.field_manager_entries(seen.meta.managedFields, content=True)


def _set_spec(new: ObjectState, seen: ObservedObject, known: ObjectState | None) -> None:
    _, obj, meta, spec, *_ = seen
    if known is None or not meta.generation or meta.generation != known.generation:
        new.template = _template(seen)
    new.generation = meta.generation
    if obj.kind != "Pod":
        new.spec = bytes(obj.spec) if obj.kind != "Lease" else lease_holder(bytes(obj.spec))
    elif not meta.deletionTimestamp and (known is None or not known.rv or meta.generation != known.generation):
        new.spec = changeable_fields(bytes(obj.spec))
    new.node = spec.nodeName or (wanted_node(bytes(spec.affinity)) if obj.kind == "Pod" else "")
    if obj.kind == "Pod" and (known is None or not known.rv):  # Its volumes never change.
        new.claims = mounted_claims(bytes(obj.spec), new.name)
    new.replicas = _replicas(obj.kind, spec)
    target = spec.scaleTargetRef or spec.workloadRef
    new.target_kind, new.target_name = (target.kind, target.name) if target is not None else ("", "")
    new.claim = spec.claimRef.uid if spec.claimRef is not None else ""


def _set_status(new: ObjectState, seen: ObservedObject, now: int) -> None:
    record, obj, meta, spec, status, _ = seen
    progress, new.ended = SETTLED, 0
    new.written = field_managers.last_write(meta.managedFields)
    if obj.kind in BUILT_IN or meta.deletionTimestamp:
        progress = assess(obj, spec, status)
        new.disruption = disruption_reason(status) if obj.kind == "Pod" else ""
        new.ended = job_end(status) if obj.kind == "Job" else 0
    if progress.progressing != new.progressing:
        new.settled = now
        new.reached = estimate_time(record, new.written, watched=record.recorded_at <= now)
    new.progressing, new.failed = progress
    new.conditions = condition_set(obj.kind, status) if obj.status else ()


def _set_revision(
    new: ObjectState, seen: ObservedObject, known: ObjectState | None, span_labels: tuple[str, ...]
) -> None:
    """Set the revision of a ReplicaSet, Pod or ControllerRevision, and the labels that the spans of a Pod carry. Those
    of a Pod are kept while its labels are."""
    if new.kind == "ReplicaSet":
        new.revision = (seen.meta.annotations or {}).get(REVISION, "")
        if new.revision and (known is None or new.revision != known.revision):
            new.revision_versions = (*new.revision_versions[1 - REVISIONS_KEPT :], new.rv)
        return
    if new.kind not in ("Pod", "ControllerRevision"):
        return
    if known is not None and known.rv and known.labels == new.labels and new.labels:
        return
    labels = bytes(seen.meta.labels)
    new.ordinal, new.revision = pod_index(labels), revision_label(labels)
    if not is_spec_known(known, seen.record, seen.obj):
        new.toleration_seconds = toleration_seconds(bytes(seen.spec.tolerations))
    if new.kind == "Pod":
        new.span_labels = chosen_labels(labels, span_labels) if span_labels else ()


def _template(seen: ObservedObject) -> int:
    """Return the checksum of the pod template, or of the content of an object that has no spec."""
    if seen.spec.template:
        return template_fingerprint(bytes(seen.spec.template))
    return 0 if seen.obj.spec or seen.meta.generation else zlib.crc32(content(seen.record.payload))


def _owners(meta: ObjectMeta) -> tuple[str, tuple[str, ...]]:
    """Return the uid of the controlling owner, and those of all owners."""
    if not meta.ownerReferences:
        return "", ()
    if len(meta.ownerReferences) == 1:  # Nearly always.
        ref = meta.ownerReferences[0]
        return ref.uid if ref.controller else "", (ref.uid,) if ref.uid else ()
    controller = next((ref.uid for ref in meta.ownerReferences if ref.controller), "")
    return controller, tuple(ref.uid for ref in meta.ownerReferences if ref.uid)


def owner_rows(meta: ObjectMeta) -> Iterator[OwnerRow]:
    """Yield the rows of an object's owners."""
    for ref in meta.ownerReferences or ():
        if ref.uid:
            # Interned: each of these is in many rows.
            uid, owner, name = intern(meta.uid), intern(ref.uid), intern(ref.name)
            version, kind = intern(ref.apiVersion), intern(ref.kind)
            yield OwnerRow(uid, owner, version, kind, name, bool(ref.controller))


def _replicas(kind: str, spec: Spec) -> int:
    """Return spec.replicas, or its default; -1 if the kind has none."""
    if spec.replicas is not None:
        return spec.replicas
    return 1 if kind in ("Deployment", "ReplicaSet", "Rollout", "StatefulSet") else -1


def spec_changed(old: ObjectState, new: ObjectState) -> bool:
    """True if the spec of an object changed: by its generation, or by comparison for kinds without one."""
    if new.generation or old.generation:
        return new.generation > old.generation
    return new.spec != old.spec or new.template != old.template


def revived(obj: ObjectState) -> ObjectState:
    """Return the state of an object that was deleted and exists again, because etcd was restored from a backup."""
    return replace(obj, rv=0, deleted=0, deleting=False, forget=0, owners=())
