"""Bytes of a file or of standard input as lines, unpacked where they are gzip'd.

A stage of the way is a generator; each holds one chunk at a time. What breaks a stage (damaged gzip, a disk that
fails) comes as ``BrokenInputError`` after everything that could be read before it.
"""

import stat
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

from kspan.errors import InputError

CHUNK = 128 * 1024
"""Bytes that are read at a time."""
PIECE = 1024 * 1024
"""Bytes that are unpacked at a time: a small file can hold gigabytes of zeros."""
MAX_LINE = 64 * 1024 * 1024
"""Bytes; the API server takes objects of some megabytes at most."""
STDIN = "-"

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


class BrokenInputError(Exception):
    """The input ends here, though not where it should; the text says why."""


def source_name(path: str) -> str:
    """What messages call an input: the path as the user gave it, ``<stdin>`` for ``-``."""
    return "<stdin>" if path == STDIN else path


def standard_input() -> BinaryIO:
    """The bytes of standard input. Raises InputError where the program was started without one (``<&-``)."""
    stdin: TextIO | None = sys.stdin
    if stdin is None:
        raise InputError(source_name(STDIN), 0, "standard input is closed")
    return stdin.buffer


def total_size(paths: Sequence[str]) -> int | None:
    """Bytes of all these files together; None where standard input, a pipe or a device is among them.

    A file that cannot be looked at counts nothing: reading it will tell why.
    """
    total = 0
    for path in paths:
        if path == STDIN:
            return None
        try:
            status = Path(path).stat()
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(status.st_mode):
            total += status.st_size
        elif not stat.S_ISDIR(status.st_mode):
            return None
    return total


def read_chunks(path: str, stdin: BinaryIO | None, on_progress: Callable[[int], None] | None) -> Iterator[bytes]:
    """The bytes of a file (``-``: of ``stdin``) in chunks, unpacked if they are gzip'd, without a byte order mark.

    Raises InputError where it cannot be opened, BrokenInputError where it cannot be read to its end.
    """
    source = source_name(path)
    if path == STDIN:
        yield from _unpack(_read(stdin or standard_input(), on_progress))
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below, when the generator ends
    except (OSError, ValueError) as error:
        raise InputError(source, 0, _why_not(error)) from error
    with file:
        yield from _unpack(_read(file, on_progress))


def _why_not(error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case IsADirectoryError():
            return "is a directory: name the files in it"
        case PermissionError():
            return "cannot be opened: no permission to read it"
        case OSError(strerror=str(text)):
            return f"cannot be read: {text}"
        case _:
            return f"cannot be read: {error}"


def _read(file: BinaryIO, on_progress: Callable[[int], None] | None) -> Iterator[bytes]:
    # read1 hands on what a pipe has; read would wait for a full chunk.
    read = getattr(file, "read1", file.read)
    while True:
        try:
            chunk = read(CHUNK)
        except (OSError, ValueError) as error:
            raise BrokenInputError(_why_not(error)) from error
        if not chunk:
            return
        if on_progress is not None:
            on_progress(len(chunk))
        yield chunk


def _unpack(chunks: Iterator[bytes]) -> Iterator[bytes]:
    head, chunks = peek(chunks, len(_BOM))
    if head.startswith(_GZIP):
        head, chunks = peek(_gunzip(chunks), len(_BOM))
    if head.startswith(_BOM):
        skip = len(_BOM)
        for chunk in chunks:
            yield chunk[skip:]
            skip = max(0, skip - len(chunk))
    else:
        yield from chunks


def peek(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """The first ``size`` bytes or more (fewer: all there is), and the chunks from the start again.

    What breaks the input within these bytes breaks the returned chunks, at its place.
    """
    seen: list[bytes] = []
    broken: BrokenInputError | None = None
    length = 0
    try:
        while length < size and (chunk := next(chunks, None)) is not None:
            seen.append(chunk)
            length += len(chunk)
    except BrokenInputError as error:
        broken = error
    return b"".join(seen), _from_the_start(seen, broken, chunks)


def _from_the_start(seen: list[bytes], broken: BrokenInputError | None, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield from seen
    if broken is not None:
        raise broken
    yield from rest


def _gunzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    inflate = zlib.decompressobj(wbits=31)
    members = 0
    for data in chunks:
        while data:
            if inflate.eof:
                # Zeros after the end are padding, as gzip(1) has it; a next member may follow.
                data = data.lstrip(b"\0")
                if not data:
                    break
                members += 1
                inflate = zlib.decompressobj(wbits=31)
            try:
                yield from _inflate(inflate, data)
            except zlib.error as error:
                what = "something that is not gzip follows the gzip data" if members else "the gzip data is damaged"
                raise BrokenInputError(f"{what} ({_reason(error)})") from error
            data = inflate.unused_data
    if not inflate.eof:
        raise BrokenInputError("the gzip data is cut off: the file is not complete")


def _inflate(inflate: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    """Unpack ``data``; where it is damaged, what comes before the damage, then zlib.error."""
    full = True
    while data or (full and not inflate.eof):
        before = inflate.copy()
        try:
            piece = inflate.decompress(data, PIECE)
        except zlib.error:
            # zlib drops what it had unpacked of this chunk: go up to the damage again, byte by byte.
            for at in range(len(data)):
                if piece := before.decompress(data[at : at + 1]):
                    yield piece
            raise
        data = inflate.unconsumed_tail
        full = len(piece) == PIECE
        if piece:
            yield piece


def _reason(error: zlib.error) -> str:
    return str(error).rpartition(": ")[2]


def split_lines(chunks: Iterable[bytes], source: str) -> Iterator[tuple[int, bytes]]:
    """The lines, without their ends, and their numbers from 1.

    Raises InputError where the input breaks (with the line in which it does; its part of that line is dropped), or
    where a line is longer than MAX_LINE.
    """
    number = 1
    pending: list[bytes] = []
    length = 0
    try:
        for chunk in chunks:
            first, *others = chunk.split(b"\n")
            pending.append(first)
            length += len(first)
            for piece in others:
                yield number, b"".join(pending)
                number += 1
                pending, length = [piece], len(piece)
            if length > MAX_LINE:
                raise BrokenInputError(f"a line of more than {MAX_LINE >> 20} MiB: this is no recording")
    except BrokenInputError as error:
        raise InputError(source, number, str(error)) from error
    if length:
        yield number, b"".join(pending)
