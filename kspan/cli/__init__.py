"""The command line. Light: whatever a command needs it imports when it runs, so that ``--help`` answers at once."""

import sys


def main() -> None:
    """The entry point ``kspan``: 0 done, 1 a check found something (``db verify``), 2 an error, 130 interrupted."""
    from kspan.errors import KspanError

    try:
        from kspan.cli.app import program

        program()(prog_name="kspan")
    except KspanError as error:
        from kspan.emit.text import harmless

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
        print("kspan: interrupted; what was committed is kept, run it again to go on", file=sys.stderr)
        sys.exit(130)
