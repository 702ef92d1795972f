"""Finds the cluster that a name or uid means. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from kspan.errors import QueryError
from kspan.store.results import NamedCluster
from kspan.terminal.text import cut, harmless

_LISTED: Final = 20
"""Clusters that an error lists."""

_WIDEST: Final = 64


class UnknownClusterError(QueryError):
    """No cluster has this name or uid."""


class AmbiguousClusterError(QueryError):
    """No cluster is chosen, or the name is that of several."""


def choose(clusters: Sequence[NamedCluster], wanted: str, how: str, *, private: bool = False) -> str:
    """Return the uid of the cluster that a uid or a name means; for an empty one that of the only cluster.

    A uid is preferred: a cluster may have the uid of another one as its name.

    Args:
        clusters: the clusters to choose from.
        wanted: the uid or name.
        how: the option or parameter that chooses one, for messages.
        private: an error names no cluster.

    Raises UnknownClusterError, AmbiguousClusterError.
    """
    if not wanted:
        if len(clusters) == 1:
            return clusters[0].uid
        raise AmbiguousClusterError(f"several clusters: choose one with {how}: {listed(clusters)}")
    if any(each.uid == wanted for each in clusters):
        return wanted
    found = [each for each in clusters if each.name == wanted]
    if len(found) == 1:
        return found[0].uid
    said = repr(cut(harmless(wanted), _WIDEST))
    if found:
        uids = ", ".join(harmless(each.uid) for each in found[:_LISTED])
        raise AmbiguousClusterError(f"several clusters have the name {said}: choose one by its uid with {how}: {uids}")
    raise UnknownClusterError(f"unknown cluster {said}{'' if private else f'; the database has {listed(clusters)}'}")


def listed(clusters: Sequence[NamedCluster]) -> str:
    """Return names and uids for people: ``prod (0b1c…), 7d2e…``; ``none`` for an empty list."""
    shown = [_both(each) for each in clusters[:_LISTED]]
    if more := len(clusters) - len(shown):
        shown.append(f"and {more} more")
    return ", ".join(shown) or "none"


def labels(clusters: Sequence[NamedCluster]) -> dict[str, str]:
    """Return the text that means each cluster, by uid: its name, or its uid if the name could mean another one."""
    names = Counter(each.name for each in clusters)
    uids = {each.uid for each in clusters}
    return {
        each.uid: each.name if each.name and names[each.name] == 1 and each.name not in uids else each.uid
        for each in clusters
    }


def _both(cluster: NamedCluster) -> str:
    uid = harmless(cluster.uid)
    return f"{cut(harmless(cluster.name), _WIDEST)} ({uid})" if cluster.name else uid
