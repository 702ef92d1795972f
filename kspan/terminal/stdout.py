"""Standard output with characters outside its encoding, and with a reader that has exited."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO


def silence_stdout() -> None:
    """Discard all further output, after the reader of the pipe has exited."""
    # Python flushes the buffer at exit, which would raise the error again.
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a file descriptor is needed
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


@contextlib.contextmanager
def printable(stream: TextIO) -> Iterator[None]:
    """Within the block, write characters outside the encoding of the stream as escapes."""
    # Otherwise a terminal without UTF-8 ends the program with an error.
    if not hasattr(stream, "reconfigure"):
        yield
        return
    before = stream.errors
    stream.reconfigure(errors="backslashreplace")
    yield
    stream.reconfigure(errors=before)
