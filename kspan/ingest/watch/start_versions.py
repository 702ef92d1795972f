"""As of which versions a stream that joins is first listed, so that it tells what happened before it was listed. Pure.

A kind is watched from when something names it, and its first list comes some time after that: a moment, or, if the
daemon died in between, as long as it takes to come back. A list of what is there now would hide what happened
meanwhile, to a custom resource that was just created all of it. One as of where the other streams were a while ago,
and a watch from there on, hides nothing.

That assumes that all versions are of one etcd. Where they are not, the API server says that it does not know this one,
or shows what was there at another moment in the past; the watch goes on from there, so that is as true.
"""

from collections.abc import Mapping

from kspan.k8s.wire import EVENTS
from kspan.model import Cursor
from kspan.times import SECOND

KNOWN_FOR = 240 * SECOND
"""Old versions are let go by etcd after five to ten minutes (kube-apiserver --etcd-compaction-interval)."""

Position = tuple[str, int]
"""A version, and when it was the newest of its stream (Unix ns)."""


def past_versions(cursors: Mapping[str, Cursor], moved: Mapping[str, Position], now: int) -> tuple[str, ...]:
    """The versions to try, the oldest first; the API server may know none of them any more.

    ``cursors`` tell where streams were when we began, and where they once began: a daemon that is killed over and over
    in its first seconds has a first list to make up for since then. ``moved`` tell where those that run are, which
    bookmarks keep within a minute or so.
    """
    positions = {name: (cursor.resource_version, cursor.updated_at) for name, cursor in cursors.items()}
    # One that is resumed and has had no news yet is where its cursor is.
    positions |= {name: position for name, position in moved.items() if position[1]}
    beginnings = ((name, (cursor.since, cursor.since_at)) for name, cursor in cursors.items())
    recent = {(name, version) for name, (version, at) in (*positions.items(), *beginnings) if at > now - KNOWN_FOR}
    # Events may be in an etcd of their own (kube-apiserver --etcd-servers-overrides).
    others = {version for name, version in recent if name != EVENTS} or {version for _, version in recent}
    return tuple(sorted((version for version in others if version.isdecimal()), key=int))
