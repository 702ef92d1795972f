"""The clusters in the database, and their names."""

from sqlalchemy import Connection, func, select

from kspan.store.results import NamedCluster
from kspan.store.schema import tables as schema
from kspan.store.tables.bulk_write import dialect_insert


def named_clusters(connection: Connection) -> list[NamedCluster]:
    """The clusters with a commit, by uid."""
    state, names = schema.fold_state.c, schema.cluster_names.c
    query = (
        select(state.cluster, func.coalesce(names.name, ""))
        .select_from(schema.fold_state)
        .outerjoin(schema.cluster_names, names.cluster == state.cluster)
        .order_by(state.cluster)
    )
    return [NamedCluster(uid, name) for uid, name in connection.execute(query)]


def name_of(connection: Connection, cluster: str) -> str:
    """The name of a cluster; empty if it has none."""
    names = schema.cluster_names.c
    return connection.execute(select(names.name).where(names.cluster == cluster)).scalar() or ""


def write_name(connection: Connection, cluster: str, name: str) -> None:
    """Name a cluster."""
    statement = dialect_insert(schema.cluster_names, connection.dialect.name)
    upsert = statement.on_conflict_do_update(index_elements=["cluster"], set_={"name": statement.excluded.name})
    connection.execute(upsert, {"cluster": cluster, "name": name})


def has_others(connection: Connection, cluster: str) -> bool:
    """True if a statement that reads this database could read another cluster than this one.

    On PostgreSQL, other schemas of the database can have clusters, too.
    """
    if any(each.uid != cluster for each in named_clusters(connection)):
        return True
    if connection.dialect.name != "postgresql":
        return False
    query = (
        "SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE relname = 'fold_state' "
        "AND n.nspname <> current_schema()"
    )
    return bool(connection.exec_driver_sql(query).scalar_one())
