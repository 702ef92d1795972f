"""The author of a change, from managedFields. Pure.

The writer of a change is the entry, except those of ``status``, that is new or newer than in the version before
(apimachinery pkg/util/managedfields; sigs.k8s.io/structured-merge-diff).
"""

import zlib
from collections.abc import Sequence

import msgspec

from kspan.k8s.objects import ManagedFieldsEntry, decode_spec
from kspan.times import parse_time_or_zero

_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
"""Taint that mirrors spec.unschedulable of a Node."""

_BEFORE_FIRST_APPLY = "before-first-apply"
"""Manager of the fields that were written before the first server-side apply (apimachinery pkg/util/managedfields)."""


class FieldManagerEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An entry of managedFields outside ``status``."""

    manager: str
    subresource: str
    time: int
    """In ns; 0: the entry has no time."""
    fields: int
    """Checksum of the fields."""


def field_manager_entries(entries: Sequence[ManagedFieldsEntry] | None) -> tuple[FieldManagerEntry, ...]:
    """Return the entries of an object, without those of its status."""
    found, without_subresources = [], True
    for entry in entries or ():
        if entry.subresource:
            without_subresources = False
        if entry.subresource != "status" and entry.manager != _BEFORE_FIRST_APPLY:
            found.append(entry)
    if without_subresources and len(found) > 1:  # Before Kubernetes 1.22 entries had no subresource.
        found = [entry for entry in found if not _is_of_status(entry)]
    return tuple(
        [FieldManagerEntry(e.manager, e.subresource, parse_time_or_zero(e.time), zlib.crc32(e.fieldsV1)) for e in found]
    )


def _is_of_status(entry: ManagedFieldsEntry) -> bool:
    if entry.subresource:
        return entry.subresource == "status"
    fields = bytes(entry.fieldsV1)
    return b'"f:status"' in fields and b'"f:spec"' not in fields


def last_write(entries: Sequence[ManagedFieldsEntry] | None) -> int:
    """Return when an object was last written, including its status (ns, in whole seconds; 0: unknown)."""
    return max((parse_time_or_zero(e.time) for e in entries or ()), default=0)


def owning_manager(entries: Sequence[ManagedFieldsEntry] | None) -> str:
    """Return the manager that wrote the owner references: the controller of the owner. Empty if there is none."""
    for e in entries or ():
        if b'"f:ownerReferences"' in bytes(e.fieldsV1):
            return e.manager
    return ""


def writes_status(manager: str, entries: Sequence[ManagedFieldsEntry] | None) -> bool:
    """True if a manager writes the status of an object: it is a controller of this object."""
    return any(e.manager == manager and _is_of_status(e) for e in entries or ())


def status_writer(entries: Sequence[ManagedFieldsEntry] | None, field: str) -> tuple[str, int]:
    """Return the manager and the time (ns) of the newest write to a field of the status.

    ``field`` is a name or a list key as in fieldsV1. If no entry has it, the newest write to the status counts; if
    there is none, the result is ``("", 0)``.
    """
    of_status = [e for e in entries or () if _is_of_status(e)]
    with_field = [e for e in of_status if field.encode() in bytes(e.fieldsV1)]
    writes = [(parse_time_or_zero(e.time), e.manager) for e in with_field or of_status]
    time, manager = max(writes, default=(0, ""))
    return manager, time


def node_change(before: bytes, after: bytes) -> str:
    """Return what a change of a Node's spec (JSON) means for Pods: ``evicts``, ``closed``, ``opened`` or nothing.

    ``evicts``: it has a new NoExecute taint. ``closed`` and ``opened``: no new Pods, or new Pods again. The taint that
    mirrors spec.unschedulable does not count.
    """
    old, new = decode_spec(before), decode_spec(after)
    was, now = ({t for t in spec.taints or () if t.key != _UNSCHEDULABLE} for spec in (old, new))
    if any(taint.effect == "NoExecute" for taint in now - was):
        return "evicts"
    if now - was or (new.unschedulable and not old.unschedulable):
        return "closed"
    if was - now or (old.unschedulable and not new.unschedulable):
        return "opened"
    return ""


def newest_entry(entries: Sequence[FieldManagerEntry]) -> FieldManagerEntry | None:
    """Return the newest entry. Entries without a time are the oldest."""
    return max(entries, key=lambda entry: (entry.time, entry.manager), default=None)


def changed_entry(before: Sequence[FieldManagerEntry], now: Sequence[FieldManagerEntry]) -> FieldManagerEntry | None:
    """Return the entry of the writer that changed ``before`` into ``now``.

    An entry that is new or has a new time is the writer's. If there is none, one with other fields is; it may also
    have lost fields to the writer. If nothing differs, it is the ``scale`` entry (which has no time, and stays the same
    if one manager scales twice), or else the newest entry.
    """
    known = {(entry.manager, entry.subresource, entry.time) for entry in before}
    written = [entry for entry in now if (entry.manager, entry.subresource, entry.time) not in known]
    if written:
        return newest_entry(written)
    same = set(before)
    altered = [entry for entry in now if entry not in same]
    if altered:
        return newest_entry(altered)
    return next((entry for entry in now if entry.subresource == "scale"), None) or newest_entry(now)


def service_of(manager: str) -> str:
    """Return the program of a field manager: ``kubectl-client-side-apply`` and ``kubectl-set`` are kubectl."""
    return "kubectl" if manager.startswith("kubectl-") else manager
