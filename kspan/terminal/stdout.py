"""Standard output: characters that its encoding lacks, and a reader that went away."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO


def silence_stdout() -> None:
    """Let nothing more be written: the reader of the pipe went away."""
    # What is still in the buffer is flushed at the end of the process, which would complain once more.
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


@contextlib.contextmanager
def printable(stream: TextIO) -> Iterator[None]:
    """Within the block, whatever the stream's encoding lacks is written as an escape."""
    # A terminal that is not UTF-8 shows what it lacks as \u2026, instead of ending the program.
    if not hasattr(stream, "reconfigure"):
        yield
        return
    before = stream.errors
    stream.reconfigure(errors="backslashreplace")
    yield
    stream.reconfigure(errors=before)
