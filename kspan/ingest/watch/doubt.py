"""Decides whether an open watch that is silent may be dead. Pure: the caller passes the times.

A load balancer that drops a connection, or a host that vanishes, ends no watch: its client waits for lines that never
come. TCP keepalive finds a peer that is gone, but not a proxy that is there and forwards nothing. What distinguishes
such a watch from one without news:

* An API server sends a bookmark about every minute, however quiet the resource is (k8s.io/apiserver
  pkg/storage/cacher/cache_watcher.go, ``nextBookmarkTime``). Once a stream has received one in time, the next one is
  expected.
* It ends a watch after its timeoutSeconds.
* Other streams receive newer versions meanwhile. This is weak evidence, because the resource may just be quiet.

Bookmarks are sent by the watch cache, so a resource without one gets none. Events are such a resource
(k8s.io/kubernetes pkg/kubeapiserver/default_storage_factory_builder.go, ``DefaultWatchCacheSizes``), and so are
resources of some aggregated API servers. For them, the end of the watch is the only sure sign of life, so their
timeoutSeconds is short (``Timing.short_min``). A list with limit=1 would not help: its resourceVersion is that of all
resources together, and is newer after any change in the cluster.
"""

from enum import StrEnum

import msgspec

from kspan.ingest.watch.retry import Timing


class Doubt(StrEnum):
    """Why a silent watch may be dead. The values are the ``reason`` in metrics and logs."""

    BOOKMARK = "bookmark-overdue"
    """The stream has received bookmarks before, and the next one is overdue."""
    SIBLINGS = "siblings-advanced"
    """Other streams have received newer versions since this one received a line."""
    END = "end-overdue"
    """The API server has not ended the watch after its timeoutSeconds."""


class SignsOfLife(msgspec.Struct, frozen=True):
    """An open watch that waits for its next line. Times are monotonic seconds."""

    heard: float
    """When it received its last line, or was opened."""
    end: float
    """When the API server should end it."""
    bookmarks: bool = False
    """True if the stream receives bookmarks periodically, and was not reopened in doubt since the last one."""
    reopened: bool = False
    """True if the stream was reopened in doubt and has received no object since then."""


def is_periodic(since_previous: float, before_end: float, timing: Timing) -> bool:
    """Return whether a bookmark shows that others follow in time.

    An API server may send one only before the end of a watch, or rarely. Every silence of a quiet resource would then
    be in doubt.

    Args:
        since_previous: seconds since the previous bookmark, or since the watch was opened.
        before_end: seconds until the end of the watch.
        timing: the intervals.
    """
    return since_previous < timing.silent and before_end >= timing.grace


def doubt_of(signs: SignsOfLife, siblings_advanced: float, now: float, timing: Timing) -> Doubt | None:
    """Return why a watch may be dead; None if it need not be reopened.

    A watch that was reopened because its siblings advanced, and still has nothing to say, is of a quiet resource: it is
    not reopened for this reason again until it has received an object.

    Args:
        signs: the watch.
        siblings_advanced: when another stream of the same cluster last received a newer version.
        now: monotonic seconds, as all times.
        timing: the intervals.
    """
    if now - signs.heard < timing.silent:
        return None
    if now >= signs.end + timing.grace:
        return Doubt.END
    if signs.bookmarks:
        return Doubt.BOOKMARK
    if siblings_advanced > signs.heard and not signs.reopened:
        return Doubt.SIBLINGS
    return None
