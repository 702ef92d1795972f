"""Edges of the part of the history that one page looks at, so that no page looks at all of it."""

from typing import Any

from sqlalchemy import Connection, Select, select

from kspan.store.schema.tables import spans


def older_edge(connection: Connection, cluster: str, before: int, most: int, namespace: str = "") -> int:
    """Return the start (Unix ns) of the ``most``-th newest span before a time; 0 if there are fewer.

    ``before`` is 0 for now. With ``namespace`` only spans about its objects count.
    """
    query = _starts(cluster, namespace)
    query = query.where(spans.c.start_time < before) if before else query
    return connection.execute(query.order_by(spans.c.start_time.desc()).offset(most - 1).limit(1)).scalar() or 0


def newer_edge(connection: Connection, cluster: str, after: int, most: int, namespace: str = "") -> int:
    """Return the start (Unix ns) of the ``most``-th oldest span after a time; 0 if there are fewer.

    With ``namespace`` only spans about its objects count.
    """
    query = _starts(cluster, namespace).where(spans.c.start_time > after)
    return connection.execute(query.order_by(spans.c.start_time).offset(most - 1).limit(1)).scalar() or 0


def _starts(cluster: str, namespace: str) -> Select[Any]:
    query = select(spans.c.start_time).where(spans.c.cluster == cluster, spans.c.start_time > 0)
    return query.where(spans.c.object_namespace == namespace) if namespace else query
