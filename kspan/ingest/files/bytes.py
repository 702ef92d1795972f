"""Reads a file or standard input as chunks or lines, and decompresses gzip.

Each stage is a generator that holds one chunk at a time. If a stage fails (damaged gzip, a failing disk), it raises
``BrokenInputError`` after everything that could be read before.
"""

import stat
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

from kspan.errors import InputError
from kspan.paths import why_unusable

CHUNK = 128 * 1024
"""Bytes that are read at once."""
PIECE = 1024 * 1024
"""Bytes that are decompressed at once: a small file can contain gigabytes of zeros."""
MAX_LINE = 64 * 1024 * 1024
"""Bytes of a line; an API server accepts objects of a few megabytes at most."""
STDIN = "-"

_GZIP = b"\x1f\x8b"
_GZIP_BITS = 31
"""The greatest window of zlib (15), and 16 for the header of gzip."""
_TRAILING = "the gzip data is followed by other data; all of it was read, use --skip-bad to ignore the rest"
_BOM = b"\xef\xbb\xbf"


class BrokenInputError(Exception):
    """The input cannot be read to its end; the text is the reason."""


class TrailingDataError(BrokenInputError):
    """The content was read to its end, but something else follows it."""


def source_name(path: str) -> str:
    """Return the name of an input in messages: the path as the user gave it, or ``<stdin>`` for ``-``."""
    return "<stdin>" if path == STDIN else path


def standard_input() -> BinaryIO:
    """Return standard input as bytes. Raises InputError if the program was started without it (``<&-``)."""
    stdin: TextIO | None = sys.stdin
    if stdin is None:
        raise InputError(source_name(STDIN), 0, "standard input is closed")
    return stdin.buffer


def total_size(paths: Sequence[str]) -> int | None:
    """Return the total size of the files in bytes; None if one is standard input, a pipe or a folder.

    A file without a readable status counts as empty: reading it will report the error.
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
        else:
            return None
    return total


def read_chunks(path: str, stdin: BinaryIO | None, on_progress: Callable[[int], None] | None) -> Iterator[bytes]:
    """Yield the content of a file (``-``: of ``stdin``) in chunks, decompressed and without a byte order mark.

    Raises:
        InputError: the file cannot be opened.
        BrokenInputError: the file cannot be read to its end.
        TrailingDataError: the content is complete, but other data follows it.
    """
    source = source_name(path)
    if path == STDIN:
        yield from _unpack(_read(stdin or standard_input(), on_progress))
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 -- closed below, when the generator ends
    except (OSError, ValueError) as error:
        raise InputError(source, 0, why_unusable(error)) from error
    with file:
        yield from _unpack(_read(file, on_progress))


def _read(file: BinaryIO, on_progress: Callable[[int], None] | None) -> Iterator[bytes]:
    # read1 returns what a pipe has; read would wait for a full chunk.
    read = getattr(file, "read1", file.read)
    while True:
        try:
            chunk = read(CHUNK)
        except (OSError, ValueError) as error:
            raise BrokenInputError(why_unusable(error)) from error
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
    """Return the first bytes (at least ``size``, or all), and an iterator over all chunks from the start.

    If reading fails within these bytes, the returned iterator raises the error at the same place.
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
    """Decompress all members, one after the other. Zeros after a member are padding, as in gzip(1)."""
    inflate = zlib.decompressobj(wbits=_GZIP_BITS)
    members = 0
    for chunk in chunks:
        data = chunk
        while data:
            if inflate.eof:
                data = data.lstrip(b"\0")
                if not data:
                    break
                if not data.startswith(_GZIP[:1]):
                    raise TrailingDataError(_TRAILING)
                members += 1
                inflate = zlib.decompressobj(wbits=_GZIP_BITS)
            try:
                yield from _inflate(inflate, data)
            except zlib.error as error:
                reason = str(error).rpartition(": ")[2]
                if members and reason == "incorrect header check":
                    raise TrailingDataError(_TRAILING) from error
                raise BrokenInputError(f"the gzip data is damaged ({reason})") from error
            data = inflate.unused_data
    if not inflate.eof:
        raise BrokenInputError("the gzip data is cut off: the file is incomplete")


def _inflate(inflate: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    """Decompress ``data`` up to the end of the member; what follows is in ``inflate.unused_data``.

    If the data is damaged, yield everything before the damage, then raise zlib.error.
    """
    full = True
    # After the end of the member, zlib leaves what follows in unconsumed_tail too, and decompresses no more.
    while not inflate.eof and (data or full):
        before = inflate.copy()
        try:
            piece = inflate.decompress(data, PIECE)
        except zlib.error:
            # zlib discards what it had decompressed of this chunk: repeat it byte by byte up to the damage.
            for at in range(len(data)):
                if piece := before.decompress(data[at : at + 1]):
                    yield piece
            raise
        data = inflate.unconsumed_tail
        full = len(piece) == PIECE
        if piece:
            yield piece


def split_lines(chunks: Iterable[bytes], source: str) -> Iterator[tuple[int, bytes]]:
    """Yield the lines without line ends, and their numbers from 1.

    Raises:
        InputError: the input cannot be read to its end (the incomplete line is dropped), or a line exceeds MAX_LINE.
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
                raise BrokenInputError(f"has a line of more than {MAX_LINE >> 20} MiB: this is not a recording")
    except BrokenInputError as error:
        raise InputError(source, number, str(error)) from error
    if length:
        yield number, b"".join(pending)
