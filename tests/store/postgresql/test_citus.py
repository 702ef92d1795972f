"""Citus: only its coordinator is written to, and no statement has what Citus rejects.

Citus itself is not installed here. What it rejects was found with Citus 13.2 on PostgreSQL 15.
"""

import re

import pytest

from kspan.errors import StoreError
from kspan.model import Delta
from kspan.store import open_store
from kspan.store.postgresql import drop_partitions
from kspan.store.postgresql.partitions import DAY
from tests.postgres import TEMPLATE, PostgresServer
from tests.store.engine import engine_of, statements_of
from tests.store.rowsource import CLUSTER, record


def node(postgres: PostgresServer, *, template: str = "template0", coordinator: bool) -> str:
    """A database on what says that it is a coordinator or a worker."""
    name = postgres.create(template)
    body = f"CREATE FUNCTION citus_is_coordinator() RETURNS boolean LANGUAGE sql AS 'SELECT {coordinator}'"
    postgres.execute(body, name)
    return name


def test_a_worker_is_refused_in_a_line_and_left_as_it_was(postgres: PostgresServer) -> None:
    worker = node(postgres, coordinator=False)
    with pytest.raises(StoreError) as error:
        open_store(postgres.url(worker, tcp=True))
    assert "this server is a worker of Citus" in str(error.value)
    assert str(error.value).endswith("give --db the address of the coordinator")
    assert "\n" not in str(error.value)
    tables = postgres.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace", worker)
    assert tables == [(0,)]


def test_a_worker_that_has_the_tables_is_refused_too_and_can_be_read(postgres: PostgresServer) -> None:
    worker = postgres.url(node(postgres, template=TEMPLATE, coordinator=False))
    with pytest.raises(StoreError, match="worker of Citus"):
        open_store(worker)
    with open_store(worker, read_only=True) as store:
        assert store.clusters() == []


def test_a_coordinator_is_written_to(postgres: PostgresServer) -> None:
    with open_store(postgres.url(node(postgres, coordinator=True))) as store:
        store.commit(CLUSTER, 1, [record(1)], [], Delta())
        assert store.clusters() == [CLUSTER]


def test_no_statement_of_dropping_partitions_selects_no_column(postgres_url: str) -> None:
    with open_store(postgres_url) as store:
        old = record(1)
        store.commit(CLUSTER, 1, [old, record(2)], [], Delta())
        with statements_of(engine_of(store)) as found:
            drop_partitions.prune(store, CLUSTER, (old.recorded_at // DAY + 2) * DAY)
    statements = [statement for statement, _ in found]
    assert any("EXISTS" in each and "FROM journal WHERE" in each for each in statements), "it was dropped"
    assert [each for each in statements if re.search(r"SELECT\s+FROM", each)] == []


def test_each_step_of_the_ancestry_joins_on_the_cluster_of_the_step_before(postgres_url: str) -> None:
    with open_store(postgres_url) as store, store.reading("read the view") as connection:
        text = connection.exec_driver_sql("SELECT pg_get_viewdef('ancestry'::regclass)").scalar_one()
    recursion = " ".join(text.partition("WITH RECURSIVE")[2].split())
    assert re.search(r"spans\.cluster = up(_1)?\.cluster", recursion), recursion
    assert re.search(r"up\(cluster, ", recursion), recursion
