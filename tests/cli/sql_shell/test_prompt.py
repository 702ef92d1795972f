"""The prompt of ``kspan sql``, driven through a real pseudo-terminal."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from kspan.cli.sql_shell.completion import SqlCompleter
from kspan.query.sql.catalog import catalog
from tests.cli.commands.test_commands import kspan
from tests.limits import HANG_S
from tests.recordings import recording

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[=>])")
PROMPT = "kspan>"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompt") / "db.sqlite"
    assert kspan("replay", recording("02-rolling-update"), "--db", path, "--export", "none").returncode == 0
    return path


class Terminal:
    """A terminal of 120 by 40 cells with ``kspan sql`` in it."""

    def __init__(self, db: Path, home: Path) -> None:
        self._main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        environment = {**os.environ, "TERM": "xterm", "XDG_STATE_HOME": str(home), "PROMPT_TOOLKIT_NO_CPR": "1"}
        environment.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kspan", "sql", "--db", str(db)],
            stdin=side, stdout=side, stderr=side, env=environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - Ctrl-C needs a terminal of its own
        )  # fmt: skip
        os.close(side)
        self._unread = ""

    def type(self, keys: str) -> None:
        os.write(self._main, keys.encode())

    def read_until(self, wanted: str, seconds: float = HANG_S) -> str:
        """What is shown after what was read before, up to ``wanted``."""
        shown, deadline = self._unread, time.monotonic() + seconds
        while wanted not in shown:
            assert time.monotonic() < deadline, f"{wanted!r} was not shown, but: {shown!r}"
            if select.select([self._main], [], [], 0.2)[0]:
                try:
                    shown += _ESCAPES.sub("", os.read(self._main, 65536).decode(errors="replace"))
                except OSError:  # Linux: the other side was closed
                    assert wanted in shown, shown
        read, found, self._unread = shown.partition(wanted)
        return read + found

    def wait_until_it_works(self, seconds: float = HANG_S) -> None:
        """Until the prompt gave the terminal back: then Ctrl-C is a signal, and no key."""
        deadline = time.monotonic() + seconds
        while not termios.tcgetattr(self._main)[3] & termios.ICANON:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(HANG_S)
        os.close(self._main)


@pytest.fixture
def terminal(db: Path, tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(db, tmp_path)
    opened.read_until(PROMPT)
    yield opened
    opened.close()


def test_a_conversation(terminal: Terminal, tmp_path: Path) -> None:
    # Over several lines, up to the semicolon.
    terminal.type("SELECT name, changed_to\r")
    terminal.read_until("...>")
    terminal.type("FROM rollouts ORDER BY start_time;\r")
    shown = terminal.read_until("3 rows")
    assert "registry.example.com/shop/web:v2" in shown
    terminal.read_until(PROMPT)
    # Commands of psql and of sqlite3.
    terminal.type("\\d ancestry\r")
    assert "steps from span to ancestor" in terminal.read_until("5 columns")
    terminal.read_until(PROMPT)
    terminal.type(".tables\r")
    assert "image_pulls" in terminal.read_until("tables\r\n")
    terminal.read_until(PROMPT)
    terminal.type("\\x\r")
    terminal.read_until(PROMPT)
    terminal.type("SELECT name, namespace FROM rollouts LIMIT 1;\r")
    assert re.search(r"-- 1\s+name +web\s+namespace +rolling-update", terminal.read_until("1 row"))
    terminal.read_until(PROMPT)
    terminal.type("\\set pod web-0\r")
    terminal.read_until(PROMPT)
    terminal.type("SELECT 'is ' || :pod AS it;\r")
    terminal.read_until("is web-0")
    terminal.read_until(PROMPT)
    # An error is printed, and the next statement runs.
    terminal.type("DELETE FROM spans;\r")
    terminal.read_until("error: only reading is allowed")
    terminal.read_until(PROMPT)
    terminal.type("\\nonsense\r")
    terminal.read_until("error: unknown command \\nonsense")
    terminal.read_until(PROMPT)
    # Ctrl-C stops a statement, and nothing else. Before the prompt is quite closed it still belongs to the prompt.
    shown = ""
    while "stopped" not in shown:
        terminal.type("WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c;\r")
        terminal.read_until("FROM c;")
        terminal.wait_until_it_works()
        terminal.type("\x03")
        shown = terminal.read_until(PROMPT)
    # Ctrl-D leaves; the history stays.
    terminal.type("\x04")
    assert terminal.process.wait(HANG_S) == 0
    assert "FROM rollouts ORDER BY start_time;" in (tmp_path / "kspan" / "sql_history").read_text()


def test_tab_completes_and_backslash_q_leaves(terminal: Terminal) -> None:
    terminal.type("SELECT DISTINCT who FROM rollo")
    terminal.read_until("rollouts")  # the menu
    terminal.type("\t;\r")
    assert "kubectl" in terminal.read_until("1 row")
    terminal.read_until(PROMPT)
    terminal.type("\\q\r")
    assert terminal.process.wait(HANG_S) == 0


def completions(text: str) -> list[str]:
    completer = SqlCompleter(catalog("sqlite"))
    found = completer.get_completions(Document(text), CompleteEvent(completion_requested=True))
    return [completion.text for completion in found]


@pytest.mark.parametrize(
    "text, first, absent",
    [
        ("SELECT * FROM ro", ["rollouts"], "root_span_id"),
        ("SELECT * FROM spans JOIN tr", ["traces"], "trace_id"),
        ("SELECT o.mana", [], "manager"),
        ("SELECT * FROM occurrences o WHERE o.mana", ["manager"], "SELECT"),
        ("SELECT count(o.mana", [], "manager"),
        ("SELECT ob FROM rollouts", ["object_uid"], "nothing"),
        ("SELECT * FROM rollouts WHERE out", ["outcome"], "ORDER"),
        ("sel", ["select"], "SELECT"),
        ("SEL", ["SELECT"], "select"),
        ("SELECT * FROM rollouts WHERE start_time > :s", [":since"], "seconds"),
        ("\\d fa", ["failures"], "SELECT"),
        ("SELECT * FROM failures ", ["cluster"], "nothing"),
    ],
)
def test_completions_fit_the_statement(text: str, first: list[str], absent: str) -> None:
    document = text.partition(" FROM rollouts")[0] if text.startswith("SELECT ob") else text
    found = completions(document)
    assert first == [] or first[0] in found
    assert absent not in found
