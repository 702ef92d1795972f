"""``kspan rules`` as a user meets it."""

import json
from pathlib import Path

from tests.cli.commands.test_commands import ROLLING_UPDATE, kspan, refused

GOOD = """
[[rule]]
name = "widget-creates-deployment"
component = "widget-controller"
reason = "Created"
message = 'created Deployment (?P<name>\\S+)'
subject = "Deployment"
means = "creates"

[[rule]]
name = "controller-creates-pod"
enabled = false
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text)
    return path


def test_a_valid_file_is_summarized_in_one_line(tmp_path: Path) -> None:
    done = kspan("rules", "check", written(tmp_path, GOOD))
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert "1 added, 0 overridden, 1 disabled" in done.stdout
    assert done.stderr == ""


def test_each_mistake_is_reported_with_file_and_line_and_exit_code_2(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD.replace("means", "mean").replace("enabled = false", "enabled = 0"))
    done = kspan("rules", "check", path)
    assert done.returncode == 2
    assert f"{path}:8: unknown key 'mean': did you mean means?" in done.stdout.splitlines()
    assert f"{path}:12: enabled must be true or false, not a number" in done.stdout.splitlines()
    assert all(line.startswith(f"{path}:") for line in done.stdout.splitlines())
    assert refused(done).startswith(f"{path}: ")


def test_rules_can_be_read_from_standard_input() -> None:
    assert "<stdin>: ok" in kspan("rules", "check", "-", stdin=GOOD.encode()).stdout
    assert "<stdin>:1: " in kspan("rules", "check", "-", stdin=b"x = ").stdout


def test_a_missing_file_or_one_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    assert "no such file" in refused(kspan("rules", "check", path))
    path.write_bytes(b"# fine\nx = '\xff'\n")
    assert refused(kspan("rules", "check", path)) == f"{path}:2: not UTF-8 text"


def test_the_list_shows_the_rules_of_the_file_first(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    head, _, *rows = kspan("rules", "list", "--rules", path).stdout.splitlines()
    assert head.split() == ["name", "component", "kind", "reason", "means", "subject", "from"]
    assert rows[0].split()[0] == "widget-creates-deployment"
    assert rows[0].rstrip().endswith(str(path))
    assert not any(row.startswith("controller-creates-pod ") for row in rows)
    found = json.loads(kspan("rules", "list", "-o", "json").stdout)
    assert len(found) == len(rows)
    assert found[0]["name"] == "deployment-scales-replicaset"
    assert found[1]["kind"] == ["ReplicaSet", "ReplicationController", "DaemonSet", "Job"]
    assert {rule["from"] for rule in found} == {"built-in"}


def test_replay_uses_a_rules_file_before_the_built_in_rules(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    changed = kspan("replay", ROLLING_UPDATE, "--db", "sqlite://", "--rules", path)
    plain = kspan("replay", ROLLING_UPDATE, "--db", "sqlite://")
    assert changed.returncode == plain.returncode == 0
    # The Pods hang under the ReplicaSets' Events no more, but the ReplicaSets still hang under the Deployment's.
    assert changed.stdout != plain.stdout
    assert "ReplicaSet.Update" in changed.stdout


def test_replay_refuses_an_invalid_rules_file_before_it_reads_input(tmp_path: Path) -> None:
    path = written(tmp_path, "[[rule]]\nname = 'x'\n")
    done = kspan("replay", tmp_path / "nothing.jsonl", "--db", tmp_path / "db.sqlite", "--rules", path)
    assert refused(done).startswith(f"{path}:1: ")
    assert not (tmp_path / "db.sqlite").exists()


def test_replay_reports_once_that_the_history_was_made_with_other_rules(tmp_path: Path) -> None:
    path, db = written(tmp_path, GOOD), tmp_path / "db.sqlite"
    note = "the history was made with other settings (rules)"
    assert note not in kspan("replay", ROLLING_UPDATE, "--db", db, "--export", "none").stderr
    assert note in kspan("replay", ROLLING_UPDATE, "--db", db, "--export", "none", "--rules", path).stderr
    assert kspan("db", "verify", "--db", db).returncode == 0
    assert kspan("db", "verify", "--db", db, "--rules", path).returncode == 0
    assert kspan("db", "rebuild", "--db", db, "--rules", path).returncode == 0
    assert kspan("db", "verify", "--db", db, "--rules", path).returncode == 0
    assert "give their file with --rules" in refused(kspan("db", "verify", "--db", db))
    assert note not in kspan("replay", ROLLING_UPDATE, "--db", db, "--export", "none", "--rules", path).stderr


def context_of(value: str, key: str) -> bytes:
    metadata = {"uid": "1", "name": "a", "namespace": "b", "resourceVersion": "7", "annotations": {key: value}}
    line = {"received": "2026-11-22T10:25:03Z", "resource": "apps/v1/deployments", "type": "ADDED"}
    return json.dumps(
        {**line, "object": {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": metadata}}
    ).encode()


def test_replay_counts_invalid_trace_contexts() -> None:
    bad = context_of("hello", "tracing.k8s.io/traceparent")
    assert "1 invalid trace context ignored" in kspan("replay", "-", "--db", "sqlite://", stdin=bad).stderr


def test_the_annotations_with_a_trace_context_can_be_chosen(tmp_path: Path) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    good = context_of(f"00-{trace}-b7ad6b7169203331-01", "ci.example.com/trace")
    out = tmp_path / "spans.jsonl"
    for keys, there in (
        ((), False),
        (("--context-annotation", "x", "--context-annotation", "ci.example.com/trace"), True),
    ):
        out.unlink(missing_ok=True)
        done = kspan("replay", "-", "--db", "sqlite://", "--export", f"file:{out}", *keys, stdin=good)
        assert done.returncode == 0
        assert (trace in out.read_text()) == there
