"""The author of a change, from managedFields. Pure.

The writer of a change is the entry, except those of ``status``, that is new or newer than in the version before
(apimachinery pkg/util/managedfields; sigs.k8s.io/structured-merge-diff). An entry that is neither says nothing about
the time of a change.
"""

import zlib
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Final

import msgspec

from kspan.graph.observe.timing import PROMPT
from kspan.k8s.objects import ManagedFieldsEntry, decode_spec
from kspan.times import SECOND, parse_time_or_zero

SHARED: Final = "kube-controller-manager"
"""Manager of all controllers of the controller manager."""

_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
"""Taint that mirrors spec.unschedulable of a Node."""

_MERGED = "ancient-changes"
"""Manager of the oldest entries once there are many (apimachinery pkg/util/managedfields/internal/capmanagers.go)."""

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


class Writer(msgspec.Struct, frozen=True):
    """The author of a change."""

    manager: str = ""
    """Empty: unknown."""
    subresource: str = ""
    time: int = 0
    """The time of the change that the object states (ns, in whole seconds); 0: it states none."""
    probable: bool = False
    """Nothing shows it for certain."""


NO_WRITER: Final = Writer()


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
    return parse_time_or_zero(max((e.time or "" for e in entries or ()), default=""))


def owning_manager(entries: Sequence[ManagedFieldsEntry] | None) -> str:
    """Return the manager that wrote the owner references: the controller of the owner. Empty if there is none."""
    for e in entries or ():
        if b'"f:ownerReferences"' in bytes(e.fieldsV1):
            return e.manager
    return ""


def writes_status(manager: str, entries: Sequence[ManagedFieldsEntry] | None) -> bool:
    """True if a manager writes the status of an object: it is a controller of this object."""
    return any(e.manager == manager and _is_of_status(e) for e in entries or ())


def field_writer(entries: Sequence[ManagedFieldsEntry] | None, field: str) -> Writer | None:
    """Return who set the value of a field that no other one has (``f:abort``): its manager; None without one."""
    key = f'"{field}"'.encode()
    found = [e for e in entries or () if key in bytes(e.fieldsV1)]
    last = max(found, key=lambda e: (e.time or "", e.manager), default=None)
    return Writer(last.manager, last.subresource, parse_time_or_zero(last.time)) if last is not None else None


def writes_conditions(manager: str, entries: Sequence[ManagedFieldsEntry] | None) -> bool:
    """True if a manager writes conditions of an object, as its controller does."""
    return any(e.manager == manager and b'"f:conditions"' in bytes(e.fieldsV1) for e in entries or ())


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


def creator(entries: Sequence[FieldManagerEntry], created: int, owner_manager: str) -> FieldManagerEntry | None:
    """Return the entry of the creator of an object; None if none is as old as the object.

    Others may have written in the same second. The controller of the owner creates what it owns; the controllers of
    the controller manager only complete what others created (a Node, a claim).

    Args:
        created: creationTimestamp (ns, in whole seconds).
        owner_manager: the manager that wrote the owner references.
    """
    first = [entry for entry in entries if 0 < entry.time <= created + SECOND]
    return min(first, key=lambda e: (e.manager != owner_manager, e.time, e.manager == SHARED, e.manager), default=None)


def newest_entry(entries: Sequence[FieldManagerEntry]) -> FieldManagerEntry | None:
    """Return the newest entry. Entries without a time are the oldest."""
    return max(entries, key=lambda entry: (entry.time, entry.manager), default=None)


def find_writer(
    before: Sequence[FieldManagerEntry],
    now: Sequence[FieldManagerEntry],
    received: int,
    is_controller: Callable[[str], bool],
) -> Writer:
    """Return who changed ``before`` into ``now``, as far as the entries show it.

    An entry that is new or has a new time is the writer's. A write that only removes fields leaves no entry: those who
    had the fields lose them (structured-merge-diff, merge/update.go), and the time of their entries stays. Then one of
    these probably removed its own fields, a person or a tool rather than a controller, and the time is not known.

    Args:
        before, now: the entries in both versions.
        received: when the later version was received (Unix ns).
        is_controller: whether a manager is a controller.
    """
    known = {_identity(entry): entry for entry in before}
    written = [e for e in now if e.manager != _MERGED and _identity(e) not in known]
    altered = [e for e in now if _identity(e) in known and known[_identity(e)].fields != e.fields]
    # Within a second of the write before, the time of an entry stays the same.
    again = [e for e in altered if 0 <= received - e.time < PROMPT]
    newest = newest_entry(written or again)
    if newest is not None:
        return Writer(newest.manager, newest.subresource, newest.time)
    left = {(entry.manager, entry.subresource) for entry in now}
    lost = altered + [entry for entry in before if (entry.manager, entry.subresource) not in left]
    if not lost:
        return NO_WRITER
    loser = max(lost, key=lambda entry: (not is_controller(entry.manager), entry.time, entry.manager))
    return Writer(loser.manager, loser.subresource, probable=True)


def find_scaler(now: Sequence[FieldManagerEntry], last: str) -> Writer:
    """Return who changed the replicas of an object, if no entry has changed.

    The entry of the subresource ``scale`` has no time, and stays the same if one manager scales twice. Scaling to zero
    and from zero leaves no entry at all (apimachinery pkg/util/managedfields/scalehandler.go): it was probably
    ``last``, the manager that set the replicas before.
    """
    scale = next((entry for entry in now if entry.subresource == "scale"), None)
    if scale is not None:
        return Writer(scale.manager, scale.subresource)
    return Writer(last, "scale", probable=True) if last else NO_WRITER


def owner_of(entries: Sequence[ManagedFieldsEntry] | None, pointer: Sequence[str | int]) -> Writer:
    """Return the manager of a field, outside the status: who changed it without a trace was probably the same.

    Kubernetes before 1.25 leaves managedFields as they were if a value changes and nothing else (kubernetes/kubernetes
    109576). ``pointer``: the names and indexes on the way to the field.
    """
    names = [f'"f:{name}"'.encode() for name in pointer if isinstance(name, str)]
    found, depth = NO_WRITER, 1
    for entry in entries or ():
        fields = bytes(entry.fieldsV1)
        # The items of a list that is replaced as a whole are not fields.
        known = len(list(takewhile(fields.__contains__, names)))
        if known > depth and not _is_of_status(entry):
            found, depth = Writer(entry.manager, entry.subresource, probable=True), known
    return found


def _identity(entry: FieldManagerEntry) -> tuple[str, str, int]:
    return entry.manager, entry.subresource, entry.time


def service_of(manager: str) -> str:
    """Return the program of a field manager: ``kubectl-client-side-apply`` and ``kubectl-set`` are kubectl."""
    return "kubectl" if manager.startswith("kubectl-") else manager
