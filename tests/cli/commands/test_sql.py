"""``kspan sql`` as a user meets it: real processes, exit codes, and what is printed."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from kspan.cli import main
from tests.cli.commands.test_commands import kspan, refused
from tests.limits import HANG_S
from tests.recordings import recording


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sql") / "db.sqlite"
    assert kspan("replay", recording("02-rolling-update"), "--db", path, "--export", "none").returncode == 0
    return path


ROLLOUTS = "SELECT at, name, changed_to, seconds FROM rollouts WHERE start_time >= :since ORDER BY start_time"


def test_a_table_is_printed_with_the_number_of_rows_on_standard_error(db: Path) -> None:
    done = kspan("sql", ROLLOUTS, "--db", db)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].split() == ["at", "name", "changed_to", "seconds"]
    assert done.stdout.splitlines()[3].split()[1:3] == ["web", "registry.example.com/shop/web:v2"]
    assert done.stderr == "3 rows\n"


def test_every_format_has_the_same_rows(db: Path, tmp_path: Path) -> None:
    rows = json.loads(kspan("sql", ROLLOUTS, "--db", db, "-o", "json").stdout)
    assert len(rows) == 3
    lines = kspan("sql", ROLLOUTS, "--db", db, "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == rows
    table = list(csv.DictReader(io.StringIO(kspan("sql", ROLLOUTS, "--db", db, "-o", "csv").stdout)))
    assert table == [{key: str(value) for key, value in row.items()} for row in rows]
    with (tmp_path / "rows.parquet").open("wb") as out:
        command = [sys.executable, "-m", "kspan", "sql", ROLLOUTS, "--db", str(db), "-o", "parquet"]
        subprocess.run(command, stdout=out, check=True)
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == rows


def test_a_statement_comes_from_a_pipe_with_its_parameters(db: Path) -> None:
    text = b"-- who did it?\nSELECT count(*) AS n FROM occurrences\nWHERE actor = :actor AND 1 = :one;\n"
    for args in (("-",), ()):
        done = kspan("sql", *args, "--db", db, "-o", "json", "-p", "actor=kubectl", "-p", "one=1", stdin=text)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)[0]["n"] >= 4


def test_since_until_and_the_cluster_are_parameters(db: Path) -> None:
    query = "SELECT count(*) AS n FROM rollouts WHERE cluster = :cluster AND start_time BETWEEN :since AND :until"
    options = ("--since", "2026-11-22T10:25:00Z", "--until", "2026-11-22 10:25:30")
    done = kspan("sql", query, "--db", db, "-o", "json", *options)
    assert json.loads(done.stdout) == [{"n": 1}]


def test_a_message_reports_more_rows_than_the_limit(db: Path) -> None:
    query = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000) SELECT n FROM c"
    done = kspan("sql", query, "--db", db)
    assert (len(done.stdout.splitlines()), done.stderr) == (
        1002,
        "1000 rows\nkspan: only the first 1000 rows are shown; use --limit 0 for all\n",
    )
    done = kspan("sql", query, "--db", db, "--limit", "1999", "-o", "csv")
    assert (len(done.stdout.splitlines()), "only the first 1999 rows" in done.stderr) == (2000, True)
    done = kspan("sql", query, "--db", db, "-o", "csv")
    assert (len(done.stdout.splitlines()), done.stderr) == (2001, "")
    assert kspan("sql", query, "--db", db, "--limit", "2000").stderr == "2000 rows\n"


def test_the_schema_describes_tables_and_columns(db: Path) -> None:
    tables = json.loads(kspan("sql", "--schema", "--db", db, "-o", "json").stdout)
    assert {"spans", "traces", "rollouts", "ancestry"} <= {table["name"] for table in tables}
    assert all(table["meaning"] for table in tables)
    columns = json.loads(kspan("sql", "--schema", "spans", "--db", db, "-o", "json").stdout)
    assert columns[0] == {"column": "cluster", "type": "TEXT", "key": "yes", "meaning": columns[0]["meaning"]}
    assert "did you mean spans?" in refused(kspan("sql", "--schema", "span", "--db", db))


@pytest.mark.parametrize(
    "args, words",
    [
        (("SELECT nam FROM spans",), "no such column: nam"),
        (("SELECT",), "incomplete input"),
        (("",), "the statement is empty"),
        (("SELECT 'x",), "open quote or comment"),
        (("SELECT :x",), "-p x=VALUE"),
        (("SELECT 1", "-p", "x"), "-p: invalid parameter 'x'"),
        (("SELECT 1", "-p", "a b=1"), "'a b'"),
        (("SELECT 1", "-o", "xml"), "'xml'"),
        (("SELECT 1", "--since", "yesterday"), "--since: invalid time 'yesterday'"),
        (("SELECT 1", "--timeout", "soon"), "--timeout: invalid duration 'soon'"),
        (("SELECT :cluster", "--cluster", "nowhere"), "unknown cluster 'nowhere'"),
        (("SELECT abs(-9223372036854775808)",), "integer overflow"),
        (("DELETE FROM spans",), "only reading is allowed"),
        (
            (
                "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c",
                "--timeout",
                "1s",
            ),
            "stopped after 1 s",
        ),
    ],
)
def test_a_mistake_is_reported_in_one_line_with_exit_code_2(
    db: Path,
    args: tuple[str, ...],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process: what is wrong with a statement is the same in one of its own."""
    monkeypatch.setattr(sys, "argv", ["kspan", "sql", *args, "--db", str(db)])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert err.startswith("kspan: error: ")
    assert len(err.splitlines()) == 1
    assert words in err


@pytest.mark.parametrize(
    "url, words",
    [
        ("no-such.sqlite", "no such database"),
        ("postgresql://kspan:hunter2@127.0.0.1:1/none", "cannot"),
        ("sqlite://", "memory"),
    ],
)
def test_a_missing_database_is_reported_without_the_password(url: str, words: str) -> None:
    message = refused(kspan("sql", "SELECT 1", "--db", url))
    assert words in message
    assert "hunter2" not in message


def test_names_from_the_cluster_cannot_control_the_terminal(db: Path) -> None:
    done = kspan("sql", "SELECT char(27) || '[31mred' || char(155) || '2J' AS x, zeroblob(3) AS b", "--db", db)
    assert "\x1b" not in done.stdout
    assert "\x9b" not in done.stdout
    assert "<3 bytes>" in done.stdout


def test_memory_does_not_depend_on_the_number_of_rows(db: Path) -> None:
    """40 MB of rows."""
    script = (
        "import sys; from kspan.cli import main; from tests.memory import peak\n"
        "try: main()\n"
        "finally: print(peak(), file=sys.stderr)"
    )
    peaks = []
    for rows in (10, 100_000):
        numbers = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < :n)"
        query = " ".join([numbers, "SELECT n, hex(zeroblob(200)) FROM c"])
        command = [sys.executable, "-c", script, "sql", query, "--db", str(db), "-o", "jsonl", "-p", f"n={rows}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
        assert len(done.stdout.splitlines()) == rows
        peaks.append(int(done.stderr.split()[-1]))
    assert peaks[1] < peaks[0] + (8 << 20)


NUMBERS = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {})"
BLOB = "randomblob(15000000)"
LARGE = [
    "SELECT randomblob(900000000)",
    "SELECT replace(hex(zeroblob(10000000)), '00', '0123456789012345678901234567890123456789')",
    " ".join([NUMBERS.format(10**7), "SELECT group_concat(n * 1000000000) FROM c"]),
    # Each of the values is small enough.
    " ".join(["SELECT", ", ".join([BLOB] * 5)]),
]


@pytest.mark.parametrize("query", LARGE)
def test_a_statement_that_needs_too_much_memory_is_refused(db: Path, query: str) -> None:
    done, peak = measured("sql", query, "--db", str(db), "--max-bytes", "64MB", "-o", "csv")
    assert refused(done) == "the statement needs more memory than 64MB: select less, or raise --max-bytes"
    assert peak < 400 << 20


@pytest.mark.parametrize("output", ["table", "record", "jsonl", "csv", "parquet"])
def test_rows_that_are_large_together_are_printed_within_the_limit(db: Path, output: str) -> None:
    query = " ".join([NUMBERS.format(300), "SELECT n, hex(randomblob(500000)) AS h FROM c"])
    options = ("--max-bytes", "64MB", "--timeout", "0", "--limit", "0", "-o", output)
    done, peak = measured("sql", query, "--db", str(db), *options)
    assert done.returncode == 0, done.stderr
    assert peak < 600 << 20


def measured(*args: str) -> tuple[subprocess.CompletedProcess[str], int]:
    """Run kspan, discard its output, and return what it wrote to standard error and its peak memory in bytes."""
    script = (
        "import sys; from kspan.cli import main; from tests.memory import peak\n"
        "try: main()\n"
        "finally: print(peak(), file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, *args]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    *messages, peak = done.stderr.splitlines()
    return subprocess.CompletedProcess(args, done.returncode, "", "\n".join(messages)), int(peak)


@pytest.mark.parametrize(
    "size, words",
    [
        ("lots", "invalid size 'lots': use 64MB, 1GB or a number of bytes"),
        ("1kB", "'1kB' is too small: use at least 8MB"),
    ],
)
def test_an_invalid_size_is_refused(db: Path, size: str, words: str) -> None:
    assert words in refused(kspan("sql", "SELECT 1", "--db", db, "--max-bytes", size))


def test_ctrl_c_ends_a_statement_with_exit_code_130(db: Path) -> None:
    endless = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c WHERE n % 1000000 = 1"
    command = [sys.executable, "-m", "kspan", "sql", endless, "--db", str(db), "-o", "jsonl"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.read(10)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 130
    assert b"Traceback" not in err
