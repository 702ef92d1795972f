"""Lists clusters."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, Connection, column, select, table

from kspan.query.answers.objects import ClusterAnswer, cluster_answer

_clusters: Final = table(
    "clusters", column("cluster"), column("name"), column("first_time", BigInteger), column("last_time", BigInteger)
)


def list_clusters(connection: Connection, uids: Sequence[str]) -> list[ClusterAnswer]:
    """Return the clusters with these uids, by uid."""
    here = _clusters.c
    query = select(here.cluster, here.name, here.first_time, here.last_time).where(here.cluster.in_(uids))
    return [cluster_answer(*row) for row in connection.execute(query.order_by(here.cluster))]
