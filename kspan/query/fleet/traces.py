"""The newest traces of several clusters. Pure: who asks a cluster is an argument."""

import heapq
from collections.abc import Callable, Sequence
from operator import attrgetter

import msgspec

from kspan.errors import QueryError
from kspan.query.answers.trace import TraceItem
from kspan.query.traces import TraceFilter
from kspan.store.results import NamedCluster
from kspan.times import parse_time


class FleetTrace(TraceItem, frozen=True, kw_only=True):
    """A trace of one of several clusters.

    Args:
        cluster: uid of the cluster.
        cluster_name: its name; empty if it has none.
    """

    cluster: str
    cluster_name: str = ""


Ask = Callable[[str, TraceFilter, int | None], list[TraceItem]]
"""Returns traces of the cluster with a uid, newest first, at most this number (None: all)."""


def traces_of_all(
    clusters: Sequence[NamedCluster], ask: Ask, wanted: TraceFilter, limit: int | None
) -> list[FleetTrace]:
    """Return the matching traces of all clusters, newest first, at most ``limit`` (None: all).

    A cluster is asked for no more than ``limit`` traces, and for none older than the ``limit`` newest found before.
    A cluster that has no objects of the kind has no such traces. Raises QueryError if none has any.
    """
    found: list[FleetTrace] = []
    errors: list[QueryError] = []
    for each in clusters:
        try:
            items = ask(each.uid, wanted, limit)
        except QueryError as error:
            errors.append(error)
            continue
        mine = [_of(each, item) for item in items]
        found = list(heapq.merge(found, mine, key=attrgetter("start_time"), reverse=True))[:limit]
        if limit and len(found) == limit:
            wanted = msgspec.structs.replace(wanted, since=max(wanted.since, parse_time(found[-1].start_time)))
    if errors and len(errors) == len(clusters):
        raise errors[0]
    return found


def _of(cluster: NamedCluster, item: TraceItem) -> FleetTrace:
    values = {name: getattr(item, name) for name in TraceItem.__struct_fields__}
    return FleetTrace(**values, cluster=cluster.uid, cluster_name=cluster.name)
