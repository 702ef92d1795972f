"""The author of a change, from managedFields. Pure.

The writer of a change is the entry, except those of ``status``, that is new or newer than in the version before
(apimachinery pkg/util/managedfields; sigs.k8s.io/structured-merge-diff). An entry that is neither says nothing about
the time of a change.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from sys import intern
from typing import Any, Final

import msgspec

from kspan.graph.observe.diff import owns
from kspan.graph.observe.timing import PROMPT
from kspan.k8s.objects import ManagedFieldsEntry, decode_spec
from kspan.k8s.strict_json import DECODE_ERRORS
from kspan.times import SECOND, parse_time_or_zero

SHARED: Final = "kube-controller-manager"
"""Manager of all controllers of the controller manager."""

_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
"""Taint that mirrors spec.unschedulable of a Node."""

_MERGED = "ancient-changes"
"""Manager of the oldest entries once there are many (apimachinery pkg/util/managedfields/internal/capmanagers.go)."""

_BEFORE_FIRST_APPLY = "before-first-apply"
"""Manager of the fields that were written before the first server-side apply (apimachinery pkg/util/managedfields)."""


_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class FieldManagerEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An entry of managedFields outside ``status``."""

    manager: str
    subresource: str
    time: int
    """In ns; 0: the entry has no time."""
    fields: int
    """Checksum of the fields."""
    content: tuple[str, ...] = ()
    """Its fields outside of the metadata, to the second level: ``data.app.yaml``. Only for an object whose content is
    not known, and where several managers have written what a first list shows."""


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


def field_manager_entries(
    entries: Sequence[ManagedFieldsEntry] | None, *, content: bool = False
) -> tuple[FieldManagerEntry, ...]:
    """Return the entries of an object, without those of its status; with their ``content`` if asked for."""
    found, without_subresources = [], True
    for entry in entries or ():
        if entry.subresource:
            without_subresources = False
        if entry.subresource != "status" and entry.manager != _BEFORE_FIRST_APPLY:
            found.append(entry)
    if without_subresources and len(found) > 1:  # Before Kubernetes 1.22 entries had no subresource.
        found = [entry for entry in found if not _is_of_status(entry)]
    if content:
        return tuple(
            [
                FieldManagerEntry(
                    e.manager, e.subresource, parse_time_or_zero(e.time), zlib.crc32(e.fieldsV1), _content(e.fieldsV1)
                )
                for e in found
            ]
        )
    return tuple(
        [
            # Interned: the objects of a cluster have a handful of managers.
            FieldManagerEntry(intern(e.manager), e.subresource, parse_time_or_zero(e.time), zlib.crc32(e.fieldsV1))
            for e in found
        ]
    )


def _is_of_status(entry: ManagedFieldsEntry) -> bool:
    if entry.subresource:
        return entry.subresource == "status"
    fields = bytes(entry.fieldsV1)
    return b'"f:status"' in fields and b'"f:spec"' not in fields and _has_status(fields)


def _has_status(fields: bytes) -> bool:
    """True if fieldsV1 has the status of an object, and not only a key of that name somewhere."""
    try:
        return "f:status" in _decode_members(fields)
    except DECODE_ERRORS:
        return False


def has_status(entries: Sequence[ManagedFieldsEntry] | None) -> bool:
    """True if somebody has written the status of an object."""
    return any(_is_of_status(e) for e in entries or ())


def mixes_status(entries: Sequence[ManagedFieldsEntry] | None) -> bool:
    """True if an entry is of the status and of something else (before Kubernetes 1.22)."""
    return any(not e.subresource and _has_status(bytes(e.fieldsV1)) for e in entries or ())


def last_write(entries: Sequence[ManagedFieldsEntry] | None) -> int:
    """Return when an object was last written, including its status (ns, in whole seconds; 0: unknown)."""
    newest = ""
    for entry in entries or ():
        if entry.time and entry.time > newest:
            newest = entry.time
    return parse_time_or_zero(newest)


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
    key = field.encode()
    newest, of_field = (0, ""), list[tuple[int, str]]()
    for entry in entries or ():
        if _is_of_status(entry):
            write = parse_time_or_zero(entry.time), entry.manager
            newest = max(newest, write)
            if key in bytes(entry.fieldsV1):
                of_field.append(write)
    time, manager = max(of_field, default=newest)
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


COMPLETED: Final = {
    "Node": "",
    "PersistentVolume": "spec.accessModes",
    "PersistentVolumeClaim": "spec.accessModes",
}
"""Kinds that controllers of the controller manager complete in the second of their creation, and a field that only the
creator sets. These controllers create no Nodes."""


def creator(
    entries: Sequence[FieldManagerEntry], created: int, owner_manager: str, kind: str = ""
) -> FieldManagerEntry | None:
    """Return the entry of the creator of an object; None if none is as old as the object.

    Others may have written in the same second. The controller of the owner creates what it owns; the controllers of
    the controller manager only complete what others created (a Node, a claim).

    Args:
        created: creationTimestamp (ns, in whole seconds).
        owner_manager: the manager that wrote the owner references.
        kind: that of the object, if the content of the entries is known.
    """
    first = [entry for entry in entries if 0 < entry.time <= created + SECOND]
    if kind in COMPLETED and any(entry.content for entry in entries):
        first = [entry for entry in first if entry.manager != SHARED or COMPLETED[kind] in entry.content]
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
    written = new_entries(before, now)
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


def new_entries(before: Sequence[FieldManagerEntry], now: Sequence[FieldManagerEntry]) -> list[FieldManagerEntry]:
    """Return the entries that are new or have a new time. A single write gives one; a gap can contain several."""
    known = {_identity(entry) for entry in before}
    return [entry for entry in now if entry.manager != _MERGED and _identity(entry) not in known]


def writer_of_fields(
    entries: Sequence[ManagedFieldsEntry] | None,
    written: Sequence[FieldManagerEntry],
    patch: str,
    spec: bytes,
    is_controller: Callable[[str], bool],
) -> Writer | None:
    """Return who changed fields of an object that may have been written several times since the version before.

    It is the manager whose new entry owns the fields. Of several the newest is chosen, a person or a tool rather than a
    controller, and it is only probable: the others changed some of them. None if none owns any.

    Args:
        entries: managedFields now.
        written: the entries that are new or have a new time.
        patch: the JSON patch of the change.
        spec: that of the object now (JSON).
    """
    operations = msgspec.json.decode(patch)
    in_spec = [o for o in operations if o["path"].startswith("/spec")]
    document = {"spec": msgspec.json.decode(spec) if spec else {}}
    # Labels count only if nothing else changed. A default that the API server adds has no owner.
    own = [entry for entry in entries or () if not _is_of_status(entry)]
    owners = [
        (o["op"], {_identity_of(entry) for entry in own if owns(entry.fieldsV1, o["path"], document)})
        for o in in_spec or operations
        if o["op"] != "remove"
    ]
    owning = [entry for entry in written if any(_identity(entry) in found for _, found in owners)]
    if not owning:
        return None
    last = max(owning, key=lambda entry: (not is_controller(entry.manager), entry.time, entry.manager))
    certain = all(_identity(last) in found or (op == "add" and not found) for op, found in owners)
    return Writer(last.manager, last.subresource, last.time, probable=not certain)


def find_scaler(now: Sequence[FieldManagerEntry], last: str) -> Writer:
    """Return who changed the replicas of an object, if no entry is new.

    The entry of the subresource ``scale`` has no time, and stays the same if one manager scales twice. Scaling to zero
    and from zero leaves no entry at all (apimachinery pkg/util/managedfields/scalehandler.go): it was probably
    ``last``, the manager that scaled before.
    """
    scale = next((entry for entry in now if entry.subresource == "scale"), None)
    if scale is not None:
        return Writer(scale.manager, scale.subresource)
    return Writer(last, "scale", probable=True) if last else NO_WRITER


def is_scaled_without_trace(entries: Sequence[ManagedFieldsEntry] | None, before: int, after: int) -> bool:
    """True if an object was scaled to zero or from zero through the subresource ``scale``.

    It is the only way to drop the field from all entries and to leave a value: who applies ``replicas: 0`` keeps it.
    """
    return 0 in (before, after) and not any(
        b'"f:replicas"' in bytes(entry.fieldsV1) and not _is_of_status(entry) for entry in entries or ()
    )


def command_that_scales(manager: str) -> str:
    """Return the manager by which a command line scales, if ``manager`` is another command of it; otherwise nothing.

    ``kubectl apply`` does not use the subresource ``scale``, and neither do Argo CD, Flux and Helm.
    """
    service = service_of(manager)
    return service if service in ("kubectl", "oc") else ""


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


def _identity_of(entry: ManagedFieldsEntry) -> tuple[str, str, int]:
    return entry.manager, entry.subresource, parse_time_or_zero(entry.time)


def service_of(manager: str) -> str:
    """Return the program of a field manager: ``kubectl-client-side-apply`` and ``kubectl-set`` are kubectl."""
    return "kubectl" if manager.startswith("kubectl-") else manager


# Objects of which only the metadata are known ------------------------------------------------------------------------

HEARTBEAT: Final = 120 * SECOND
"""Fields that a program writes again within this time (ns) are a heartbeat, such as the status in a ConfigMap."""

_FIELDS_KEPT = 10_000
"""Fields that are remembered of one entry; of an entry with more, only the first level is."""

_NAMED = 4
"""Fields that a summary names, of those among which one has changed."""

_OTHER_FIELDS = frozenset({"f:metadata", "f:status", "f:apiVersion", "f:kind"})

_decode_fields = msgspec.json.Decoder(dict[str, Any]).decode


def _content(fields: msgspec.Raw) -> tuple[str, ...]:
    """Return the fields outside of the metadata in the fieldsV1 of an entry, to the second level, in order."""
    try:
        members = _decode_fields(fields) if fields else {}
    except DECODE_ERRORS:
        return ()
    first = {name.removeprefix("f:"): below for name, below in members.items() if name not in _OTHER_FIELDS}
    found = sorted({intern(path) for name, below in first.items() for path in _paths(name, below)})
    return tuple(found if len(found) <= _FIELDS_KEPT else sorted(first))


def _paths(name: str, below: Any) -> Iterator[str]:
    children = [_label(key) for key in below if key != "."] if isinstance(below, dict) else []
    return (f"{name}.{child}" for child in children) if children else iter((name,))


def _label(key: str) -> str:
    """Return the name in a key of fieldsV1: that of a field, or of an item of a list (``k:{"name":"web"}``)."""
    kind, _, text = key.partition(":")
    if kind != "k":
        return text
    try:
        return ",".join(map(str, _decode_fields(text).values()))
    except DECODE_ERRORS:
        return text


class ContentChange(msgspec.Struct, frozen=True):
    """A change of an object of which only the metadata are known, as managedFields show it."""

    summary: str
    named: bool = True
    """The fields in the summary are those that changed, not those among which there is one that did."""
    certain: bool = True
    """False if the metadata changed as well, and perhaps nothing else."""
    manager: str = ""
    """The manager of all fields: probably the writer, if no entry is new or newer."""


def content_change(
    before: Sequence[FieldManagerEntry], now: Sequence[FieldManagerEntry], *, same_metadata: bool, has_status: bool
) -> ContentChange | None:
    """Return how the content of an object changed between two versions of it; None if nothing shows that it did.

    A field whose value changes goes over to who wrote it, so the fields of the entries show which were added, changed
    and removed. If the writer had them before, only the time of the entry is new: one of its fields changed, perhaps
    one of the metadata. If nothing at all is new, everything was written again within the second of the entry, or by an
    API server before 1.25 (kubernetes/kubernetes 109576).

    Args:
        before, now: the entries in both versions.
        same_metadata: labels, annotations and all other metadata are the same.
        has_status: there are entries of a status, which may be all that changed.
    """
    if not before or not now:
        return None  # Not every source of objects has managedFields.
    had, has = _owners(before), _owners(now)
    words = [f"{field} added" for field in has if field not in had and not _is_parent(field, had)]
    words += [f"{field} changed" for field, by in has.items() if field in had and _went_over(had[field], by)]
    words += [f"{field} removed" for field in had if field not in has and not _is_parent(field, has)]
    if words:
        return ContentChange(", ".join(words))
    known = {_identity(entry) for entry in before}
    held = {(entry.manager, entry.subresource, entry.content) for entry in before}
    again = [e for e in now if e.content and _identity(e) not in known]
    again = [e for e in again if (e.manager, e.subresource, e.content) in held]
    if again:
        fields = sorted({field for entry in again for field in entry.content})
        return ContentChange(_one_changed(fields), named=False, certain=same_metadata)
    if has and same_metadata and not has_status and tuple(before) == tuple(now):
        managers = {manager for owners in has.values() for manager, _ in owners}
        manager = managers.pop() if len(managers) == 1 else ""
        return ContentChange(_one_changed(sorted(has)), named=False, manager=manager)
    return None


def _is_parent(field: str, others: Iterable[str]) -> bool:
    """True if a field without keys, such as an empty ``data``, has some among ``others``."""
    return "." not in field and any(other.startswith(f"{field}.") for other in others)


def _went_over(had: set[tuple[str, str]], has: set[tuple[str, str]]) -> bool:
    return any(manager != _MERGED for manager, _ in has - had) and bool(had - has)


def is_heartbeat(before: Sequence[FieldManagerEntry], writer: Writer, created: int, received: int) -> bool:
    """True if a manager has changed an object a moment ago as well, after its creation."""
    last = max(
        (e.time for e in before if (e.manager, e.subresource) == (writer.manager, writer.subresource)), default=0
    )
    return last > created + SECOND and (writer.time or received) - last < HEARTBEAT


def _owners(entries: Sequence[FieldManagerEntry]) -> dict[str, set[tuple[str, str]]]:
    """Return who has each field of the content, in order."""
    found: dict[str, set[tuple[str, str]]] = {}
    for entry in entries:
        for field in entry.content:
            found.setdefault(field, set()).add((entry.manager, entry.subresource))
    return dict(sorted(found.items()))


def _one_changed(fields: Sequence[str]) -> str:
    """Return that one or more of these fields changed: ``data changed (a, b or c)``."""
    if len(fields) == 1:
        return f"{fields[0]} changed"
    parts = {field.partition(".")[0] for field in fields}
    if len(parts) > 1:
        names, what = fields, "content"
    else:
        what = parts.pop()
        names = [field.removeprefix(f"{what}.") for field in fields]
    if len(names) > _NAMED:
        return f"{what} changed (one or more of {len(names)} fields)"
    return f"{what} changed ({', '.join(names[:-1])} or {names[-1]})"
