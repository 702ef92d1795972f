"""Standard output and standard error: full disks, closed streams, readers that have exited, and other encodings."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from kspan.errors import OutputError
from kspan.paths import why_unusable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Output(io.FileIO):
    """Raises OutputError if it cannot be written, and BrokenPipeError if the reader has exited."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError as error:
            # Without an errno: Typer would end the program with exit code 1 before it could end properly.
            raise BrokenPipeError("the reader of standard output has exited") from error
        except OSError as error:
            problem = "it is closed" if error.errno == errno.EBADF else why_unusable(error)
            raise OutputError(f"standard output cannot be written: {problem}") from error


class _Messages(io.FileIO):
    """Drops what cannot be written: a message about a problem must not be another problem."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def guard_standard_streams() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams that handle errors, also those that are closed (``>&-``)."""
    # Not what somebody else put in their place, such as a test.
    if sys.stdout is sys.__stdout__:
        sys.stdout = _guarded(sys.stdout, _Output)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _guarded(sys.stderr, _Messages)


def _guarded(stream: TextIO | None, kind: type[io.FileIO]) -> TextIO:
    if stream is None:
        # A descriptor that cannot be written, and that keeps its number from the next file that is opened.
        descriptor = os.open(os.devnull, os.O_RDONLY)
        return io.TextIOWrapper(io.BufferedWriter(kind(descriptor, "w")), "utf-8", "backslashreplace")
    raw = kind(stream.fileno(), "w", closefd=False)
    # With PYTHONUNBUFFERED, Python uses the raw stream.
    unbuffered = isinstance(stream.buffer, io.RawIOBase)
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        stream.encoding,
        stream.errors,
        line_buffering=bool(stream.line_buffering),
        write_through=unbuffered,
    )


def silence_stdout() -> None:
    """Discard all further output, after the reader of the pipe has exited or the output could not be written."""
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
