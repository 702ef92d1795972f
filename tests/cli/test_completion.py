"""Completion in a shell offers what the database has, and is silent if it cannot be read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forking import forked
from tests.recordings import recording


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "db.sqlite"
    arguments = ("replay", str(recording("02-rolling-update")), "--db", str(path), "--export", "none")
    subprocess.run([sys.executable, "-m", "kspan", *arguments], check=True, capture_output=True)
    return path


def offered(*words: str | Path) -> list[str]:
    """What bash is offered for the last word."""
    line = ["kspan", *map(str, words)]
    environment = {
        **os.environ,
        "_KSPAN_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(line),
        "COMP_CWORD": str(len(line) - 1),
    }
    done = subprocess.run(forked(), check=False, capture_output=True, text=True, env=environment)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    "words, expected",
    [
        (("traces", "--status", ""), ["ok", "error", "incomplete", "open", "warning"]),
        (("why", "-o", "j"), ["json"]),
        (("traces", "--kind", "depl"), ["deployment"]),
        (("traces", "--kind", "deploy", "--name", "w"), ["web"]),
        (("why", "deploym"), ["deployment/"]),
        (("why", "rs/web-f"), ["rs/web-f7b9868c4"]),
        (("timeline", "-n", "roll"), ["rolling-update"]),
    ],
)
def test_words_are_completed(db: Path, words: tuple[str, ...], expected: list[str]) -> None:
    command, *rest = words
    assert offered(command, "--db", db, *rest) == expected


def test_a_trace_id_is_completed(db: Path) -> None:
    found = offered("trace", "--db", db, "")
    assert len(found) > 3
    assert offered("trace", "--db", db, found[0][:10]) == [found[0]]


def test_a_cluster_is_completed_by_its_name_or_else_its_uid(tmp_path: Path) -> None:
    path = tmp_path / "db.sqlite"
    for more in (("--cluster", "uid-1", "--cluster-name", "prod"), ("--cluster", "uid-2")):
        arguments = ("replay", str(recording("03-crashloop")), "--db", str(path), "--export", "none", *more)
        subprocess.run([sys.executable, "-m", "kspan", *arguments], check=True, capture_output=True)
    assert offered("traces", "--db", path, "--cluster", "") == ["prod", "uid-2"]
    assert offered("traces", "--db", path, "--cluster", "p") == ["prod"]
    assert offered("trace", "--db", path, "--cluster", "prod", "") != [], "and the name chooses it"


def test_a_remote_before_a_command_that_asks_no_daemon_does_not_disturb_completion() -> None:
    assert "--db" in offered("--remote", "db", "stats", "--")


def test_a_database_that_cannot_be_read_offers_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken.sqlite").write_text("nothing")
    for name in ("missing.sqlite", "broken.sqlite"):
        assert offered("why", "--db", tmp_path / name, "deploym") == []
