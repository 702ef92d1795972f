"""The author of a version, of the creation and of the deletion of an object; empty unless it is certain."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from kspan import vocabulary
from kspan.model import SpanRow
from kspan.query import spans as reading
from kspan.query.objects.manifest import decode
from kspan.query.objects.versions import Version
from kspan.times import SECOND, parse_time_or_zero

CHANGES: Final = ("Create", "Update", "Delete")
"""Reasons of changes. A deletion is the change that set the deletionTimestamp."""

SCHEDULED: Final = "Scheduled"
"""Reason of the Event that a scheduler reports after it has bound a Pod (kubernetes pkg/scheduler/schedule_one.go)."""

_CERTAIN: Final = 0.8
"""Confidence in a cause from which on the component that it names counts as the author."""

_SLACK: Final = 2 * SECOND
"""By how much a change can seem to begin after its receipt: some times are whole seconds."""


class Authors:
    """The authors of the versions of one object.

    Args:
        spans: occurrences of the object. Some may be missing; versions that they made have no author then.
    """

    def __init__(self, spans: Iterable[SpanRow]) -> None:
        self._changes: defaultdict[str, list[SpanRow]] = defaultdict(list)
        self._bindings: list[SpanRow] = []
        for span in spans:
            if span.event_uid:
                self._bindings += [span] if span.reason == SCHEDULED else []
            elif span.reason in CHANGES:
                self._changes[str(span.attributes.get(vocabulary.OBJECT_RESOURCE_VERSION, ""))].append(span)

    def change_of(self, version: Version) -> SpanRow | None:
        """Return the change that made a version; None if none did, or several may have."""
        record = version.record
        # After a restored backup, resourceVersions can come again.
        found = [
            span
            for span in self._changes[record.resource_version]
            if record.resource_version and span.start_time <= record.recorded_at + _SLACK
        ]
        return found[0] if len(found) == 1 else None

    def author_of(self, version: Version, older: Version | None) -> str:
        """Return who made a version out of an older one; empty if that is not certain."""
        change = self.change_of(version)
        if change is not None:
            if older is not None and not _only_writer(older, version, reading.manager_of(change)):
                return ""
            return author_of_change(change, version if change.reason == "Create" else None)
        return self._scheduler(version, older) if older is not None else ""

    def _scheduler(self, version: Version, older: Version) -> str:
        """Return who bound a Pod: the one that reports having assigned it to this Node.

        The subresource ``binding`` leaves no entry in managedFields.
        """
        if version.record.kind != "Pod" or _node(older) or not (node := _node(version)):
            return ""
        reporters = {span.service for span in self._bindings if span.message.endswith(f" to {node}")}
        return reporters.pop() if len(reporters) == 1 else ""


def author_of_change(change: SpanRow, created: Version | None = None) -> str:
    """Return who made a change; empty if that is not certain.

    Args:
        change: a creation, an update or a deletion.
        created: of a creation, the oldest version that is known: it shows who else wrote the object in that second.
    """
    if change.attributes.get(vocabulary.PROBABLE_MANAGER):
        return ""
    manager = reading.manager_of(change)
    if manager:
        return manager if created is None or _only_creator(created, manager) else ""
    is_named = change.confidence >= _CERTAIN and change.service != "unknown"
    return change.service if is_named and change.reason == "Delete" else ""


def _only_writer(older: Version, version: Version, manager: str) -> bool:
    """True if nobody else wrote between two versions: of several, nothing shows who changed what."""
    before = {_identity(entry) for entry in _written(older)}
    return {entry.get("manager") for entry in _written(version) if _identity(entry) not in before} <= {manager}


def _only_creator(oldest: Version, manager: str) -> bool:
    """True if nobody else wrote an object when it was created, or only this manager named its owners."""
    meta = decode(oldest.record.payload).get("metadata")
    created = _time(meta.get("creationTimestamp")) if isinstance(meta, dict) else 0
    first = [entry for entry in _written(oldest) if 0 < _time(entry.get("time")) <= created + SECOND]
    if {entry.get("manager") for entry in first} <= {manager}:
        return True
    return {entry.get("manager") for entry in first if "f:ownerReferences" in _metadata(entry)} == {manager}


def _written(version: Version) -> list[dict[str, Any]]:
    """Return the entries of managedFields that are not about the status."""
    meta = decode(version.record.payload).get("metadata")
    listed = meta.get("managedFields") if isinstance(meta, dict) else None
    entries = [entry for entry in (listed if isinstance(listed, list) else []) if isinstance(entry, dict)]
    return [entry for entry in entries if entry.get("subresource") != "status" and not _is_of_status(entry)]


def _is_of_status(entry: dict[str, Any]) -> bool:
    fields = entry.get("fieldsV1")
    return isinstance(fields, dict) and "f:status" in fields and "f:spec" not in fields


def _identity(entry: dict[str, Any]) -> tuple[str, str, str]:
    return str(entry.get("manager")), str(entry.get("subresource", "")), str(entry.get("time", ""))


def _metadata(entry: dict[str, Any]) -> dict[str, Any]:
    fields = entry.get("fieldsV1")
    found = fields.get("f:metadata") if isinstance(fields, dict) else None
    return found if isinstance(found, dict) else {}


def _node(version: Version) -> str:
    spec = decode(version.record.payload).get("spec")
    node = spec.get("nodeName") if isinstance(spec, dict) else None
    return node if isinstance(node, str) else ""


def _time(value: Any) -> int:
    return parse_time_or_zero(value) if isinstance(value, str) else 0
