"""A forked kspan does what a new one does: same streams, environment, directory, exit code."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from kspan.store import open_store
from tests.forking import forked

NEW = (sys.executable, "-m", "kspan")


@pytest.fixture
def db(tmp_path: Path) -> Path:
    path = tmp_path / "db.sqlite"
    open_store(str(path)).close()
    return path


def both(
    script: str, args: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None
) -> list[tuple[int, bytes, bytes]]:
    """What a script gives in which ``"$@"`` is the command, forked and new."""
    found = []
    for command in (forked(), NEW):
        words = ["bash", "-c", script, "bash", *command, *args]
        env = os.environ | (environment or {})
        done = subprocess.run(words, capture_output=True, check=False, cwd=cwd, env=env, input=b"SELECT 'in'")
        found.append((done.returncode, done.stdout, done.stderr))
    return found


READ = ("sql", "--db", "db.sqlite")


@pytest.mark.parametrize(
    "script, args",
    [
        ('"$@"', READ),
        ('"$@"', ("sql", "SELECT 'ä' AS \"a b\", 1 AS n", "--db", "db.sqlite")),
        ('"$@"', ("traces", "--limit", "")),
        ('"$@"', ("--no-such-option",)),
        ('"$@" > /dev/full', READ),
        ('"$@" 2> /dev/full', READ),
        ('"$@" >&-', READ),
        ('"$@" <&-', READ),
        ('cd / && "$@"', READ),
        ('cd "$(mktemp -d)" && rmdir "$PWD" && "$@"', READ),
        ('PYTHONIOENCODING=latin-1 "$@"', ("sql", "SELECT 'ä'", "--db", "db.sqlite")),
    ],
)
def test_it_prints_and_ends_as_a_new_process_does(db: Path, script: str, args: tuple[str, ...]) -> None:
    mine, theirs = both(script, args, db.parent)
    assert mine == theirs


def test_it_has_the_environment_of_its_caller_and_no_other(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forked()
    monkeypatch.setenv("KSPAN_DB", "nowhere/db.sqlite")
    mine, theirs = both('"$@"', ("traces",), db.parent)
    assert mine == theirs
    assert b"nowhere" in mine[2]
    monkeypatch.delenv("KSPAN_DB")
    mine, theirs = both('"$@"', ("traces",), db.parent, {"HOME": "/nonexistent"})
    assert mine == theirs
    assert b"/nonexistent" in mine[2]


def test_several_run_at_the_same_time_and_each_gets_its_own_exit_code(db: Path) -> None:
    waiting = subprocess.Popen([*forked(), "sql", "--db", str(db)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert subprocess.run([*forked(), "--no-such-option"], check=False, capture_output=True).returncode == 2
    assert waiting.poll() is None
    assert waiting.communicate(b"SELECT 7 AS n")[0].split() == [b"n", b"-", b"7"]
    assert waiting.returncode == 0


def test_it_ends_with_the_signal_that_ends_its_process(db: Path) -> None:
    command = [*forked(), "sql", "--db", str(db)]
    waiting = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    (server,) = _children(os.getpid(), b"tests.forking.server\0" + command[4].encode())
    while not (found := _children(server, b"")):
        pass
    os.kill(found[0], signal.SIGKILL)
    waiting.communicate()
    assert waiting.returncode == -signal.SIGKILL


def _children(parent: int, words: bytes) -> list[int]:
    pids = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in pids if words in Path(f"/proc/{pid}/cmdline").read_bytes()]
