"""Names of clusters, on each store."""

from kspan.model import Delta
from kspan.store import Store, open_store
from kspan.store.results import NamedCluster
from kspan.store.tables.cluster_names import has_others
from tests.postgres import PostgresServer
from tests.store.rowsource import CLUSTER, record

OTHER = "8d1f7a52-0000-4000-8000-000000000002"


def test_a_name_is_kept_until_another_one_is_given(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1)], [], Delta())
    assert store.named_clusters() == [NamedCluster(CLUSTER, "")]
    for given, kept in (("prod", "prod"), ("", "prod"), ("produktion ü", "produktion ü")):
        store.name_cluster(CLUSTER, given)
        assert store.named_clusters() == [NamedCluster(CLUSTER, kept)]


def test_two_clusters_can_have_one_name_and_a_rebuild_keeps_it(store: Store) -> None:
    for cluster in (CLUSTER, OTHER):
        store.commit(cluster, 1, [record(1)], [], Delta())
        store.name_cluster(cluster, "prod")
    store.clear_projection(CLUSTER)
    assert store.named_clusters() == [NamedCluster(CLUSTER, "prod"), NamedCluster(OTHER, "prod")]


def test_a_name_before_the_first_record_is_that_of_no_cluster_yet(store: Store) -> None:
    store.name_cluster(CLUSTER, "prod")
    assert store.named_clusters() == []
    store.commit(CLUSTER, 1, [record(1)], [], Delta())
    assert store.named_clusters() == [NamedCluster(CLUSTER, "prod")]


def test_the_view_has_the_name_and_the_times_of_the_oldest_and_newest_record(store: Store) -> None:
    records = [record(1), record(2), record(3)]
    store.commit(CLUSTER, 1, records, [], Delta())
    store.commit(OTHER, 1, records[:1], [], Delta())
    store.name_cluster(CLUSTER, "prod")
    query = "SELECT cluster, name, first_time, last_time, first_at <= last_at FROM clusters ORDER BY cluster"
    with store.reading("test") as connection:
        found = [tuple(row) for row in connection.exec_driver_sql(query)]
    first, last = records[0].recorded_at, records[-1].recorded_at
    assert found == [(CLUSTER, "prod", first, last, True), (OTHER, "", first, first, True)]
    assert first < last


def test_other_clusters_are_those_that_a_statement_could_read(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1)], [], Delta())
    with store.reading("test") as connection:
        assert not has_others(connection, CLUSTER)
        assert has_others(connection, OTHER)
    store.commit(OTHER, 1, [record(1)], [], Delta())
    with store.reading("test") as connection:
        assert has_others(connection, CLUSTER)


def test_clusters_in_another_schema_of_the_database_are_others(postgres: PostgresServer) -> None:
    name = postgres.create()
    postgres.execute("CREATE SCHEMA europe", name)
    for schema in ("europe", "public"):
        url = f"{postgres.url(name)}&options=-csearch_path%3D{schema}"
        with open_store(url) as store:
            store.commit(CLUSTER, 1, [record(1)], [], Delta())
            with store.reading("test") as connection:
                assert has_others(connection, CLUSTER) is (schema == "public"), "the second one has another"
