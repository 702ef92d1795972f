"""The state of an object, from a record of it and from its state before. Pure."""

import zlib
from collections.abc import Iterator
from sys import intern
from typing import NamedTuple

import msgspec

from kspan.graph.observe import diff, field_managers
from kspan.graph.observe.condition_diff import condition_set
from kspan.graph.observe.rollout_status import BUILT_IN, SETTLED, Progress, assess, disruption_reason, job_end
from kspan.graph.observe.timing import estimate_time
from kspan.graph.observe.trace_context import carried
from kspan.graph.state.records import ObjectState
from kspan.k8s.objects import KubeObject, ObjectMeta, ObjectStatus, Spec, decode_spec, decode_status
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
    """Empty unless the kind is built in."""
    status: ObjectStatus


def observed_object(record: LogRecord, obj: KubeObject) -> ObservedObject:
    """Decode the spec and the status of an object."""
    spec = decode_spec(bytes(obj.spec)) if obj.kind in BUILT_IN else Spec()
    return ObservedObject(record, obj, obj.metadata, spec, decode_status(bytes(obj.status)))


def next_state(seen: ObservedObject, known: ObjectState | None, now: int, settings: FoldSettings) -> ObjectState:
    """Return the state of an object after a record.

    Args:
        seen: the object in the record.
        known: its state before; None if it is new.
        now: event time (ns).
        settings: those of the fold.
    """
    record, obj, meta, spec, status = seen
    old = known if known is not None else ObjectState(uid=meta.uid)
    progress, disruption, ended = _assessment(seen, old)
    changed = progress.progressing != old.progressing
    controller, owners = _owners(meta)
    # Owned objects are the most numerous, and their labels and annotations are set by their owner's controller.
    described = not controller
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
        owner=controller,
        owner_manager=field_managers.owning_manager(meta.managedFields) if controller else "",
        node=spec.nodeName or (wanted_node(bytes(spec.affinity)) if obj.kind == "Pod" else ""),
        replicas=_replicas(obj.kind, spec),
        template=_template(seen, old),
        progressing=progress.progressing,
        failed=progress.failed,
        settled=now if changed else old.settled,
        reached=estimate_time(record, field_managers.last_write(meta.managedFields)) if changed else old.reached,
        disruption=disruption,
        target_kind=spec.scaleTargetRef.kind if spec.scaleTargetRef else "",
        target_name=spec.scaleTargetRef.name if spec.scaleTargetRef else "",
        traceparent=carried(meta.annotations, settings.context_annotations) if meta.annotations else "",
        # The spec of a Pod hardly ever changes, and Pods are the most numerous kind.
        spec=b"" if obj.kind == "Pod" else bytes(obj.spec),
        field_managers=field_managers.field_manager_entries(meta.managedFields),
        baseline=old.baseline,
        changes=old.changes,
        lost_dependents=old.lost_dependents,
        replacements=old.replacements,
        refused=old.refused,
        unpublished=old.unpublished,
        ended=ended,
        owners=owners,
        labels=zlib.crc32(bytes(meta.labels)) if obj.kind in LABELLED else 0,
        events=old.events,
        episode=old.episode,
        episodes=old.episodes,
        conditions=condition_set(obj.kind, status) if obj.status else (),
        transitions=old.transitions,
        announcements=old.announcements,
        claim=spec.claimRef.uid if spec.claimRef is not None else "",
        label_text=bytes(meta.labels) if described and obj.kind != "Pod" else b"",
        annotations=diff.compared_annotations(meta.annotations) or None if meta.annotations and described else None,
    )
    _set_revision(new, seen, known)
    return new


def _assessment(seen: ObservedObject, old: ObjectState) -> tuple[Progress, str, int]:
    """Return the progress of an object, the reason of a Pod's disruption, and the end of a Job (ns)."""
    _, obj, meta, spec, status = seen
    if obj.kind not in BUILT_IN and not meta.deletionTimestamp:
        return SETTLED, old.disruption, 0
    disruption = disruption_reason(status) if obj.kind == "Pod" else ""
    return assess(obj, spec, status), disruption, job_end(status) if obj.kind == "Job" else 0


def _set_revision(new: ObjectState, seen: ObservedObject, known: ObjectState | None) -> None:
    """Set the revision of a ReplicaSet, Pod or ControllerRevision. Those of a Pod are kept while its labels are."""
    if new.kind == "ReplicaSet":
        new.revision = (seen.meta.annotations or {}).get(REVISION, "")
        new.revision_versions = known.revision_versions if known is not None else ()
        if new.revision and (known is None or new.revision != known.revision):
            new.revision_versions = (*new.revision_versions[1 - REVISIONS_KEPT :], new.rv)
        return
    if new.kind not in ("Pod", "ControllerRevision"):
        return
    if known is not None and known.rv and known.labels == new.labels and new.labels:
        new.ordinal, new.revision, new.toleration_seconds = known.ordinal, known.revision, known.toleration_seconds
        return
    labels = bytes(seen.meta.labels)
    new.ordinal, new.revision = pod_index(labels), revision_label(labels)
    new.toleration_seconds = toleration_seconds(bytes(seen.spec.tolerations))


def _template(seen: ObservedObject, old: ObjectState) -> int:
    """Return the checksum of the pod template, or of the content of an object that has no spec."""
    obj, spec = seen.obj, seen.spec
    if obj.metadata.generation and obj.metadata.generation == old.generation:
        return old.template
    if spec.template:
        return template_fingerprint(bytes(spec.template))
    return 0 if obj.spec or obj.metadata.generation else zlib.crc32(content(seen.record.payload))


def _owners(meta: ObjectMeta) -> tuple[str, tuple[str, ...]]:
    """Return the uid of the controlling owner, and those of all owners."""
    if not meta.ownerReferences:
        return "", ()
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
    return 1 if kind in ("Deployment", "ReplicaSet", "StatefulSet") else -1


def spec_changed(old: ObjectState, new: ObjectState) -> bool:
    """True if the spec of an object changed: by its generation, or by comparison for kinds without one."""
    if new.generation or old.generation:
        return new.generation > old.generation
    return new.spec != old.spec or new.template != old.template


def revived(obj: ObjectState) -> ObjectState:
    """Return the state of an object that was deleted and exists again, because etcd was restored from a backup."""
    return msgspec.structs.replace(obj, rv=0, deleted=0, deleting=False, forget=0, owners=())
