"""``kspan`` as a process that is forked from one which has imported kspan: it starts in 20 ms, not in half a second.

``forked()`` is what a test starts in the place of ``python -m kspan``: a small program (``client.py``) that hands its
arguments, environment, working directory and standard streams to a server (``server.py``). The server forks, and the
child calls kspan's ``main`` with them; the program ends as the child does. So it is a process of its own on the same
streams, and only the start of the interpreter differs. Where that matters, the program becomes ``python -m kspan``: if
a standard stream is closed, or a variable is set that Python or the C library reads at its start.

Not for processes that get signals, or that are compared with each other: all have the hash seed of the server.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

_CLIENT = Path(__file__).with_name("client.py")


def forked(*launcher: str) -> tuple[str, ...]:
    """Return the beginning of a command line, to which the arguments of ``kspan`` are added.

    Args:
        launcher: a command that starts the server, and can take rights from it and from all processes that it forks.
    """
    return (sys.executable, "-I", "-S", str(_CLIENT), _server(*launcher))


STARTING = ("PYTHON", "LC_", "LANG")
"""The beginnings of the names of variables that are read when an interpreter starts."""


def starting() -> dict[str, str]:
    """Return the variables of this process that are read when an interpreter starts."""
    return {name: value for name, value in os.environ.items() if name.startswith(STARTING)}


@cache
def _server(*launcher: str) -> str:
    """Start a server of this process, which ends with it; return the path of its socket."""
    # Not pytest's folder: a socket's path has at most 107 characters.
    folder = tempfile.mkdtemp(prefix="kspan-fork-")
    path = f"{folder}/socket"
    command = [*launcher, sys.executable, "-m", "tests.forking.server", path]
    root = Path(__file__).parents[2]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root)

    def end() -> None:
        server.communicate()
        shutil.rmtree(folder)

    atexit.register(end)
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    return path
