"""The command line. Commands import their libraries when they run, so that ``--help`` is fast."""

import os
import sys
from pathlib import Path
from typing import TextIO


def main() -> None:
    """Run ``kspan``. Exit code: 0 success, 1 a check failed (``db verify``), 2 an error, 130 interrupted."""
    from kspan.errors import KspanError

    stderr: TextIO | None = sys.stderr
    if stderr is None:
        # Started with standard error closed (2>&-): messages must neither fail nor end up in another file.
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - open for as long as the program runs
    try:
        from kspan.cli.app import program

        program()(prog_name="kspan")
    except KspanError as error:
        from kspan.terminal.text import harmless

        # The message may contain names and messages from the cluster.
        print(f"kspan: error: {harmless(str(error))}", file=sys.stderr)
        for note in getattr(error, "__notes__", ()):
            print(f"kspan: {note}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # The reader of the pipe (head, less) has exited. Otherwise Python reports the error again at exit.
        sys.stdout = None
        sys.exit(0)
    except KeyboardInterrupt:
        # Before a command started; within a command Typer exits with the same code.
        sys.exit(130)
