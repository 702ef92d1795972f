"""``kspan db``: settings and rules come from the database; databases of other versions are refused in one line."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from kspan.graph.state.version import FOLD_VERSION
from kspan.settings import FoldSettings
from kspan.store import open_store
from kspan.times import SECOND
from tests.cli.commands.test_commands import kspan, refused
from tests.recordings import recording

RECORDING = recording("02-rolling-update")

DISABLED = """
[[rule]]
name = "controller-creates-pod"
enabled = false
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "kspan.sqlite"
    assert kspan("replay", RECORDING, "--db", path, "--export", "none").returncode == 0
    return path


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(DISABLED)
    return path


def recorded(database: Path) -> list[FoldSettings]:
    with open_store(str(database), read_only=True) as store:
        (cluster,) = store.clusters()
        return [period.inputs.settings for period in store.fold_periods(cluster)]


def pretend_version(database: Path, version: int) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE fold_history SET fold_version = ?", (version,))
        connection.commit()


def test_rebuild_records_the_settings_given_and_keeps_the_others(database: Path) -> None:
    changed = ("--hold", "2s", "--settle", "1s", "--context-annotation", "a.example/context")
    assert kspan("db", "rebuild", "--db", database, *changed).returncode == 0
    assert recorded(database) == [
        FoldSettings(
            hold=2 * SECOND,
            settle=SECOND,
            settle_after_warning=6 * SECOND,
            report_failure_after=0,
            context_annotations=("a.example/context",),
        )
    ]
    assert kspan("db", "verify", "--db", database).returncode == 0
    assert kspan("db", "rebuild", "--db", database, "--max-trace-age", "5m").returncode == 0
    (settings,) = recorded(database)
    assert (settings.hold, settings.max_trace_age) == (2 * SECOND, 300 * SECOND)
    assert kspan("db", "verify", "--db", database).returncode == 0


def test_rebuild_refuses_settings_that_contradict_the_recorded_ones(database: Path) -> None:
    assert "--max-trace-age must be longer" in refused(kspan("db", "rebuild", "--db", database, "--hold", "20m"))
    assert recorded(database) == [FoldSettings(report_failure_after=0)]


def test_verify_has_no_settings_to_forget(database: Path) -> None:
    assert "No such option: --hold" in kspan("db", "verify", "--db", database, "--hold", "2s").stderr


def test_verify_needs_the_rules_that_were_used_and_rebuild_reports_other_ones(database: Path, rules: Path) -> None:
    changed = kspan("db", "rebuild", "--db", database, "--rules", rules)
    assert "the history was made with other rules" in changed.stderr
    assert "give their file with --rules" in refused(kspan("db", "verify", "--db", database))
    assert kspan("db", "verify", "--db", database, "--rules", rules).returncode == 0
    assert kspan("db", "rebuild", "--db", database, "--rules", rules).stderr == ""


@pytest.mark.parametrize("command", [("replay", str(RECORDING), "--export", "none"), ("db", "verify")])
def test_a_history_of_a_newer_fold_is_refused(database: Path, command: tuple[str, ...]) -> None:
    pretend_version(database, FOLD_VERSION + 1)
    assert f"fold version {FOLD_VERSION + 1}, this one has {FOLD_VERSION}" in refused(kspan(*command, "--db", database))
    assert kspan("traces", "--db", database).returncode == 0, "closed traces can still be read"


def test_a_history_of_an_older_fold_is_rebuilt_by_a_replay(database: Path) -> None:
    pretend_version(database, FOLD_VERSION - 1)
    assert "another version of kspan" in refused(kspan("db", "verify", "--db", database))
    done = kspan("replay", RECORDING, "--db", database, "--export", "none")
    assert "the history was written by an older kspan: rebuilt it from" in done.stderr
    assert kspan("db", "verify", "--db", database).returncode == 0


def test_verify_of_a_pruned_journal_checks_the_traces_and_reports_what_was_not_compared(database: Path) -> None:
    with open_store(str(database)) as store:
        (cluster,) = store.clusters()
        with store.writing("prune a record", cluster) as connection:
            connection.exec_driver_sql("UPDATE fold_state SET pruned_to = 1")
    verified = kspan("db", "verify", "--db", database)
    assert (verified.returncode, verified.stdout) == (
        0,
        "The journal agrees with its checksums, and the traces agree with their spans.\n",
    )
    assert verified.stderr == (
        "kspan: retention has deleted journal records up to record 1, so the projection was not compared with the "
        "journal\n"
    )
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE traces SET end_time = 1")
        connection.commit()
    damaged = kspan("db", "verify", "--db", database)
    assert damaged.returncode == 1
    assert "does not agree with its spans in end_time" in damaged.stdout


def test_verify_reports_a_changed_journal_which_a_rebuild_does_not_repair(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("DELETE FROM journal WHERE seq = 20")
        connection.commit()
    assert kspan("db", "rebuild", "--db", database).returncode == 0
    verified = kspan("db", "verify", "--db", database)
    assert verified.returncode == 1
    missing, changed = verified.stdout.splitlines()[:2]
    assert missing == "journal 20: missing"
    assert changed.endswith("was changed in records, checksum")
    assert "the journal is not as kspan wrote it: restore a backup" in verified.stderr
