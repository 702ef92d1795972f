"""Compares two versions of an object."""

from typing import Any

import msgspec
from sqlalchemy import Connection

from kspan.k8s.json_patch import make_patch
from kspan.query.objects.manifest import comparable, decode, readable
from kspan.query.objects.names import ObjectName
from kspan.query.objects.versions import Version, version_at, version_before
from kspan.query.visible import EVERYTHING, Visible
from kspan.times import format_time


class Comparison(msgspec.Struct, frozen=True):
    """Two versions of an object, and what is compared of them.

    ``old`` is None if the journal has no earlier version that differs; ``before`` is the same as ``after`` then.
    """

    old: Version | None
    new: Version
    before: dict[str, Any]
    after: dict[str, Any]


class SideAnswer(msgspec.Struct, frozen=True):
    """One of the compared versions. ``time`` is when it was received; ``deleted``: it is the last one."""

    time: str
    resource_version: str
    uid: str
    deleted: bool


class ComparedAnswer(msgspec.Struct, frozen=True):
    """The manifests that were compared.

    Args:
        kind, namespace, name: the object.
        is_first: true if the journal has no earlier version that differs.
        before, after: the manifests, without bookkeeping.
    """

    kind: str
    namespace: str
    name: str
    is_first: bool
    before: dict[str, Any]
    after: dict[str, Any]


class DiffAnswer(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """The difference of two versions as a JSON Patch (RFC 6902). ``compared`` is there only if asked for."""

    from_: SideAnswer
    to: SideAnswer
    patch: list[dict[str, Any]]
    compared: ComparedAnswer | msgspec.UnsetType = msgspec.UNSET


class VersionAnswer(msgspec.Struct, frozen=True):
    """A version of an object.

    Args:
        kind, namespace, name, uid: the object.
        time: when it was received.
        resource_version: its resourceVersion.
        deleted: true if it is the last one, after which the object was gone.
        manifest: the object.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    time: str
    resource_version: str
    deleted: bool
    manifest: dict[str, Any]


def compare(
    connection: Connection,
    cluster: str,
    wanted: ObjectName,
    *,
    first: int = 0,
    last: int = 0,
    uid: str = "",
    status: bool = False,
    visible: Visible = EVERYTHING,
) -> Comparison:
    """Compare the versions of an object at two times (Unix ns).

    Args:
        first: 0: compare with the newest version before ``last`` that differs.
        last: 0: now.
        uid: uid of the object, if several had this name.
        status: compare the status, too.

    Raises QueryError if the object is unknown or ambiguous, or the journal has no such version.
    """
    new = version_at(connection, cluster, wanted, at=last, uid=uid, visible=visible)
    if first:
        old: Version | None = version_at(connection, cluster, wanted, at=first, uid=uid, visible=visible)
    else:
        old = version_before(connection, cluster, new, status=status)
    before = comparable(decode((old or new).record.payload), status=status)
    return Comparison(old, new, before, comparable(decode(new.record.payload), status=status))


def diff_answer(found: Comparison, *, manifests: bool = False) -> DiffAnswer:
    """Return the difference for programs. ``manifests``: also what was compared."""
    patch = [operation.as_json() for operation in make_patch(found.before, found.after)]
    here = found.new.object
    compared: ComparedAnswer | msgspec.UnsetType = msgspec.UNSET
    if manifests:
        compared = ComparedAnswer(here.kind, here.namespace, here.name, found.old is None, found.before, found.after)
    return DiffAnswer(_side(found.old or found.new), _side(found.new), patch, compared)


def version_answer(version: Version, *, managed_fields: bool = False) -> VersionAnswer:
    """Return a version for programs."""
    here, record = version.object, version.record
    manifest = readable(decode(record.payload), managed_fields=managed_fields)
    time = format_time(record.recorded_at)
    return VersionAnswer(
        here.kind, here.namespace, here.name, record.uid, time, record.resource_version, version.deleted, manifest
    )


def _side(version: Version) -> SideAnswer:
    record = version.record
    return SideAnswer(format_time(record.recorded_at), record.resource_version, record.uid, version.deleted)
