"""``kspan sql`` on PostgreSQL, from the command line: what is printed is what SQLite gives."""

import json
import sys

import pytest

from kspan.cli import main
from tests.postgres import PostgresServer

QUERY = (
    "SELECT at, cluster, name, changed_from, ready_seconds, seconds, outcome, restarts FROM rollouts ORDER BY at, name"
)


class Command:
    """``kspan sql`` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, url: str, *args: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self._monkeypatch.setattr(sys, "argv", ["kspan", "sql", *args, "--db", url])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        return int(ended.value.code or 0), out, err


@pytest.fixture
def sql(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.mark.parametrize("output", ["json", "csv", "table", "record"])
def test_both_stores_print_the_same_bytes(sql: Command, histories: dict[str, str], output: str) -> None:
    printed = [sql(url, QUERY, "-o", output) for url in histories.values()]
    assert printed[0] == printed[1]
    assert printed[0][0] == 0
    assert "registry.example.com/shop/web:v1" in printed[0][1]


def test_a_limit_ends_an_endless_result(sql: Command, histories: dict[str, str]) -> None:
    endless = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c"
    code, out, err = sql(histories["postgresql"], endless, "--limit", "3", "-o", "json")
    assert (code, json.loads(out)) == (0, [{"n": 1}, {"n": 2}, {"n": 3}])
    assert "only the first 3 rows" in err


@pytest.mark.parametrize(
    "statement, words",
    [
        ("SELECT nam FROM spans", 'column "nam" does not exist (Perhaps you meant'),
        ("SELECT 1/0", "division by zero"),
        ("SELECT count(*) FROM generate_series(1, 1000000000)", "stopped after 1 s"),
        ("SELECT pg_terminate_backend(1)", "the function pg_terminate_backend can write"),
    ],
)
def test_a_mistake_is_reported_in_one_line(sql: Command, histories: dict[str, str], statement: str, words: str) -> None:
    code, out, err = sql(histories["postgresql"], statement, "--timeout", "1s", "-o", "csv")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert words in err


def test_the_error_for_a_wrong_password_does_not_contain_it(sql: Command, postgres: PostgresServer) -> None:
    code, _, err = sql(postgres.url("postgres", tcp=True, password="hunter2"), "SELECT 1")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "password authentication failed" in err
    assert "hunter2" not in err
