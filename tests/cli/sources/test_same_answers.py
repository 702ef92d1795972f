"""`--remote` prints byte for byte what the command prints of the database."""

from pathlib import Path

import pytest

from kspan.store import open_store
from tests.cli.sources.commands import Remote, Terminal, remote

POD = "pod/web-854b7f4f-9xzlt"
WEB = ("deploy/web", "-n", "rolling-update")

COMMANDS = [
    ("why", POD),
    ("why", POD, "-n", "rolling-update", "-o", "json"),
    ("why", *WEB, "--at", "2026-11-22T10:25:20Z", "--time-zone", "Asia/Kolkata"),
    ("why", "pod/nothing"),
    ("why", "widgets/nothing"),
    ("traces",),
    ("traces", "--limit", "2", "-o", "json"),
    ("traces", "--limit", "0", "-o", "csv"),
    ("traces", "--since", "2026-11-22T10:25:05.000000001Z", "--until", "2026-11-22T10:25:30Z", "--no-headers"),
    ("traces", "--kind", "deploy", "--name", "web", "--actor", "kubectl", "--status", "ok", "--min-duration", "1.3s"),
    ("traces", "--status", "error"),
    ("traces", "--kind", "gizmo"),
    ("trace", "e32771ad6a57"),
    ("trace", "e32771ad6a57", "-o", "json"),
    ("trace", "e32771ad6a57", "-o", "otlp"),
    ("trace", "ffff"),
    ("timeline",),
    ("timeline", "--limit", "7", "-o", "json"),
    ("timeline", "--kind", "po", "-n", "rolling-update", "--since", "2026-11-22T10:25:05Z", "-o", "csv"),
    ("timeline", "--errors", "--limit", "3"),
    ("timeline", "--name", "nothing"),
    ("show", *WEB),
    ("show", *WEB, "--at", "2026-11-22 10:25:04", "--show-managed-fields", "-o", "json"),
    ("show", POD),
    ("diff", *WEB),
    ("diff", *WEB, "-o", "json"),
    ("diff", *WEB, "--from", "2026-11-22T10:25:04Z", "--to", "2026-11-22T10:25:30Z", "--show-status"),
    ("diff", *WEB, "--from", "2026-11-22T10:25:30Z", "--to", "2026-11-22T10:25:30Z"),
    ("diff", "node/node-a"),
    ("rollouts",),
    ("rollouts", "--limit", "1", "-o", "json"),
    ("rollouts", "-n", "rolling-update", "--since", "2026-11-22T10:25:04Z", "-o", "csv", "--no-headers"),
    ("rollouts", "-n", "nowhere"),
    ("sql", "SELECT at, name, change, seconds, outcome FROM rollouts WHERE cluster = :cluster ORDER BY at"),
    ("sql", "SELECT * FROM spans WHERE cluster = :cluster ORDER BY start_time, span_id", "--limit", "3", "-o", "json"),
    ("sql", "SELECT * FROM spans WHERE cluster = :cluster ORDER BY start_time, span_id", "-o", "csv"),
    ("sql", "SELECT 1.0 AS a, 1e300*1e10 AS b, x'00ff' AS c, NULL AS d, 'ä' AS e, 2.5 AS e", "-o", "jsonl"),
    ("sql", "SELECT :x + 1", "-p", "x=41", "-o", "record"),
    ("sql", "SELECT :y"),
    ("sql", "SELECT nothing FROM spans"),
    ("sql", "DELETE FROM spans"),
    ("sql", "--schema"),
    ("sql", "--schema", "rollouts"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_prints_the_same(daemon: Remote, terminal: Terminal, command: tuple[str, ...]) -> None:
    local = terminal.run(*command, *daemon.local)
    assert terminal.run(*command, *daemon.flags) == local
    assert daemon.api.backends.received


@pytest.mark.parametrize("cluster", ["03-crashloop", "07-job-cronjob", "configured", "evictions", "jobs"])
def test_the_lists_and_why_of_other_histories_are_the_same(
    history: str, tmp_path: Path, terminal: Terminal, cluster: str
) -> None:
    with open_store(history, read_only=True) as store, remote(store, history, cluster, tmp_path) as found:
        with store.reading("look") as connection:
            rows = connection.exec_driver_sql(
                "SELECT kind, name, uid FROM objects WHERE cluster = ? AND kind IN ('Pod', 'Job') LIMIT 8",
                (cluster,),
            ).all()
        commands: list[tuple[str, ...]] = [("traces", "--limit", "0"), ("timeline",), ("rollouts",)]
        commands += [("why", f"{kind}/{name}", "--uid", uid) for kind, name, uid in rows]
        for command in commands:
            assert terminal.run(*command, *found.flags) == terminal.run(*command, *found.local)
