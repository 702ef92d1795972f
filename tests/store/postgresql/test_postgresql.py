"""PostgreSQL: leadership, error messages, and a server that is restarted."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from kspan.errors import FencedError, StoreError
from kspan.model import Delta, SpanState
from kspan.store import Store, is_about_data, open_store
from kspan.store.location import locate
from kspan.store.postgresql.copy import WORTH_IT
from kspan.store.schema import tables as schema
from tests.postgres import PASSWORD, TEMPLATE, PostgresServer, run_postgres
from tests.store.rowsource import CLUSTER, INPUTS, cursor, full_delta, object_row, record, span_row

ROOT = Path(__file__).parents[3]
OTHER = "8d1f7a52-0000-4000-8000-000000000002"


# Leadership


def test_a_second_writer_to_a_cluster_is_refused_with_the_name_of_the_first(postgres_url: str) -> None:
    with open_store(postgres_url) as first, open_store(postgres_url) as second:
        first.commit(CLUSTER, 1, [record(1)], [], Delta())
        with pytest.raises(
            StoreError, match=rf"another kspan \(.*, pid \d+\) is writing to cluster {CLUSTER}; stop it"
        ):
            second.commit(CLUSTER, 2, [record(2)], [], Delta())
        assert second.lead(CLUSTER) != ""
        second.commit(OTHER, 1, [record(1)], [], Delta())
        first.close()
        assert second.lead(CLUSTER) == ""
        second.commit(CLUSTER, 2, [record(2)], [], Delta())


def test_readers_can_open_the_database_while_it_is_written_to_and_cannot_write(postgres_url: str) -> None:
    with open_store(postgres_url) as writer, open_store(postgres_url, read_only=True) as reader:
        writer.commit(CLUSTER, 1, [record(1)], [], Delta())
        assert reader.last_sequence(CLUSTER) == 1
        with pytest.raises(StoreError, match="read-only transaction"):
            reader.commit(CLUSTER, 2, [record(2)], [], Delta())


def end_sessions(postgres: PostgresServer, store: Store, *, with_lock: bool) -> None:
    """Process ids of the store's sessions that hold, or do not hold, the lock."""
    database = store._location.url.database
    locks = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "  # noqa: S608
        f"WHERE datname = '{database}' AND application_name = 'kspan' AND (pid IN ({locks})) = {with_lock}"
    )


def test_a_writer_that_lost_its_lock_to_another_cannot_write(postgres: PostgresServer, postgres_url: str) -> None:
    with open_store(postgres_url) as stale, open_store(postgres_url) as fresh:
        stale.commit(CLUSTER, 1, [record(1)], [], Delta())
        end_sessions(postgres, stale, with_lock=True)
        fresh.commit(CLUSTER, 2, [record(2)], [], Delta())
        for write in (
            lambda: stale.commit(CLUSTER, 3, [record(3)], [cursor(3)], full_delta(3)),
            lambda: stale.mark_emitted(CLUSTER, "otlp", ["1" * 32], 1),
            lambda: stale.clear_projection(CLUSTER),
            lambda: stale.lead(CLUSTER),
        ):
            with pytest.raises(FencedError, match=f"has taken over cluster {CLUSTER}"):
                write()
        assert stale.last_sequence(CLUSTER) == 2
        assert stale.cursors(CLUSTER) == {}


def test_a_writer_whose_lock_nobody_took_continues(postgres: PostgresServer, postgres_url: str) -> None:
    with open_store(postgres_url) as store:
        store.commit(CLUSTER, 1, [record(1)], [], Delta())
        end_sessions(postgres, store, with_lock=True)
        assert store.lead(CLUSTER) == ""
        store.commit(CLUSTER, 2, [record(2)], [], Delta())


def test_a_writer_cannot_write_after_another_one_did_even_if_that_one_has_ended(
    postgres: PostgresServer, postgres_url: str
) -> None:
    with open_store(postgres_url) as stale:
        stale.commit(CLUSTER, 1, [record(1)], [], Delta())
        end_sessions(postgres, stale, with_lock=True)
        with open_store(postgres_url) as fresh:
            fresh.commit(CLUSTER, 2, [record(2)], [], Delta())
        with pytest.raises(FencedError):
            stale.lead(CLUSTER)


def test_two_schemas_of_one_database_are_two_databases(postgres: PostgresServer, postgres_url: str) -> None:
    name = str(locate(postgres_url).url.database)
    postgres.execute("CREATE SCHEMA one", name)
    with open_store(f"{postgres_url}&options=-csearch_path%3Done") as one, open_store(postgres_url) as other:
        one.commit(CLUSTER, 1, [record(1)], [], full_delta(1))
        other.commit(CLUSTER, 1, [record(1)], [], Delta())
        assert one.load_projection(CLUSTER).objects == [object_row(1).state]
        assert other.load_projection(CLUSTER).objects == []


# Restarts of the server


def test_a_store_continues_after_its_connections_were_closed(postgres: PostgresServer, postgres_url: str) -> None:
    with open_store(postgres_url) as store:
        store.commit(CLUSTER, 1, [record(1)], [], Delta())
        end_sessions(postgres, store, with_lock=False)
        store.commit(CLUSTER, 2, [record(2)], [], Delta())


def test_a_store_continues_after_the_server_crashed_and_restarted() -> None:
    with run_postgres() as server, open_store(server.url(server.create(TEMPLATE))) as store:
        store.commit(CLUSTER, 1, [record(1)], [], Delta())
        server.stop(signal.SIGQUIT)
        with pytest.raises(StoreError, match="cannot commit") as caught:
            store.commit(CLUSTER, 2, [record(2)], [], Delta())
        assert not is_about_data(caught.value)
        assert "\n" not in str(caught.value)
        server.start()
        assert store.lead(CLUSTER) == ""
        store.commit(CLUSTER, 2, [record(2)], [], Delta())
        assert store.last_sequence(CLUSTER) == 2


# Rows


def test_many_rows_are_written_like_a_few(postgres_url: str) -> None:
    numbers = range(1, 3 * WORTH_IT)
    spans = [msgspec.structs.replace(span_row(n), message="\0 \x1a0") for n in numbers]
    changed = [msgspec.structs.replace(row, state=SpanState.CLOSED, attributes={"\0": "\x1a"}) for row in spans]
    with open_store(postgres_url) as store:
        store.commit(CLUSTER, 1, [record(1)], [], Delta(spans=[*spans, *spans]))
        assert [row["message"] for row in store.projection_rows(CLUSTER, "spans")] == ["\0 \x1a0"] * len(spans)
        store.commit(CLUSTER, 2, [], [], Delta(updated_spans=changed))
        assert list(store.projection_rows(CLUSTER, "spans")) == list(map(msgspec.structs.asdict, changed))
        store.rebuild(CLUSTER, [Delta(spans=spans), Delta(spans=changed)], INPUTS, dict)
        assert list(store.projection_rows(CLUSTER, "spans")) == list(map(msgspec.structs.asdict, changed))


def test_a_name_too_long_for_an_index_is_an_error_about_the_data(postgres_url: str) -> None:
    huge = msgspec.structs.replace(record(1), name="".join(map(chr, range(0x4E00, 0x9000))))
    with open_store(postgres_url) as store:
        with pytest.raises(StoreError) as caught:
            store.commit(CLUSTER, 1, [huge], [], Delta())
        assert is_about_data(caught.value)
        large = msgspec.structs.replace(record(1), payload=b'{"a":"' + b"x" * 30_000_000 + b'"}')
        store.commit(CLUSTER, 1, [large], [], Delta())
        assert store.last_payload(CLUSTER, "uid-1") == b""
        assert [entry for run in store.replay(CLUSTER) for _, entry in run] == [large]


# Refusals


def refusal(url: str) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_wrong_password_is_refused_and_not_shown(postgres: PostgresServer) -> None:
    wrong = refusal(postgres.url(TEMPLATE, tcp=True, password="hunter2"))
    assert 'password authentication failed for user "kspan"' in wrong
    assert "hunter2" not in wrong
    among_options = refusal(postgres.url(TEMPLATE, tcp=True, password=None) + "?password=hunter2")
    assert "hunter2" not in among_options


def test_a_missing_database_is_reported(postgres: PostgresServer) -> None:
    assert 'database "nowhere" does not exist' in refusal(postgres.url("nowhere", tcp=True))


def test_an_unreachable_server_is_reported() -> None:
    assert "Connection refused" in refusal(f"postgresql://kspan:{PASSWORD}@127.0.0.1:1/kspan")


def test_another_encoding_is_refused(postgres: PostgresServer) -> None:
    name = postgres.create(options="ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    assert "its encoding is SQL_ASCII" in refusal(postgres.url(name))
    postgres.drop(name)


def test_the_database_of_another_program_is_refused_and_left_as_it_was(postgres: PostgresServer) -> None:
    name = postgres.create()
    postgres.execute("CREATE TABLE journal (seq BIGINT)", name)
    assert "is a database of another program (tables: journal)" in refusal(postgres.url(name))
    assert postgres.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name) == [(1,)]
    postgres.drop(name)


def test_a_database_from_before_the_first_release_is_refused(postgres: PostgresServer, postgres_url: str) -> None:
    postgres.execute("UPDATE alembic_version SET version_num = 'kspan0002'", str(locate(postgres_url).url.database))
    assert "was written by a kspan before 0.2.0 and cannot be upgraded" in refusal(postgres_url)


def test_a_database_from_a_newer_kspan_is_refused(postgres: PostgresServer, postgres_url: str) -> None:
    postgres.execute("UPDATE alembic_version SET version_num = 'kspan9999'", str(locate(postgres_url).url.database))
    assert f"written by a newer kspan (its tables are kspan9999, this one knows {schema.REVISION})" in refusal(
        postgres_url
    )


@pytest.mark.parametrize(
    "url", ["postgresql://a@h/d", "postgres://a@h/d", "postgresql+psycopg://a:s3cret@h/d?password=x"]
)
def test_every_form_of_the_url_uses_psycopg_and_hides_the_password(url: str) -> None:
    location = locate(url)
    assert location.url.drivername == "postgresql+psycopg"
    assert location.name == "postgresql://a@h/d"


def test_another_driver_is_refused() -> None:
    assert "use postgresql+psycopg://" in refusal("postgresql+asyncpg://kspan@localhost/kspan")


def test_a_missing_driver_is_reported_with_the_extra_to_install() -> None:
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from kspan.errors import StoreError\nfrom kspan.store import open_store\n"
        "try: open_store('postgresql://kspan:secret@localhost/kspan')\n"
        "except StoreError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == (
        "postgresql://kspan@localhost/kspan: PostgreSQL needs the driver psycopg: "
        "install kspan with the extra 'postgres'"
    )
