"""``kspan serve`` as a process of its own, as a browser meets it."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LINE = re.compile(r"kspan: serving .* at (http://127\.0\.0\.1:\d+) until Ctrl-C\n")


@contextmanager
def serving(db: Path, *, now: int | None = None) -> Iterator[str]:
    """Serve a database; yields the address without a slash at its end.

    Args:
        db: the database.
        now: Unix ns at which the clock of the server stands still; None: it has the time of the machine.
    """
    module = ["kspan"] if now is None else ["tests.browser.fixed_clock", str(now)]
    command = [sys.executable, "-m", *module, "serve", "--db", str(db), "--listen", "127.0.0.1:0"]
    env = os.environ | {"KSPAN_CONFIG": os.devnull}
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, cwd=root) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            match = _LINE.fullmatch(line)
            assert match is not None, f"kspan serve: {line or 'ended without a word'}"
            # A full pipe would stop the server at its next warning.
            rest = threading.Thread(target=process.stderr.read)
            rest.start()
            try:
                yield match[1]
            finally:
                process.terminate()
                rest.join()
        finally:
            process.terminate()
