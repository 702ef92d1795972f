"""``kspan sql`` cannot write, by any statement, on either store.

Each statement is given twice: as a user gives it, and to the database alone, with everything that looks at its text
before left out. The role on PostgreSQL is a superuser.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from kspan.errors import KspanError, QueryError
from kspan.query.sql.lexer import Statement, Token, read_statement
from kspan.query.sql.postgresql import run as on_postgresql
from kspan.query.sql.result import Budget
from kspan.query.sql.run import run_statement
from kspan.query.sql.sqlite import run as on_sqlite
from kspan.store import Store, open_store
from tests.limits import HANG_S

EVERYWHERE = [
    "INSERT INTO gaps SELECT * FROM gaps",
    "INSERT INTO gaps SELECT * FROM gaps RETURNING *",
    "UPDATE spans SET name = ''",
    "DELETE FROM spans",
    "delete from spans returning *",
    "/* SELECT */ DELETE FROM spans -- SELECT",
    "DROP TABLE gaps",
    "DROP VIEW rollouts",
    "ALTER TABLE gaps RENAME TO holes",
    "CREATE TABLE mine (x INTEGER)",
    "CREATE TABLE mine AS SELECT * FROM gaps",
    "CREATE TEMP TABLE mine (x INTEGER)",
    "CREATE TEMPORARY TABLE mine AS SELECT 1",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE TEMP VIEW mine AS SELECT 1",
    "CREATE INDEX mine ON gaps (seq)",
    "WITH gone AS (SELECT 1) DELETE FROM spans",
    "WITH gone AS (SELECT 1) INSERT INTO gaps SELECT * FROM gaps",
    "WITH gone AS (DELETE FROM spans RETURNING *) SELECT * FROM gone",
    "WITH gone AS (UPDATE spans SET name = '' RETURNING *) SELECT * FROM gone",
    "SELECT * FROM (DELETE FROM spans RETURNING *) AS gone",
    "SELECT 1; DELETE FROM spans",
    "SELECT 1; SELECT 2",
    "SELECT 1 /* ; */ ; DROP TABLE gaps; --",
    "EXPLAIN DELETE FROM spans",
    "BEGIN",
    "COMMIT",
    "END",
    "ROLLBACK",
    "SAVEPOINT here",
    "VACUUM",
    "ANALYZE",
    "REINDEX gaps",
]
SQLITE = [
    "ATTACH '{folder}/made.sqlite' AS other",
    "ATTACH ':memory:' AS other",
    "DETACH main",
    "VACUUM INTO '{folder}/made.sqlite'",
    "REPLACE INTO gaps SELECT * FROM gaps",
    "CREATE VIRTUAL TABLE mine USING fts5(x)",
    "CREATE TRIGGER mine AFTER INSERT ON gaps BEGIN SELECT 1; END",
    "UPDATE sqlite_master SET sql = ''",
    "EXPLAIN QUERY PLAN DELETE FROM spans",
    "PRAGMA writable_schema = 1",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA main.journal_mode(delete)",
    "PRAGMA query_only = OFF",
    "PRAGMA user_version = 7",
    "PRAGMA schema_version = 7",
    "PRAGMA application_id = 7",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA optimize",
    "PRAGMA incremental_vacuum",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA temp_store_directory = '{folder}'",
    "SELECT * FROM pragma_journal_mode('delete')",
    "SELECT load_extension('{folder}/made.so')",
    "SELECT writefile('{folder}/made', 'x')",
    "SELECT fts3_tokenizer('simple', x'00')",
]
POSTGRESQL = [
    "SELECT * INTO mine FROM gaps",
    "TABLE gaps; DROP TABLE gaps",
    "TRUNCATE gaps",
    "MERGE INTO gaps USING gaps g ON false WHEN NOT MATCHED THEN DO NOTHING",
    "LOCK TABLE spans IN ACCESS EXCLUSIVE MODE",
    "SELECT * FROM gaps FOR UPDATE",
    "SELECT * FROM gaps FOR KEY SHARE",
    "COPY gaps TO PROGRAM 'touch {folder}/made'",
    "COPY gaps TO '{folder}/made'",
    "COPY gaps FROM '{folder}/there'",
    "COPY gaps FROM STDIN",
    "COPY (SELECT 1) TO STDOUT",
    "DO $$ BEGIN DELETE FROM spans; END $$",
    "PREPARE mine AS DELETE FROM spans",
    "EXECUTE mine",
    "DEALLOCATE ALL",
    "DECLARE mine CURSOR FOR SELECT 1",
    "SET TRANSACTION READ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SET statement_timeout = 0",
    "RESET ALL",
    "DISCARD ALL",
    "BEGIN READ WRITE",
    "COMMIT AND CHAIN",
    "ABORT",
    "CALL mine()",
    "LISTEN mine",
    "NOTIFY mine, 'x'",
    "CHECKPOINT",
    "LOAD '{folder}/made.so'",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'DELETE FROM spans RETURNING 1'",
    "CREATE EXTENSION dblink",
    "CREATE ROLE mine SUPERUSER",
    "CREATE DATABASE mine",
    "ALTER SYSTEM SET fsync = off",
    "ALTER ROLE CURRENT_USER SET default_transaction_read_only = off",
    "GRANT ALL ON gaps TO PUBLIC",
    "COMMENT ON TABLE gaps IS ''",
    "SECURITY LABEL ON TABLE gaps IS ''",
    "REFRESH MATERIALIZED VIEW rollouts",
    "CLUSTER gaps",
    "EXPLAIN ANALYZE DELETE FROM spans",
    "EXPLAIN (ANALYZE) INSERT INTO gaps SELECT * FROM gaps",
    "EXPLAIN ANALYZE CREATE TABLE mine AS SELECT 1",
    "EXPLAIN ANALYZE SELECT * INTO mine FROM gaps",
    "EXPLAIN (ANALYZE, VERBOSE) CREATE TABLE mine AS SELECT 1",
    "EXPLAIN ANALYZE VERBOSE WITH x AS (SELECT 1) SELECT * INTO mine FROM x",
    "EXPLAIN ANALYZE EXECUTE mine",
    "EXPLAIN (FORMAT json, ANALYZE) DECLARE mine CURSOR FOR SELECT 1",
]
FUNCTIONS = [
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '{folder}/made')",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_ls_dir('.')",
    "SELECT * FROM pg_ls_dir('.')",
    "SELECT * FROM ROWS FROM (pg_ls_dir('.'))",
    "SELECT pg_stat_file('postgresql.conf')",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SELECT set_config('statement_timeout', '0', false)",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT pg_try_advisory_lock(1, 2)",
    "SELECT pg_advisory_unlock_all()",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
    "SELECT pg_cancel_backend(1)",
    "SELECT pg_notify('mine', 'x')",
    "SELECT pg_switch_wal()",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "SELECT pg_create_restore_point('x')",
    "SELECT pg_stat_reset()",
    "SELECT pg_logical_emit_message(false, 'x', 'y')",
    "SELECT pg_create_physical_replication_slot('x')",
    "SELECT pg_sleep(100000)",
    "SELECT query_to_xml('DELETE FROM spans RETURNING *', true, true, '')",
    "SELECT pg_catalog.pg_read_file('x')",
    'SELECT "pg_catalog" . "pg_read_file" /* x */ (\'x\')',
    "SELECT PG_Read_FILE -- x\n ('x')",
    "SELECT U&\"pg!005fread!005ffile\" UESCAPE '!' ('x')",
    "SELECT E'\\'', pg_read_file('x') --'",
    "SELECT 'it''s', pg_read_file('x'), '''",
    "SELECT $$'$$, pg_read_file('x'), $$'$$",
    "SELECT $a$ $b$ $a$, pg_read_file('x'), $c$ $b$ $c$",
    "SELECT /* /* */ ' */ pg_read_file('x') -- '",
    "SELECT 1 WHERE 1=1AND pg_read_file('x') <> ''",
    "WITH x AS (SELECT pg_read_file('x')) SELECT 1",
    "VALUES (pg_read_file('x'))",
    "EXPLAIN ANALYZE SELECT pg_read_file('x')",
    "SELECT * FROM gaps ORDER BY pg_advisory_lock(1)",
    "SELECT count(*) FILTER (WHERE pg_try_advisory_lock(1)) FROM gaps",
]
READING = [
    "SELECT 1",
    "select count(*) from spans;",
    "  -- a remark\n SELECT ';' AS \"a;b\" /* ; */ ; -- the end",
    "EXPLAIN SELECT 1",
    "VALUES (1, 'x'), (2, 'it''s')",
    "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 10) SELECT max(n) FROM c",
    "SELECT random() > 2, lower('X'), coalesce(NULL, 1), utc(1), CAST('1' AS BIGINT)",
    "SELECT count(*) FROM spans s WHERE s.attributes ->> 'x' IS NULL AND s.name IN ('Pod.Started')",
    "SELECT rank() OVER (ORDER BY start_time) FROM rollouts LIMIT 1",
]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def untouched(
    request: pytest.FixtureRequest, histories: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Store, Path]]:
    """A store opened for reading, and a folder; both are at the end what they were at the start."""
    url, folder = histories[request.param], tmp_path_factory.mktemp("made")
    folder.chmod(0o777)
    before = digest(url)
    with open_store(url, read_only=True) as store:
        yield store, folder
    assert digest(url) == before
    assert list(folder.iterdir()) == []


def digest(url: str) -> object:
    """The bytes of a file and its siblings' names; or all rows and names of a server's database."""
    if url.startswith("sqlite:///"):
        file = Path(url.removeprefix("sqlite:///"))
        siblings = {path.name for path in file.parent.iterdir()} - {f"{file.name}-wal", f"{file.name}-shm"}
        return siblings, hashlib.sha256(file.read_bytes()).hexdigest()
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        names = connection.execute("SELECT relname, relkind FROM pg_class ORDER BY 1").fetchall()
        others = connection.execute(
            "SELECT (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_largeobject_metadata),"
            " (SELECT count(*) FROM pg_roles), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
        ).fetchall()
        tables = [name for name, kind in names if kind in "rp" and not name.startswith(("pg_", "sql_"))]
        rows = [
            connection.execute(
                sql.SQL("SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {} t").format(sql.Identifier(table))
            ).fetchall()
            for table in tables
        ]
        return names, others, rows


def ask(store: Store, text: str) -> list[tuple[object, ...]]:
    with run_statement(store, read_statement(text, store.dialect), {}, timeout=HANG_S) as result:
        return list(result.rows)


def ask_database_alone(store: Store, text: str) -> list[tuple[object, ...]]:
    """Nothing looks at the text: it is taken for a SELECT."""
    forged = Statement(tokens=(Token("name", text),), words=("SELECT",), parameters=frozenset(), names=frozenset())
    with run_statement(store, forged, {}, timeout=HANG_S) as result:
        return list(result.rows)


def refuses(untouched: tuple[Store, Path], statement: str) -> None:
    store, folder = untouched
    with pytest.raises(QueryError) as refused:
        ask(store, statement.replace("{folder}", str(folder)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("statement", [*EVERYWHERE, *SQLITE, *POSTGRESQL])
@pytest.mark.parametrize("untouched", ["sqlite"], indirect=True)
def test_a_statement_that_can_write_is_refused_on_sqlite(untouched: tuple[Store, Path], statement: str) -> None:
    refuses(untouched, statement)


@pytest.mark.parametrize("statement", [*EVERYWHERE, *SQLITE, *POSTGRESQL, *FUNCTIONS])
@pytest.mark.parametrize("untouched", ["postgresql"], indirect=True)
def test_a_statement_that_can_write_is_refused_on_postgresql(untouched: tuple[Store, Path], statement: str) -> None:
    refuses(untouched, statement)


@pytest.mark.parametrize("statement", [*EVERYWHERE, *SQLITE])
@pytest.mark.parametrize("untouched", ["sqlite"], indirect=True)
def test_sqlite_refuses_it_without_the_check_of_the_text(untouched: tuple[Store, Path], statement: str) -> None:
    store, folder = untouched
    with pytest.raises(KspanError):
        ask_database_alone(store, statement.replace("{folder}", str(folder)))


@pytest.mark.parametrize("statement", [*EVERYWHERE, *POSTGRESQL])
@pytest.mark.parametrize("untouched", ["postgresql"], indirect=True)
def test_postgresql_refuses_it_without_the_check_of_the_text(untouched: tuple[Store, Path], statement: str) -> None:
    store, folder = untouched
    with pytest.raises(KspanError):
        ask_database_alone(store, statement.replace("{folder}", str(folder)))


@pytest.mark.parametrize("untouched", ["sqlite"], indirect=True)
def test_sqlite_refuses_to_write_without_the_authorizer(untouched: tuple[Store, Path]) -> None:
    store, _ = untouched
    with store.reading("look") as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        for statement in ("DELETE FROM spans", "CREATE TABLE mine (x)"):
            with pytest.raises(Exception, match="readonly"):
                driver.execute(statement)
        driver.execute("PRAGMA query_only = OFF")
        with pytest.raises(Exception, match="readonly"):
            driver.execute("DELETE FROM spans")


@pytest.mark.parametrize("statement", READING)
def test_a_statement_that_reads_returns_rows(untouched: tuple[Store, Path], statement: str) -> None:
    assert ask(untouched[0], statement)


@pytest.mark.parametrize("untouched", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "statement",
    [
        "(SELECT 1) UNION SELECT 2",
        "TABLE traces",
        "EXPLAIN (ANALYZE, COSTS off) SELECT 1",
        "EXPLAIN ANALYZE VERBOSE (SELECT 1)",
        "EXPLAIN TABLE gaps",
        "SELECT now(), ARRAY[1, 2], '{\"a\": 1}'::jsonb -> 'a', E'it\\'s', $$;$$ AS \"a;b\"",
        "SELECT attributes - 'x' FROM spans LIMIT 1",
    ],
)
def test_a_statement_of_postgresql_only_returns_rows(untouched: tuple[Store, Path], statement: str) -> None:
    assert ask(untouched[0], statement)


@pytest.mark.parametrize("untouched", ["postgresql"], indirect=True)
def test_the_effects_of_a_function_are_rolled_back(untouched: tuple[Store, Path]) -> None:
    """A large object would stay, and a lock be held: the first is undone, the second ends with the transaction."""
    store, _ = untouched
    [(version,)] = ask_database_alone(store, "SELECT current_setting('server_version_num')::int")
    # From PostgreSQL 16 on the first is not even begun.
    refused = pytest.raises(QueryError, match="in a read-only transaction")
    with refused if isinstance(version, int) and version >= 160_000 else contextlib.nullcontext():
        assert ask_database_alone(store, "SELECT lo_create(0)")
    assert ask_database_alone(store, "SELECT pg_advisory_xact_lock(7)")


def test_a_statement_is_stopped_at_its_time_limit(history: Store) -> None:
    endless = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT {} FROM c"
    for wanted in ("max(n)", "n"):
        statement = read_statement(endless.format(wanted), history.dialect)
        with (
            pytest.raises(QueryError, match=r"stopped after 0\.3 s"),
            run_statement(history, statement, {}, timeout=0.3) as result,
        ):
            for _ in result.rows:
                pass


@pytest.mark.parametrize("untouched", ["postgresql"], indirect=True)
def test_closing_a_cursor_is_not_subject_to_the_time_limit(untouched: tuple[Store, Path], tmp_path: Path) -> None:
    store, _ = untouched
    with store.reading("look") as connection, (tmp_path / "protocol").open("wb") as protocol:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        driver.pgconn.trace(protocol.fileno())
        statement = read_statement("SELECT generate_series(1, 10)", store.dialect)
        with on_postgresql(driver, statement, {}, Budget(60), 0) as result:
            assert next(result.rows) == (1,)
        driver.pgconn.untrace()
    sent = (tmp_path / "protocol").read_text()
    assert "DECLARE" in sent
    assert "ROLLBACK" in sent
    assert "CLOSE" not in sent


def test_the_time_limit_includes_the_time_between_two_rows(history: Store) -> None:
    now = 100.0
    statement = read_statement("SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3", history.dialect)
    run: Any = on_sqlite if history.dialect == "sqlite" else on_postgresql
    with history.reading("look") as connection:
        budget = Budget(10, clock=lambda: now)
        with run(connection.connection.driver_connection, statement, {}, budget, 0) as result:
            next(result.rows)
            now += 9
            next(result.rows)
            now += 1
            with pytest.raises(QueryError, match=r"stopped after 10 s: select less, or raise --timeout"):
                next(result.rows)


def test_a_row_may_have_a_quarter_of_the_memory_limit() -> None:
    budget = Budget(max_bytes=400)
    assert budget.check(("x" * 60, [1, {"key": b"y"}], None)) == 60 + 16 + 3 + 1 + 16
    with pytest.raises(QueryError, match=r"more memory than 0.0\d*MB: select less, or raise --max-bytes"):
        budget.check(("x" * 60, "y" * 41))


def test_a_limit_of_zero_is_none() -> None:
    budget = Budget(clock=iter(range(0, 10**9, 10**8)).__next__)
    assert not budget.spent
    assert budget.check(("x" * 10**6,)) == 10**6


@pytest.mark.parametrize(
    "sqlite, postgresql",
    [
        ("SELECT zeroblob({})", "SELECT repeat('x', {})"),
        ("SELECT 1, hex(zeroblob({} / 2)) UNION ALL SELECT 2, ''", "SELECT 1, repeat('x', {}) UNION ALL SELECT 2, ''"),
        (
            """WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {} / 1000)
               SELECT group_concat(hex(zeroblob(500)), '') FROM c""",
            "SELECT string_agg(repeat('x', 1000), '') FROM generate_series(1, {} / 1000)",
        ),
    ],
    ids=["a value", "a row", "an aggregate"],
)
def test_a_row_above_the_memory_limit_is_refused(history: Store, sqlite: str, postgresql: str) -> None:
    text = sqlite if history.dialect == "sqlite" else postgresql
    # In this process, SQLite's own limit stays as low as the lowest one: this one does no harm to other tests.
    limit = 512 << 20
    refused = read_statement(text.format((limit >> 2) + 10_000), history.dialect)
    with (
        pytest.raises(
            QueryError, match=r"^the statement needs more memory than 512MB: select less, or raise --max-bytes$"
        ),
        run_statement(history, refused, {}, max_bytes=limit) as result,
    ):
        list(result.rows)
    allowed = read_statement(text.format(4_000_000), history.dialect)
    with run_statement(history, allowed, {}, max_bytes=limit) as result:
        assert len(list(result.rows)) in (1, 2)
