"""Open traces, their members, and the graph ``causality``. Pure data."""

from collections import defaultdict
from itertools import islice

import networkx as nx

from kspan.graph.state.records import Occurrence, Trace

MOST_CONTINUING = 64
"""Open traces that continue one closed trace, of which the newest are looked at."""


class TraceIndex:
    """Open traces, and ``causality``: cause -> effect, nodes are the span ids of their members."""

    def __init__(self) -> None:
        self.by_id: dict[str, Trace] = {}
        self.causality: nx.DiGraph[str] = nx.DiGraph()
        self._continuing: dict[str, dict[str, None]] = defaultdict(dict)  # closed trace -> open ones that continue it
        self._members: dict[str, dict[str, Occurrence]] = defaultdict(dict)
        self._roots: dict[str, dict[str, Occurrence]] = defaultdict(dict)  # members without a parent

    def add(self, trace: Trace) -> None:
        """Add an open trace."""
        self.by_id[trace.id] = trace
        if trace.previous_trace:
            self._continuing[trace.previous_trace][trace.id] = None

    def continuing(self, closed: str) -> list[Trace]:
        """The newest open traces that continue a closed one, newest first: a rollout of thousands of Pods has as many
        when all of them fail."""
        names = islice(reversed(self._continuing.get(closed, {})), MOST_CONTINUING)
        return sorted((self.by_id[name] for name in names), key=lambda trace: (trace.opened, trace.id), reverse=True)

    def _forget(self, trace: Trace) -> None:
        del self.by_id[trace.id]
        names = self._continuing.get(trace.previous_trace)
        if names is not None:
            names.pop(trace.id, None)
            if not names:
                del self._continuing[trace.previous_trace]

    def join(self, occ: Occurrence) -> None:
        """Make an occurrence a member of its trace."""
        self._members[occ.place.trace][occ.id] = occ
        self.connect(occ)

    def leave(self, occ: Occurrence) -> None:
        """Take an occurrence out of its trace. It stays in the graph."""
        self._members[occ.place.trace].pop(occ.id, None)
        self._roots[occ.place.trace].pop(occ.id, None)

    def members(self, trace: str) -> list[Occurrence]:
        """The occurrences of a trace, in no particular order."""
        return list(self._members[trace].values())

    def roots(self, trace: str) -> list[Occurrence]:
        """The occurrences of a trace without a parent in it, in no particular order. A large trace has a few."""
        return list(self._roots[trace].values())

    def size(self, trace: str) -> int:
        """The number of occurrences in a trace."""
        return len(self._members[trace])

    def connect(self, occ: Occurrence) -> None:
        """Add the edge parent -> occurrence, in place of the one that there may be."""
        graph, place = self.causality, occ.place
        if occ.id in graph:
            for old in list(graph.pred[occ.id]):
                graph.remove_edge(old, occ.id)
        if place.parent and place.parent in graph:  # An edge adds its nodes.
            graph.add_edge(place.parent, occ.id, rule=place.rule, confidence=place.confidence)
        else:
            graph.add_node(occ.id)
        if place.parent:
            self._roots[place.trace].pop(occ.id, None)
        else:
            self._roots[place.trace][occ.id] = occ

    def direct_effects_of(self, span: str) -> list[str]:
        """The occurrences whose parent is this one, in no particular order."""
        return list(self.causality.succ[span])

    def effects_of(self, span: str) -> list[str]:
        """All occurrences that follow from one, directly or not, sorted."""
        return sorted(nx.descendants(self.causality, span))

    def remove_occurrence(self, span: str) -> None:
        """Remove an occurrence from the graph, if it is there."""
        if span in self.causality:
            self.causality.remove_node(span)

    def rename(self, trace: str, name: str) -> None:
        """Give a trace another id."""
        renamed = self.by_id[trace]
        self._forget(renamed)
        renamed.id = name
        self.add(renamed)
        self._members[name] = self._members.pop(trace)
        self._roots[name] = self._roots.pop(trace)

    def remove(self, trace: str) -> None:
        """Remove a trace."""
        del self._members[trace]
        del self._roots[trace]
        self._forget(self.by_id[trace])

    def load(self, occurrences: list[Occurrence]) -> None:
        """Add members of open traces."""
        for occ in occurrences:
            self._members[occ.place.trace][occ.id] = occ
            self.causality.add_node(occ.id)
        for occ in occurrences:
            self.connect(occ)
