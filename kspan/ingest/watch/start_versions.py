"""Chooses the resourceVersion for the first list of a newly added stream. Pure.

A kind is watched once something references it, and its first list follows a moment later (or much later, if the daemon
was killed in between). A list of the current state would hide the changes of that time; for a custom resource that
was just created, all of them. A list at the version that other streams had reached a few minutes ago, followed by a
watch from there, replays these changes.

The API server has no past of a custom resource before its CustomResourceDefinition. If the definition is new, its own
resourceVersion is one more version to try: it is older than every object of the kind.

This assumes that one etcd counts the versions of all resources. If it does not, the API server rejects the version or
lists another moment of the past, and the watch continues from there; neither loses changes.
"""

from collections.abc import Mapping

from kspan.k8s.events_api import EVENTS
from kspan.model import Cursor
from kspan.times import SECOND

KNOWN_FOR = 240 * SECOND
"""etcd discards old versions after five to ten minutes (kube-apiserver --etcd-compaction-interval)."""

StreamPosition = tuple[str, int]
"""A resourceVersion, and when it was the newest of its stream (Unix ns)."""


def past_versions(
    cursors: Mapping[str, Cursor], moved: Mapping[str, StreamPosition], now: int, defined: str = ""
) -> tuple[str, ...]:
    """Return the resourceVersions to try, oldest first. The API server may have discarded all of them.

    Args:
        cursors: the cursors at the start of this process, by resource. They also state where each stream once began:
            a daemon that is killed repeatedly in its first seconds must replay changes from that moment on.
        moved: the current positions of the running streams; bookmarks keep them up to date within a minute.
        now: the current time (Unix ns).
        defined: the resourceVersion of the custom resource's definition; empty if unknown, or for a built-in resource.
    """
    positions = {name: (cursor.resource_version, cursor.updated_at) for name, cursor in cursors.items()}
    # A resumed stream without news is still at its cursor.
    positions |= {name: position for name, position in moved.items() if position[1]}
    beginnings = ((name, (cursor.since, cursor.since_at)) for name, cursor in cursors.items())
    recent = {(name, version) for name, (version, at) in (*positions.items(), *beginnings) if at > now - KNOWN_FOR}
    # Events may have an etcd of their own (kube-apiserver --etcd-servers-overrides).
    others = {version for name, version in recent if name != EVENTS} or {version for _, version in recent}
    found = {int(version) for version in others if version.isdecimal()}
    # A definition that is older than all of these was there long before.
    if found and defined.isdecimal() and int(defined) > min(found):
        found.add(int(defined))
    return tuple(map(str, sorted(found)))
