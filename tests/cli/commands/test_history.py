"""`why`, `traces`, `trace` and `timeline` as a user meets them: real processes on a replayed recording."""

import contextlib
import csv
import io
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.pipeline.replay import replay
from kspan.store import open_store
from tests.cli.commands.test_commands import kspan, refused
from tests.emit.rows import START, make_span, make_trace
from tests.forking import forked
from tests.limits import HANG_S
from tests.postgres import TEMPLATE, PostgresServer
from tests.query.made import CLUSTER, commit, make_object, make_pending
from tests.recordings import recording

POD = "pod/web-854b7f4f-9xzlt"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rolling update, replayed."""
    path = tmp_path_factory.mktemp("history") / "db.sqlite"
    with open_store(str(path)) as store:
        replay(store, read_frames([str(recording("02-rolling-update"))]), built_in_rules())
    return path


def test_why_prints_a_sentence_and_the_chain_of_causes(db: Path) -> None:
    done = kspan("why", POD, "-n", "rolling-update", "--db", db)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "Pod rolling-update/web-854b7f4f-9xzlt, 2026-11-22 10:25:52.049 UTC: deleted"
    assert lines[1].startswith("because kubectl changed Deployment rolling-update/web 2.3s earlier: ")
    assert (lines[1] + lines[2]).endswith("image:  registry.example.com/shop/web: v2 → v1"), "folded at 80 columns"
    assert lines[3] == "now: gone since 2026-11-22 10:25:53 UTC (created 2026-11-22 10:25:05)"
    steps = [line for line in lines if line.startswith(("├╴", "└╴"))]
    assert len(steps) == 5
    assert steps[0].split()[:3] == ["├╴10:25:52.054", "kubelet", "Pod.ContainerTerminated"]
    assert steps[-1].split()[:4] == ["└╴10:25:49.727", "kubectl", "Deployment.Update", "web"]
    assert "Other effects of the same cause:" in lines
    assert any("4\u00d7 Pod started" in line for line in lines)


def test_why_in_json_has_the_chain_the_cause_and_its_effects(db: Path) -> None:
    answer = json.loads(kspan("why", "po", "web-854b7f4f-9xzlt", "--db", db, "-o", "json").stdout)
    assert [step["kind"] for step in answer["chain"]][-1] == "Deployment"
    root = answer["chain"][-1]
    assert (root["rule"], root["confidence"], root["service"]) == ("root", 0.95, "kubectl")
    assert root["change"].startswith("web.image: ")
    assert root["time"].startswith("2026-11-22T10:25:49.727")
    assert answer["object"]["deleted_at"].startswith("2026-11-22T10:25:53")
    assert answer["trace"]["trace_id"] == root["trace_id"]
    assert ("Pod", "Started", 4) in [(e["kind"], e["reason"], e["objects"]) for e in answer["effects"]]
    assert answer["remote_parent"] is answer["lost_trace_id"] is None


def test_why_reports_an_undecided_occurrence(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "db.sqlite")) as store:
        commit(store, [make_object("Pod", "web")], [make_pending("Pod.Failed", error=True)])
    done = kspan("why", "pod/web", "--db", tmp_path / "db.sqlite")
    assert done.returncode == 0
    assert "Pod.Failed at 14:03:07.000 has no cause yet" in done.stdout


def test_traces_are_the_same_as_table_csv_and_json(db: Path) -> None:
    args = ("traces", "--kind", "deploy", "--name", "web", "--db", db)
    table = kspan(*args).stdout.splitlines()
    assert table[0].split() == ["TRACE", "START", "(UTC)", "DURATION", "SPANS", "WARNINGS", "OUTCOME", "WHO", "WHAT"]
    assert "Update Deployment rolling-update/web: web.image: registry.example.com/shop/web:v2 → " in table[1]
    as_json = json.loads(kspan(*args, "-o", "json").stdout)
    as_csv = list(csv.DictReader(io.StringIO(kspan(*args, "-o", "csv").stdout)))
    assert len(table) - 1 == len(as_json) == len(as_csv)
    assert [row["trace_id"] for row in as_json] == [row["trace_id"] for row in as_csv]
    assert all(line.startswith(row["trace_id"][:12]) for line, row in zip(table[1:], as_json, strict=True))
    assert as_csv[0]["who"] == "kubectl"


def test_every_command_has_the_same_service_and_field_manager(db: Path) -> None:
    """``kubectl`` is the service, ``kubectl-set`` the field manager."""
    where, when = ("-n", "rolling-update", "--db", db), "2026-11-22 10:25:06"
    why = json.loads(kspan("why", "deploy/web", "--at", when, *where, "-o", "json").stdout)
    root = why["chain"][-1]
    traces = json.loads(kspan("traces", *where, "-o", "json").stdout)
    timeline = json.loads(kspan("timeline", *where, "-o", "json").stdout)
    statement = "SELECT trace_id, who, who AS service, manager FROM rollouts WHERE changed_to LIKE '%v2'"
    rollouts = json.loads(kspan("sql", statement, "--db", db, "-o", "json").stdout)
    rows = [root, *(row for row in traces if row["trace_id"] == root["trace_id"])]
    rows += [row for row in timeline if row["span_id"] == root["span_id"]] + rollouts
    assert len(rows) == 4
    assert [(row["who"], row["service"], row["manager"]) for row in rows] == [("kubectl", "kubectl", "kubectl-set")] * 4
    for command in (("traces", *where), ("timeline", *where), ("trace", root["trace_id"], "--db", db)):
        assert "kubectl-set" not in kspan(*command).stdout
    assert "because kubectl set changed" in kspan("why", "deploy/web", "--at", when, *where).stdout


def test_lines_about_a_container_have_its_name(db: Path) -> None:
    timeline = kspan("timeline", "-n", "rolling-update", "--db", db).stdout
    why = kspan("why", POD, "-n", "rolling-update", "--db", db).stdout
    assert "Pod.Killing web-854b7f4f-9xzlt/web  " in why
    assert "Pod.Started rolling-update/web-854b7f4f-9xzlt/web" in timeline
    found = json.loads(kspan("timeline", "-n", "rolling-update", "--db", db, "-o", "json").stdout)
    assert {row["container"] for row in found if row["reason"] in ("Started", "ContainerTerminated")} == {"web"}


def test_no_matching_trace_or_occurrence_is_not_an_error(db: Path) -> None:
    done = kspan("traces", "-n", "nowhere", "--db", db)
    assert (done.returncode, done.stdout) == (0, "")
    assert "kspan: no trace matches; the newest began at 2026-11-22 10:25:49 UTC, " in done.stderr
    done = kspan("timeline", "-n", "nowhere", "--db", db)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "kspan: no occurrence matches\n")


@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_a_list_that_stops_at_its_limit_says_so(db: Path, output: str) -> None:
    done = kspan("traces", "--limit", "2", "--db", db, "-o", output)
    assert done.stderr == "kspan: only the newest 2 are shown; use --limit 0 for all\n"
    assert kspan("traces", "--limit", "1000", "--db", db, "-o", output).stderr == ""
    done = kspan("timeline", "--limit", "3", "--db", db, "-o", output)
    assert "kspan: only the first 3 are shown; the next is at --since 2026-11-22T10:2" in done.stderr
    since = done.stderr.split()[-1]
    first = [row["time"] for row in json.loads(kspan("timeline", "--db", db, "-o", "json").stdout)][3]
    assert first == since


def test_csv_and_tables_can_be_without_headers(db: Path) -> None:
    for command in (("traces",), ("timeline",), ("sql", "SELECT name FROM occurrences LIMIT 3")):
        whole = kspan(*command, "-o", "csv", "--db", db).stdout
        assert kspan(*command, "-o", "csv", "--no-headers", "--db", db).stdout == whole.split("\n", 1)[1]
        assert "\r" not in whole
    assert kspan("traces", "--db", db).stdout.split("\n", 1)[1] == kspan("traces", "--no-headers", "--db", db).stdout


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_list_of_traces_has_one_line_for_each_on_a_narrow_terminal(db: Path, width: int) -> None:
    printed = on_a_terminal("traces", "--kind", "deploy", "--db", db, COLUMNS=str(width), NO_COLOR="1")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", printed).splitlines()
    assert all(len(line) <= width for line in lines)
    assert "WHAT" in lines[0]
    assert all(re.match(r"[0-9a-f]{12}  ", line) for line in lines[1:])
    assert "Deployment" in lines[1]


def test_a_trace_is_printed_as_tree_rows_or_otlp(db: Path, tmp_path: Path) -> None:
    (newest, *_) = json.loads(kspan("traces", "--name", "web", "--db", db, "-o", "json").stdout)
    prefix = newest["trace_id"][:10]
    tree = kspan("trace", prefix, "--db", db).stdout
    assert "└╴" in tree
    assert "█" in tree
    rows = json.loads(kspan("trace", prefix, "--db", db, "-o", "json").stdout)
    assert rows["trace"]["trace_id"] == newest["trace_id"]
    assert len(rows["spans"]) == rows["trace"]["span_count"] == newest["spans"]
    assert isinstance(rows["spans"][0]["start_time"], int)
    otlp = kspan("trace", prefix, "--db", db, "-o", "otlp").stdout
    copied = tmp_path / "again.sqlite"
    kspan("replay", recording("02-rolling-update"), "--db", copied, "--export", f"file:{tmp_path}/traces.jsonl")
    assert otlp in (tmp_path / "traces.jsonl").read_text().splitlines(keepends=True)


def test_the_timeline_has_one_line_for_each_occurrence_oldest_first(db: Path) -> None:
    window = ("--since", "2026-11-22 10:25:25", "--until", "2026-11-22 10:25:40")
    lines = kspan("timeline", "-n", "rolling-update", *window, "--db", db).stdout.splitlines()
    assert len(lines) > 10
    assert lines == sorted(lines, key=lambda line: line[:23])
    assert lines[0].split()[2:5] == ["kubectl", "Deployment.Update", "rolling-update/web"]
    assert lines[0].endswith("  replicas: 2 → 4")
    rows = json.loads(kspan("timeline", "-n", "rolling-update", *window, "--db", db, "-o", "json").stdout)
    assert [row["reason"] for row in rows][:2] == ["Update", "ScalingReplicaSet"]
    assert len(rows) == len(lines)


def test_hostile_text_is_escaped(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u202ereversed\nsecond line"
    span = make_span("Pod.BackOff", error=True, message=evil, service=evil, reason=evil, subject=f"web{evil}")
    with open_store(str(tmp_path / "db.sqlite")) as store:
        commit(store, [make_object("Pod", f"web{evil}")], [span], [make_trace([span])])
    arguments = (
        ("why", f"pod/web{evil}"),
        ("traces",),
        ("timeline",),
        ("trace", span.trace_id[:8]),
        ("why", "pod/web"),
    )
    for args in arguments:
        done = kspan(*args, "--db", tmp_path / "db.sqlite")
        assert "\x1b" not in done.stdout + done.stderr, args
        assert "\u202e" not in done.stdout + done.stderr, args
        assert "second line" not in done.stdout.splitlines(), args


# Terminals and pipes


def on_a_terminal(*args: str | Path, **environment: str) -> str:
    """What the command prints on a terminal."""
    ours, theirs = pty.openpty()
    env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    env |= {"TERM": "xterm-256color", **environment}
    process = subprocess.Popen([*forked(), *map(str, args)], stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    printed = b""
    # A terminal whose other end is closed reads as an error.
    with contextlib.suppress(OSError):
        while data := os.read(ours, 65536):
            printed += data
    os.close(ours)
    assert process.wait() == 0
    return printed.decode()


@pytest.mark.parametrize("args", [("why", POD), ("traces",), ("timeline", "--errors")], ids=" ".join)
def test_colors_are_used_on_terminals_without_no_color(db: Path, args: tuple[str, ...]) -> None:
    assert "\x1b[" in on_a_terminal(*args, "--db", db)
    plain = on_a_terminal(*args, "--db", db, NO_COLOR="1")
    assert "\x1b[3" not in plain, "bold and dim stay, colours go"
    assert "\x1b" not in kspan(*args, "--db", db).stdout


@pytest.mark.parametrize(
    "args",
    [("timeline",), ("timeline", "-o", "json"), ("why", POD), ("traces", "-o", "csv"), ("traces",)],
    ids=" ".join,
)
def test_the_reader_of_a_pipe_may_exit_early(db: Path, args: tuple[str, ...]) -> None:
    command = " ".join((*forked(), *args, "--db", str(db)))
    script = f"{command} | head -c 10; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# Following


@contextlib.contextmanager
def following(*args: str | Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "kspan", "timeline", "--follow", *map(str, args)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("output", ["table", "json"])
def test_follow_prints_new_occurrences_until_ctrl_c(tmp_path: Path, output: str) -> None:
    now = time.time_ns()
    with open_store(str(tmp_path / "db.sqlite")) as store:
        commit(store, [], [make_pending("Pod.Create", start=now)])
        with following("--db", tmp_path / "db.sqlite", "-o", output) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            first = process.stdout.readline()
            commit(store, [], [make_pending("Pod.Failed", start=now + 1, error=True)])
            second = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(HANG_S) == 130
            assert (process.stdout.read(), process.stderr.read()) == ("", "")
    if output == "json":
        assert [json.loads(line)["reason"] for line in (first, second)] == ["Create", "Failed"]
    else:
        assert "Pod.Create" in first
        assert "Pod.Failed" in second


# Errors


@pytest.mark.parametrize(
    "args, expected",
    [
        (("why", "pod/web"), "Pod web is not known: did you mean deployment/web -n rolling-update?"),
        (("why", "web"), "invalid object 'web': use KIND/NAME"),
        (("why", "pod", "a", "b"), "invalid object 'pod a b'"),
        (("why", "gadget/x"), "no object of kind 'gadget' is known: use one of APIService, "),
        (("why", "depoyment/x"), "no object of kind 'depoyment' is known: did you mean deployment?"),
        (("why", "pod/q"), "others are in namespaces default, rolling-update: 'kspan timeline --kind pod' lists"),
        (("why", "pod/q", "-n", "q"), "Pod q/q is not known; others are in namespaces "),
        (("why", "rs/q"), "ReplicaSet q is not known; known: replicaset/smoke-8f864fcc8 -n default, "),
        (("why", "cj/q"), "CronJob q is not known; no other object of this kind is known"),
        (("traces", "--kind", "depoyment"), "no object of kind 'depoyment' is known: did you mean deployment?"),
        (("timeline", "--kind", "cronjbs", "-o", "csv"), "'cronjbs' is known: did you mean cronjobs"),
        (("timeline", "-f", "--kind", "widgets.example.com"), "'widgets.example.com' is known: use one of APIService,"),
        (("why", POD, "--at", "yesterday"), "--at: invalid time 'yesterday': use 2026-11-22T10:25:05Z"),
        (("why", POD, "--uid", "nope"), "no object has uid 'nope': use one of "),
        (("why", POD, "-n", "shop"), "did you mean pod/web-854b7f4f-9xzlt -n rolling-update?"),
        (("why", POD, "-o", "yaml"), "--output: invalid format 'yaml': use table or json"),
        (("why", POD, "--cluster", "other"), "unknown cluster 'other'"),
        (("traces", "--since", "soon"), "--since: invalid time 'soon'"),
        (("traces", "--status", "bad"), "--status: invalid status 'bad': use ok, error, incomplete, open or warning"),
        (("traces", "--min-duration", "long"), "--min-duration: invalid duration 'long'"),
        (("traces", "-o", "xml"), "--output: invalid format 'xml': use table, json or csv"),
        (("trace", "zz"), "invalid trace id 'zz'"),
        (("trace", "0123456789"), "no trace id starts with '0123456789'"),
        (("timeline", "--until", "25:00"), "--until: invalid time '25:00'"),
        (("timeline", "--follow", "--until", "10:00"), "--follow and --until exclude each other"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_reported_in_one_line_with_exit_code_2(db: Path, args: tuple[str, ...], expected: str) -> None:
    assert expected in refused(kspan(*args, "--db", db))


@pytest.mark.parametrize("command", ["traces", "timeline"])
def test_a_kind_of_kubectl_without_history_is_not_an_error(db: Path, command: str) -> None:
    done = kspan(command, "--kind", "cj", "-o", "csv", "--db", db)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)


def test_a_name_in_several_namespaces_is_refused_with_their_names(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "db.sqlite")) as store:
        commit(store, [make_object("Pod", "web", uid=ns, namespace=ns) for ns in ("shop", "test")])
    message = refused(kspan("why", "pod/web", "--db", tmp_path / "db.sqlite"))
    assert message == "Pod web is in 2 namespaces: choose one with -n: shop, test"


@pytest.mark.parametrize("args", [("why", "pod/x"), ("traces",), ("trace", "ab"), ("timeline",)], ids=" ".join)
def test_a_missing_or_foreign_database_is_refused(tmp_path: Path, args: tuple[str, ...]) -> None:
    missing = tmp_path / "missing.sqlite"
    assert "no such database" in refused(kspan(*args, "--db", missing))
    assert not missing.exists()
    assert f"the directory {tmp_path / 'no'} does not exist" in refused(kspan(*args, "--db", tmp_path / "no" / "db"))
    assert "invalid database URL: use sqlite:///PATH" in refused(kspan(*args, "--db", "sqlite:/db.sqlite"))
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("create table theirs (id)")
    connection.close()
    assert "not" in refused(kspan(*args, "--db", other))
    (tmp_path / "text").write_text("no database at all, only some text that is long enough")
    assert "is not an SQLite database" in refused(kspan(*args, "--db", tmp_path / "text"))


def test_a_missing_server_and_a_wrong_password_are_refused(postgres: PostgresServer) -> None:
    wrong = refused(kspan("why", "pod/x", "--db", postgres.url(TEMPLATE, tcp=True, password="wrong-one")))
    assert "password authentication failed" in wrong
    assert "wrong-one" not in wrong
    refused(kspan("why", "pod/x", "--db", postgres.url("no_such_database")))
    refused(kspan("why", "pod/x", "--db", "postgresql://kspan@127.0.0.1:1/kspan"))
    theirs = postgres.create()
    postgres.execute("CREATE TABLE theirs (id int)", theirs)
    assert "not" in refused(kspan("traces", "--db", postgres.url(theirs)))


def test_a_database_of_several_clusters_needs_the_cluster(tmp_path: Path) -> None:
    spans = [make_span("Pod.Create", start=START)]
    with open_store(str(tmp_path / "db.sqlite")) as store:
        for cluster in (CLUSTER, "other"):
            commit(store, [make_object("Pod", "web")], spans, [make_trace(spans)], cluster=cluster)
    assert "choose one with --cluster: made, other" in refused(kspan("why", "pod/web", "--db", tmp_path / "db.sqlite"))
    assert kspan("why", "pod/web", "--cluster", "other", "--db", tmp_path / "db.sqlite").returncode == 0


@pytest.mark.parametrize("command", ["why", "traces", "trace", "timeline"])
def test_the_help_has_examples(command: str) -> None:
    done = kspan(command, "--help")
    assert done.returncode == 0
    assert f"  kspan {command} " in done.stdout.partition("Examples:")[2]
