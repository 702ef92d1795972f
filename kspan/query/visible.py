"""The objects that an asker may see: those of the namespaces in which the asker may list Events.

A trace is visible if the objects of all of its spans are. Objects without a namespace, and what belongs to them, are
visible only to an asker who may list Events in the whole cluster.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from msgspec.structs import replace
from sqlalchemy import Connection, func, select

from kspan.model import SpanRow
from kspan.query import spans as reading
from kspan.store.schema import tables as schema
from kspan.store.tables.rows import chunks

MayList = Callable[[str], bool]

CLUSTER: Final = ""
"""In the place of a namespace: the whole cluster."""


class Visible:
    """Answers whether an asker may see something.

    Args:
        may_list: returns True if the asker may list Events in a namespace, or in the whole ``CLUSTER``. It may ask an
            API server, so the methods of this class are for threads that may wait, and raise what it raises if there is
            no answer. None: the asker may see everything.
    """

    def __init__(self, may_list: MayList | None = None) -> None:
        self._may_list = may_list

    def everything(self) -> bool:
        """True if the asker may see all namespaces, and objects without one."""
        return self._may_list is None or self._may_list(CLUSTER)

    def namespace(self, name: str) -> bool:
        """True if the asker may see the objects of a namespace; empty: those without one."""
        return self.everything() or (name != CLUSTER and self._may_list is not None and self._may_list(name))

    def namespaces(self, connection: Connection, cluster: str) -> list[str]:
        """Return the namespaces in the history that the asker may see, sorted, without ``CLUSTER``."""
        spans = schema.spans
        query = reading.distinct(spans.c.object_namespace, spans.c.cluster == cluster, name="namespaces")
        return [name for name in connection.execute(query).scalars().all() if name and self.namespace(name)]

    def traces(self, connection: Connection, cluster: str, trace_ids: Sequence[str]) -> list[str]:
        """Return those of these traces that the asker may see, in this order. Unknown ones are kept.

        Reads the namespaces of all spans of these traces, so the caller bounds their number.
        """
        if self.everything():
            return list(trace_ids)
        hidden = self._hidden(connection, cluster, trace_ids)
        return [trace_id for trace_id in trace_ids if trace_id not in hidden]

    def spans(self, connection: Connection, cluster: str, found: Sequence[SpanRow]) -> list[SpanRow]:
        """Return those of these spans whose trace the asker may see, without links into other ones."""
        if self.everything():
            return list(found)
        ids = dict.fromkeys(span.trace_id for span in found)
        ids |= dict.fromkeys(link.trace_id for span in found for link in span.links)
        hidden = self._hidden(connection, cluster, list(ids))
        return [_unlinked(span, hidden) for span in found if span.trace_id not in hidden]

    def until(self, check: Callable[[], None]) -> "Visible":
        """Return the same, which calls ``check`` before each decision: it raises when the asker's time is over."""
        decide = self._may_list
        if decide is None:
            return self

        def may_list(namespace: str) -> bool:
            check()
            return decide(namespace)

        return Visible(may_list)

    def _hidden(self, connection: Connection, cluster: str, trace_ids: Sequence[str]) -> set[str]:
        spans = schema.spans
        # As an expression: for the distinct namespaces of one trace, SQLite would read all spans by namespace.
        namespace_of = func.coalesce(spans.c.object_namespace, "")
        hidden: set[str] = set()
        decided: dict[str, bool] = {}
        for run in chunks(list(trace_ids)):
            query = (
                select(spans.c.trace_id, namespace_of)
                .where(spans.c.cluster == cluster, spans.c.trace_id.in_(run))
                .distinct()
            )
            for trace_id, namespace in connection.execute(query):
                if trace_id not in hidden:
                    if namespace not in decided:
                        decided[namespace] = self.namespace(namespace)
                    if not decided[namespace]:
                        hidden.add(trace_id)
        return hidden


def _unlinked(span: SpanRow, hidden: Collection[str]) -> SpanRow:
    kept = [link for link in span.links if link.trace_id not in hidden]
    return span if len(kept) == len(span.links) else replace(span, links=kept)


EVERYTHING: Final = Visible()
NOTHING: Final = Visible(lambda _: False)
