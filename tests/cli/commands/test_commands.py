"""The commands as real processes: files, exit codes, output."""

import gzip
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from typer.main import get_command

from kspan.cli.app import app
from kspan.cli.config_file import commands
from tests.emit.receivers import reserved_ports
from tests.forking import forked
from tests.limits import HANG_S
from tests.recordings import RECORDINGS, recording

ROLLING_UPDATE = recording("02-rolling-update")
CAPTURE = RECORDINGS.parent / "kspan-go" / "deployment-2-pods.yaml"


def kspan(
    *args: str | Path,
    stdin: bytes | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    anew: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; ``anew``: in a new interpreter, with a hash seed of its own."""
    command = [*((sys.executable, "-m", "kspan") if anew else forked()), *map(str, args)]
    env = os.environ | (environment or {})
    done = subprocess.run(command, input=stdin, capture_output=True, cwd=cwd, env=env, check=False)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return the only error line."""
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("kspan: error: ")]
    assert len(lines) == 1
    assert "Traceback" not in done.stderr
    return lines[0].removeprefix("kspan: error: ")


def test_two_replays_into_two_databases_give_identical_otlp_files(tmp_path: Path) -> None:
    for number in "12":
        file = f"file:{tmp_path}/{number}.jsonl"
        args = ("replay", ROLLING_UPDATE, "--db", tmp_path / f"{number}.sqlite", "--export", file)
        assert kspan(*args, anew=True).returncode == 0
    first, second = (tmp_path / "1.jsonl").read_bytes(), (tmp_path / "2.jsonl").read_bytes()
    assert first == second
    assert len(first.splitlines()) >= 10


def test_a_second_replay_into_the_same_database_adds_and_exports_nothing(tmp_path: Path) -> None:
    args = ("replay", ROLLING_UPDATE, "--db", tmp_path / "db.sqlite", "--export", f"file:{tmp_path}/spans.jsonl")
    assert kspan(*args).returncode == 0
    sent = (tmp_path / "spans.jsonl").read_bytes()
    again = kspan(*args)
    assert again.returncode == 0
    assert "kspan: 0 records journalled" in again.stderr
    assert "already known" in again.stderr
    assert (tmp_path / "spans.jsonl").read_bytes() == sent
    assert "'kspan traces' lists them" in again.stderr


def test_a_large_trace_is_exported_with_summaries_and_kept_whole(tmp_path: Path) -> None:
    db, file = tmp_path / "db.sqlite", tmp_path / "spans.jsonl"
    done = kspan("replay", ROLLING_UPDATE, "--db", db, "--export", f"file:{file}", "--max-trace-spans", "20")
    assert done.returncode == 0
    sent = Counter(re.findall('"traceId":"([0-9a-f]{32})","spanId"', file.read_text()))
    assert max(sent.values()) <= 20
    with closing(sqlite3.connect(db)) as connection:
        kept = dict(connection.execute("SELECT trace_id, count(*) FROM spans GROUP BY trace_id").fetchall())
    assert kept.keys() == sent.keys()
    assert max(kept.values()) > 20
    assert "kspan.trace.summarized_spans" in file.read_text()


def test_a_failed_target_is_reported_once_and_does_not_affect_the_others(tmp_path: Path) -> None:
    with reserved_ports(1) as (port,):
        nowhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        targets = ("--export", "otlp", "--export", f"file:{tmp_path}/spans.jsonl")
        done = kspan("replay", ROLLING_UPDATE, "--db", tmp_path / "db.sqlite", *targets, environment=nowhere)
    message = refused(done)
    assert message.startswith(f"otlp: http://127.0.0.1:{port}/v1/traces: ")
    assert message.endswith("; the other traces are kept in the database, run the command again")
    assert done.stderr.count("refused") == 1
    assert len((tmp_path / "spans.jsonl").read_bytes().splitlines()) == 10


def test_the_demo_prints_trees_and_an_answer_of_why(tmp_path: Path) -> None:
    done = kspan("demo", "--db", tmp_path / "demo.sqlite")
    assert done.returncode == 0
    for words in ("Deployment.Update", "image: registry.example.com/shop/web:v1 →", "replicas: 2 → 4", "Pod.Started"):
        assert words in done.stdout
    assert f"why pod/web-854b7f4f-9xzlt -n rolling-update --db {tmp_path / 'demo.sqlite'}\n" in done.stdout
    assert "because kubectl changed Deployment rolling-update/web 2.3s earlier" in done.stdout
    assert str(tmp_path / "demo.sqlite") in done.stderr


@pytest.mark.parametrize("form", ["plain", "gzip", "stdin"])
def test_a_recording_can_be_plain_compressed_or_standard_input(tmp_path: Path, form: str) -> None:
    unpacked = gzip.decompress(ROLLING_UPDATE.read_bytes())
    plain = tmp_path / "recording.jsonl"
    plain.write_bytes(unpacked)
    sources: dict[str, str | Path] = {"plain": plain, "gzip": ROLLING_UPDATE, "stdin": "-"}
    source = sources[form]
    stdin = unpacked if form == "stdin" else None
    done = kspan("replay", source, "--db", tmp_path / "db.sqlite", "--export", "none", stdin=stdin)
    assert done.returncode == 0
    assert "kspan: 550 records journalled" in done.stderr


def test_a_capture_of_the_go_kspan_becomes_one_rollout() -> None:
    done = kspan("replay", CAPTURE, "--db", "sqlite://")
    assert done.returncode == 0
    assert "Deployment.Update px" in done.stdout
    assert "1 trace (24 spans) exported to console" in done.stderr


def test_kubectl_output_is_replayed(tmp_path: Path) -> None:
    items = [
        json.loads(line)["object"]
        for line in gzip.decompress(ROLLING_UPDATE.read_bytes()).splitlines()
        if b'"type":"ADDED"' in line and b'"resource":"v1/' in line
    ]
    printed = json.dumps({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items})
    done = kspan("replay", "-", "--db", "sqlite://", stdin=printed.encode())
    assert done.returncode == 0
    assert "ReplicaSet.SuccessfulCreate" in done.stdout


BAD_LINES = {
    "no JSON": b"{oops",
    "an object without uid": b'{"received":"2026-11-22T10:25:03Z","resource":"v1/pods","type":"ADDED","object":{}}',
    "an unknown record type": b'{"received":"2026-11-22T10:25:03Z","resource":"v1/pods","type":"NEW","object":{}}',
}


@pytest.mark.parametrize("problem", BAD_LINES)
def test_an_invalid_line_is_reported_and_the_records_before_it_are_kept(tmp_path: Path, problem: str) -> None:
    lines = gzip.decompress(ROLLING_UPDATE.read_bytes()).splitlines(keepends=True)
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b"".join(lines[:400]) + BAD_LINES[problem] + b"\n" + b"".join(lines[400:]))
    db = tmp_path / "db.sqlite"
    done = kspan("replay", bad, "--db", db, "--export", "none")
    assert refused(done).startswith(f"{bad}:401: ")
    assert "use --skip-bad to continue" in done.stderr
    assert "The projection agrees with" in kspan("db", "verify", "--db", db).stdout
    with sqlite3.connect(db) as connection:
        assert connection.execute("select count(*) from journal").fetchone()[0] > 50
    connection.close()
    # Mended and run again it goes on where it was, and ends as if nothing had been wrong.
    done = kspan("replay", bad, "--db", db, "--export", f"file:{tmp_path}/mended.jsonl", "--skip-bad")
    assert done.returncode == 0
    assert "1 skipped as invalid" in done.stderr
    kspan("replay", ROLLING_UPDATE, "--db", tmp_path / "good.sqlite", "--export", f"file:{tmp_path}/good.jsonl")
    assert (tmp_path / "mended.jsonl").read_bytes() == (tmp_path / "good.jsonl").read_bytes()


def test_a_file_of_another_program_in_a_bundle_does_not_lose_its_traces(tmp_path: Path) -> None:
    bundle, db = tmp_path / "bundle", tmp_path / "db.sqlite"
    bundle.mkdir()
    shutil.copy(ROLLING_UPDATE, bundle / "m.jsonl.gz")
    (bundle / "version.yaml").write_text("apiVersion: troubleshoot.sh/v1beta2\nkind: SupportBundle\n")
    (bundle / "values.yaml").write_text("a: {{ .Values.a }}\n")
    done = kspan("replay", bundle, "--db", db, "--export", "none")
    assert done.returncode == 0
    skipped = [line for line in done.stderr.splitlines() if line.startswith("kspan: skipped: ")]
    assert len(skipped) == 1
    assert f"{bundle}/values.yaml:1: " in skipped[0]
    assert "Update Deployment rolling-update/web" in kspan("traces", "--db", db).stdout


def test_a_truncated_gzip_file_is_reported_and_its_records_are_kept(tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(ROLLING_UPDATE.read_bytes()[:60_000])
    assert str(cut) in refused(kspan("replay", cut, "--db", tmp_path / "db.sqlite", "--export", "none"))
    stats = json.loads(kspan("db", "stats", "-o", "json", "--db", tmp_path / "db.sqlite").stdout)
    assert sum(stats[0]["journal"].values()) > 50


@pytest.mark.parametrize(
    "args",
    [
        ("replay", "no-such-file.jsonl"),
        ("replay", "."),
        ("record", "no/such/directory/out.jsonl"),
        ("replay", "a.jsonl", "--export", "jaeger"),
        ("replay", "a.jsonl", "--export", "file:no/such/directory/out.jsonl"),
        ("replay", "a.jsonl", "--rules", "no-such-rules.toml"),
        ("replay", "a.jsonl", "--db", "no/such/directory/db.sqlite"),
        ("replay", "a.jsonl", "--db", "mysql+nothing://x"),
        ("db", "stats", "--db", "no-such.sqlite"),
        ("db", "verify", "--db", "no-such.sqlite"),
        ("db", "stats", "--db", "sqlite://", "-o", "xml"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_reported_in_one_line_with_exit_code_2(tmp_path: Path, args: tuple[str, ...]) -> None:
    extra = () if "--db" in args or args[0] == "record" else ("--db", "sqlite://")
    message = refused(kspan(*args, *extra, cwd=tmp_path))
    assert len(message) > 15


@pytest.mark.parametrize("read", ["cat", "head -c 10"])
def test_a_dash_is_standard_output_and_its_reader_may_exit_early(tmp_path: Path, read: str) -> None:
    command = f'set -o pipefail; "$0" -m kspan replay "$1" --db sqlite:// --export file:- | {read} | wc -l'
    arguments = [command, sys.executable, str(recording("02-rolling-update"))]
    done = subprocess.run(
        ["bash", "-c", *arguments], check=False, capture_output=True, text=True, timeout=HANG_S, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == (10 if read == "cat" else 0)


def test_a_mistyped_file_leaves_no_database(tmp_path: Path) -> None:
    message = refused(kspan("replay", "nope.gz", "--db", "db.sqlite", cwd=tmp_path))
    assert message.endswith("nope.gz: no such file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("args", [("run", "--db", "sqlite://"), ("record", "out.jsonl")], ids=" ".join)
def test_an_invalid_namespace_is_refused_before_a_connection_is_needed(tmp_path: Path, args: tuple[str, ...]) -> None:
    message = refused(kspan(*args, "--namespace", "A B", "--kubeconfig", "no-such-file", cwd=tmp_path))
    assert "invalid --namespace 'A B'" in message


@pytest.mark.parametrize(
    "command", [("replay", "-"), ("rules", "explain", "-"), ("rules", "check", "-"), ("sql",)], ids=" ".join
)
def test_a_closed_standard_input_is_refused(tmp_path: Path, command: tuple[str, ...]) -> None:
    script = f"exec {sys.executable} -m kspan {' '.join(command)} <&-"
    environment = os.environ | {"KSPAN_DB": str(tmp_path / "db.sqlite")}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert refused(done) == "<stdin>: standard input is closed"


@pytest.mark.parametrize("source,code", [(ROLLING_UPDATE, 0), ("no-such-file", 2)])
def test_a_closed_standard_error_only_hides_the_messages(source: str | Path, code: int) -> None:
    script = f"exec {sys.executable} -m kspan replay {source} --db sqlite:// --export none 2>&-"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")


def test_an_interrupted_replay_says_that_it_can_be_continued(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kspan", "replay", "-", "--db", str(tmp_path / "db.sqlite"), "--export", "none"]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = gzip.decompress(ROLLING_UPDATE.read_bytes())
    assert started.stdin is not None
    # Ten times what a pipe holds: when all of it is taken, the replay is at work.
    started.stdin.write(lines[: lines.rindex(b"\n", 0, len(lines) // 2) + 1].decode())
    started.stdin.flush()
    started.send_signal(signal.SIGINT)
    _, done = started.communicate()
    assert started.returncode == 130
    assert done == "kspan: interrupted; committed records are kept, run the command again to continue\n"


def test_verify_lists_changed_rows_and_rebuild_repairs_them(tmp_path: Path) -> None:
    db = tmp_path / "db.sqlite"
    kspan("replay", ROLLING_UPDATE, "--db", db, "--export", f"file:{tmp_path}/spans.jsonl")
    with sqlite3.connect(db) as connection:
        found = connection.execute("select trace_id, span_id from spans where name = 'Pod.Scheduled'")
        trace, span = found.fetchone()
        gone = connection.execute("select trace_id from traces order by trace_id").fetchone()[0]
        connection.execute("update spans set name = 'Pod.Tampered' where span_id = ?", (span,))
        connection.execute("delete from traces where trace_id = ?", (gone,))
        connection.commit()
    connection.close()
    done = kspan("db", "verify", "--db", db)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"spans of trace {gone}: have no row in traces",
        f"spans {trace} {span}: differs in name",
        f"traces {gone}: missing",
    ]
    assert kspan("db", "rebuild", "--db", db).returncode == 0
    assert kspan("db", "verify", "--db", db).returncode == 0
    # What was sent before stays marked as sent.
    again = kspan("replay", ROLLING_UPDATE, "--db", db, "--export", f"file:{tmp_path}/spans.jsonl")
    assert "0 traces (0 spans)" in again.stderr


def test_verify_lists_an_unreadable_row_and_rebuild_repairs_it(tmp_path: Path) -> None:
    db = tmp_path / "db.sqlite"
    kspan("replay", ROLLING_UPDATE, "--db", db, "--export", "none")
    with sqlite3.connect(db) as connection:
        connection.execute("update spans set attributes = 'no JSON' where name = 'Pod.Scheduled'")
        connection.execute("update traces set error = not error")
        connection.commit()
    connection.close()
    done = kspan("db", "verify", "--db", db)
    assert done.returncode == 1
    assert "spans a row: unreadable" in done.stdout.splitlines()
    assert "differs in error" in done.stdout
    assert kspan("db", "rebuild", "--db", db).returncode == 0
    assert kspan("db", "verify", "--db", db).returncode == 0


def test_stats_count_records_rows_traces_and_exports(tmp_path: Path) -> None:
    db = tmp_path / "db.sqlite"
    kspan("replay", ROLLING_UPDATE, "--db", db, "--export", f"file:{tmp_path}/spans.jsonl")
    stats = json.loads(kspan("db", "stats", "-o", "json", "--db", db).stdout)[0]
    assert sum(stats["journal"].values()) == stats["rows"]["journal"] == 550
    assert stats["emissions"] == {f"file:{tmp_path}/spans.jsonl": {"emitted": stats["traces"]["closed"]}}
    assert stats["first_recorded_at"] == "2026-11-22T10:25:02.944562Z"
    table = kspan("db", "stats", "--db", db).stdout
    assert "records" in table
    assert "closed" in table


def test_the_reader_of_a_pipe_may_exit_early(tmp_path: Path) -> None:
    script = f"{sys.executable} -m kspan demo --db {tmp_path / 'demo.sqlite'} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("✓ Deployment")


def test_help_answers_in_under_0_4_seconds() -> None:
    took = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = kspan("--help", anew=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "Usage: kspan" in done.stdout
        # What the processor did: on a busy machine a wall clock tells how busy it is.
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) < 0.4


@pytest.mark.parametrize("command", ["", "db", "rules", *(name for name, _ in commands(get_command(app)))])
def test_every_command_has_help_of_80_columns(command: str) -> None:
    done = kspan(*command.split(), "--help", environment={"COLUMNS": "80"})
    assert done.returncode == 0
    assert "Usage: kspan" in done.stdout
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("command", [(), ("db",), ("rules",)])
def test_the_list_of_commands_fits_80_columns(command: tuple[str, ...]) -> None:
    lines = kspan(*command, "--help", environment={"COLUMNS": "80"}).stdout.splitlines()
    commands = [line for line in lines if re.match(r"  [a-z]+ +[A-Z]", line) and not line.endswith("file")]
    assert len(commands) >= 3
    assert all(line.endswith(".") and "..." not in line for line in commands)


def test_the_installed_program_is_on_the_path_of_its_environment() -> None:
    assert shutil.which("kspan", path=str(Path(sys.executable).parent)) is not None
