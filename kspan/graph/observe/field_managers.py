"""Who changed an object, from managedFields. Pure.

Who: the entry of managedFields (not of ``status``) that is new or newer than in the version before
(server-side apply: sigs.k8s.io/structured-merge-diff, apimachinery managedfields).
"""

import zlib
from collections.abc import Sequence

import msgspec

from kspan.k8s.objects import ManagedFieldsEntry, decode_spec
from kspan.times import parse_time_or_zero

_MIRROR = "node.kubernetes.io/unschedulable"


class FieldManagerEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An entry of managedFields outside ``status``: ``time`` in ns (0: none given), ``fields`` a checksum."""

    manager: str
    subresource: str
    time: int
    fields: int


_NOBODY = "before-first-apply"
"""Stands for whoever wrote before the first server-side apply (structured-merge-diff, managedFields)."""


def field_manager_entries(entries: Sequence[ManagedFieldsEntry] | None) -> tuple[FieldManagerEntry, ...]:
    """The field_manager_entries of an object outside its status."""
    found, old = [], True
    for entry in entries or ():
        if entry.subresource:
            old = False
        if entry.subresource != "status" and entry.manager != _NOBODY:
            found.append(entry)
    if old and len(found) > 1:  # Before Kubernetes 1.22 no entry told its subresource.
        found = [entry for entry in found if not _of_status(entry)]
    return tuple(
        [FieldManagerEntry(e.manager, e.subresource, parse_time_or_zero(e.time), zlib.crc32(e.fieldsV1)) for e in found]
    )


def _of_status(entry: ManagedFieldsEntry) -> bool:
    if entry.subresource:
        return entry.subresource == "status"
    fields = bytes(entry.fieldsV1)
    return b'"f:status"' in fields and b'"f:spec"' not in fields


def last_write(entries: Sequence[ManagedFieldsEntry] | None) -> int:
    """When the object was last written, status included (ns, whole seconds; 0: not told)."""
    return max((parse_time_or_zero(e.time) for e in entries or ()), default=0)


def owning_manager(entries: Sequence[ManagedFieldsEntry] | None) -> str:
    """The manager who wrote the owner references, that is: the owner's controller. Empty where nobody did."""
    for e in entries or ():
        if b'"f:ownerReferences"' in bytes(e.fieldsV1):
            return e.manager
    return ""


def status_writers(entries: Sequence[ManagedFieldsEntry] | None) -> frozenset[str]:
    """The managers who write the status: the controllers of this very object."""
    return frozenset(e.manager for e in entries or () if _of_status(e))


def status_writer(entries: Sequence[ManagedFieldsEntry] | None, field: str) -> tuple[str, int]:
    """(manager, ns) of the newest write to the status that names a field or the key of a list there; the newest of all
    where none does, ``("", 0)`` where nobody wrote to the status."""
    told = [e for e in entries or () if _of_status(e)]
    naming = [e for e in told if field.encode() in bytes(e.fieldsV1)]
    found = [(parse_time_or_zero(e.time), e.manager) for e in naming or told]
    time, manager = max(found, default=(0, ""))
    return manager, time


def turn_of_node(before: bytes, after: bytes) -> str:
    """What a change of a Node's spec (JSON) means to Pods: it ``evicts`` them, is ``closed`` to them, or ``opened``.

    Empty where it means nothing. The taint that only mirrors ``unschedulable`` does not count.
    """
    old, new = decode_spec(before), decode_spec(after)
    was, now = ({t for t in spec.taints or () if t.key != _MIRROR} for spec in (old, new))
    if any(taint.effect == "NoExecute" for taint in now - was):
        return "evicts"
    if now - was or (new.unschedulable and not old.unschedulable):
        return "closed"
    if was - now or (old.unschedulable and not new.unschedulable):
        return "opened"
    return ""


def newest_entry(now: Sequence[FieldManagerEntry]) -> FieldManagerEntry | None:
    """The newest of them; one without a time only where there is no other."""
    return max(now, key=lambda w: (w.time, w.manager), default=None)


def changed_entry(before: Sequence[FieldManagerEntry], now: Sequence[FieldManagerEntry]) -> FieldManagerEntry | None:
    """Who made ``now`` out of ``before``.

    An entry that is new or has a new time wrote; one whose fields alone differ may only have lost some of them to the
    writer, so it counts where there is no other. Where nothing differs (a second ``scale`` by the same manager leaves
    its timeless entry as it was) the ``scale`` entry, if any, else the newest writer.
    """
    known = {(w.manager, w.subresource, w.time) for w in before}
    fresh = [w for w in now if (w.manager, w.subresource, w.time) not in known]
    if fresh:
        return newest_entry(fresh)
    same = set(before)
    altered = [w for w in now if w not in same]
    if altered:
        return newest_entry(altered)
    return next((w for w in now if w.subresource == "scale"), None) or newest_entry(now)


def service_of(manager: str) -> str:
    """The program behind a field manager: ``kubectl-client-side-apply`` and ``kubectl-set`` are kubectl."""
    return "kubectl" if manager.startswith("kubectl-") else manager
