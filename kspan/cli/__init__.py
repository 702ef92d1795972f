"""The command line. Light: whatever a command needs it imports when it runs, so that ``--help`` answers at once."""

import os
import sys
from pathlib import Path
from typing import TextIO


def main() -> None:
    """The entry point ``kspan``: 0 done, 1 a check found something (``db verify``), 2 an error, 130 interrupted."""
    from kspan.errors import KspanError

    stderr: TextIO | None = sys.stderr
    if stderr is None:
        # Started with it closed (2>&-): what is told there must neither fail nor land in the output.
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - open for as long as the program runs
    try:
        from kspan.cli.app import program

        program()(prog_name="kspan")
    except KspanError as error:
        from kspan.terminal.text import harmless

        # It may repeat what came from the cluster: names, messages.
        print(f"kspan: error: {harmless(str(error))}", file=sys.stderr)
        for note in getattr(error, "__notes__", ()):
            print(f"kspan: {note}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Without this Python complains again while it shuts down.
        sys.stdout = None
        sys.exit(0)
    except KeyboardInterrupt:
        # Before a command began; from a command on, the command line's library ends with the same code.
        sys.exit(130)
