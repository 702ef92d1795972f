"""What `-o table|json|jsonl|csv|parquet` writes."""

import csv
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count, islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from kspan.cli.render.table import FORMATS, check_format, fit, unique_names, write_rows
from kspan.errors import SettingsError
from tests.limits import HANG_S

COLUMNS = ("name", "n", "share", "blob", "note")
ROWS: Sequence[Sequence[Any]] = [
    ("web", 7, 0.25, b"\x00\xff", None),
    ("a longer name", 1234, 0.1 + 0.2, b"", 'quoted "so", and\nmore'),
]

WRITE = """
import sys
from kspan.cli.render.table import write_rows
columns, rows, output = eval(sys.argv[1])
write_rows(columns, rows, output)
"""


def written(capsysbinary: pytest.CaptureFixture[bytes], output: str, columns: Any = COLUMNS, rows: Any = ROWS) -> str:
    write_rows(columns, rows, output)
    return capsysbinary.readouterr().out.decode()


def test_a_table_is_aligned_with_numbers_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert write_rows(COLUMNS, ROWS, "table") == 2
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "name              n  share  blob       note",
        "-------------  ----  -----  ---------  ---------------------",
        "web               7   0.25  <2 bytes>",
        'a longer name  1234    0.3  <0 bytes>  quoted "so", and more',
    ]
    assert err == "2 rows\n"


def test_a_table_without_rows_has_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(["a", "b"], [], "table", noun="trace")
    assert capsys.readouterr() == ("a  b\n-  -\n", "0 traces\n")


def test_records_have_one_uncut_line_for_each_column(capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(["name", "message"], [("web", "words " * 50 + "end"), ("\x1b[1mdb\n", None)], "record")
    out, err = capsys.readouterr()
    words = "words " * 50
    assert out.splitlines() == ["-- 1", "name     web", f"message  {words}end", "", "-- 2", "name     db", "message"]
    assert err == "2 rows\n"


def test_json_is_an_array_of_objects(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    out = written(capsysbinary, "json")
    assert json.loads(out)[0] == {"name": "web", "n": 7, "share": 0.25, "blob": "\\x00ff", "note": None}
    assert json.loads(out)[1]["note"] == 'quoted "so", and\nmore'
    assert len(out.splitlines()) == 2
    assert written(capsysbinary, "json", rows=[]) == "[]\n"


def test_json_lines_have_one_object_per_line(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    out = written(capsysbinary, "jsonl")
    assert [json.loads(line)["n"] for line in out.splitlines()] == [7, 1234]
    assert written(capsysbinary, "jsonl", rows=[]) == ""


def test_values_of_postgresql_are_encoded_as_json(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    moment = datetime(2026, 11, 22, 10, 25, tzinfo=UTC)
    row = [Decimal("12.50000"), {"a": [1, b"x"]}, moment, True, float("nan")]
    out = written(capsysbinary, "json", "abcde", [row])
    assert out == '[{"a":12.5,"b":{"a":[1,"\\\\x78"]},"c":"2026-11-22T10:25:00Z","d":true,"e":null}]\n'


def test_columns_of_one_name_get_numbers() -> None:
    assert unique_names(["id", "id", "id_2", "id"]) == ["id", "id_2", "id_2_2", "id_3"]


def test_csv_is_quoted_as_in_rfc_4180_and_has_lines_for_a_shell(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    out = written(capsysbinary, "csv")
    assert out.startswith("name,n,share,blob,note\nweb,7,0.25,\\x00ff,\n")
    assert out.endswith('"quoted ""so"", and\nmore"\n')
    assert list(csv.reader(io.StringIO(out, newline="")))[2][4] == ROWS[1][4]


def run(columns: Any, rows: Any, output: str, **options: Any) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-c", WRITE, repr((columns, rows, output))]
    return subprocess.run(command, check=False, **options)


def test_parquet_keeps_names_types_and_nulls(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    with file.open("wb") as out:
        assert run(COLUMNS, ROWS, "parquet", stdout=out).returncode == 0
    table = pq.read_table(file)
    assert table.column_names == list(COLUMNS)
    assert [str(field.type) for field in table.schema] == ["string", "int64", "double", "binary", "string"]
    assert table.to_pylist()[0] == dict(zip(COLUMNS, ROWS[0], strict=True))


def test_parquet_is_not_written_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with pytest.raises(SettingsError, match="redirect it"):
        check_format("parquet")


def test_parquet_without_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SettingsError, match="the extra 'parquet'"):
        check_format("parquet")


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="invalid format 'xml': use table, record, json, jsonl, csv or parquet"):
        check_format("xml")
    with pytest.raises(SettingsError, match="invalid format 'csv': use table or json"):
        check_format("csv", ("table", "json"))


@pytest.mark.parametrize("output", FORMATS)
def test_rows_are_written_while_they_are_read(output: str) -> None:
    """A reader that goes away after a few lines ends even an endless stream of rows, quietly and with success."""
    endless = "(('row', n, None) for n in __import__('itertools').count())"
    script = WRITE.replace("columns, rows, output = eval(sys.argv[1])", f"columns, rows = 'abc', {endless}")
    script = script.replace("rows, output)", f"rows, {output!r})")
    pipeline = 'set -o pipefail; "$0" -c "$1" | head -c 100000 | wc -c'
    command = ["bash", "-c", pipeline, sys.executable, script]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=HANG_S)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "100000", "")


def on_a_terminal(columns: Any, rows: Any, width: int) -> list[str]:
    """What a terminal of this width is sent."""
    main, side = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(width), "PYTHONIOENCODING": "utf-8"}
    done = run(columns, rows, "table", stdout=side, stderr=subprocess.PIPE, env=environment)
    os.close(side)
    sent = os.read(main, 100_000).decode()
    os.close(main)
    assert done.returncode == 0
    return sent.splitlines()


def test_a_table_is_cut_to_the_terminal_starting_with_the_widest_columns() -> None:
    lines = on_a_terminal(["id", "message", "n"], [("f" * 16, "words " * 50, 1234567)], 50)
    assert lines[0] == "id                message                        n"
    assert lines[2] == "ffffffffffffffff  words words words word…  1234567"
    assert max(map(len, lines)) == 50


def test_a_table_is_not_cut_outside_of_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(["message"], [("words " * 500,)], "table")
    assert capsys.readouterr().out.splitlines()[2] == ("words " * 500).strip()


def test_a_table_with_more_columns_than_fit_is_cut_at_the_edge() -> None:
    lines = on_a_terminal([f"column{n}" for n in range(20)], [("value" * 5,) * 20], 40)
    assert all(len(line) <= 40 for line in lines)


def test_widths_that_fit_are_kept() -> None:
    assert fit([5, 10], 17) == [5, 10]
    assert fit([5, 30, 30], 49) == [5, 20, 20]
    assert fit([30, 30], 10) == [10, 10]


def test_values_from_the_cluster_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(["\x1b[2Jname"], [("\x1b]0;title\x07web\x1b[31m\u202e\x9b1m\nnext",)], "table")
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "name"
    assert all(line.isprintable() for line in out.splitlines())
    assert "\\u202e" in out


def test_rows_after_the_sample_stay_readable(capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(["n"], ((n,) for n in islice(count(9_999_000), 1100)), "table")
    assert capsys.readouterr().out.splitlines()[-1] == "10000099"
