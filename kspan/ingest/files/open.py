"""Reads every input format as one stream of frames. The format is detected from the content, not from the name."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import BinaryIO

from kspan.errors import InputError
from kspan.ingest.files.bytes import (
    BrokenInputError,
    TrailingDataError,
    peek,
    read_chunks,
    source_name,
    split_lines,
    total_size,
)
from kspan.ingest.files.detect import Format, detect
from kspan.ingest.files.recording import read_recording
from kspan.ingest.frames import Frame, FrameType

__all__ = ["Frame", "FrameType", "read_frames", "total_size"]

HEAD = 64 * 1024
"""Bytes from which the format is detected."""


def read_frames(
    paths: Sequence[str],
    *,
    skip_bad: bool = False,
    stdin: BinaryIO | None = None,
    on_progress: Callable[[int], None] | None = None,
    on_skip: Callable[[InputError], None] | None = None,
) -> Iterator[Frame]:
    """Yield the frames of all files in order.

    Reads recordings (JSON Lines), capture files of the Go kspan, and the output of ``kubectl get -o json|yaml``, with
    or without gzip. Recordings and capture files are streamed.

    Args:
        paths: the files; ``-`` is standard input.
        skip_bad: continue after an error with the next line, document or file.
        stdin: read this in the place of standard input.
        on_progress: called with the number of (compressed) bytes read since the last call.
        on_skip: called with each error that is skipped.

    Raises:
        InputError: the input is not valid, after the frames of everything before. Not with ``skip_bad``.
    """

    def report(error: InputError) -> None:
        if not skip_bad:
            raise error
        if on_skip is not None:
            on_skip(error)

    for path in paths:
        source = source_name(path)
        trailing: list[InputError] = []
        try:
            yield from _read_file(_complete(read_chunks(path, stdin, on_progress), source, trailing), source, report)
            for error in trailing:
                report(error)
        except InputError as error:
            report(error)
        except BrokenInputError as error:
            report(InputError(source, 0, str(error)))


def _complete(chunks: Iterator[bytes], source: str, trailing: list[InputError]) -> Iterator[bytes]:
    """Yield the content, and put an error about other data after it into ``trailing``: the last line is complete."""
    try:
        yield from chunks
    except TrailingDataError as error:
        trailing.append(InputError(source, 0, str(error)))


def _read_file(chunks: Iterator[bytes], source: str, report: Callable[[InputError], None]) -> Iterator[Frame]:
    head, chunks = peek(chunks, HEAD)
    if not head:
        next(chunks, None)  # Raises the error if reading failed before the first byte.
        raise InputError(source, 0, "is empty")
    try:
        form = detect(head)
    except ValueError as error:
        raise InputError(source, 0, str(error)) from error
    if form is Format.RECORDING:
        yield from read_recording(split_lines(chunks, source), source, report)
    elif form is Format.JSON:
        yield from _read_json(chunks, source, report)
    else:
        yield from _read_yaml(chunks, source, report)


def _read_json(chunks: Iterator[bytes], source: str, report: Callable[[InputError], None]) -> Iterator[Frame]:
    from kspan.ingest.files.json_documents import read_json_documents
    from kspan.ingest.files.kubectl_output import read_snapshot

    yield from read_snapshot(read_json_documents(chunks, source, report), source, report)


def _read_yaml(chunks: Iterator[bytes], source: str, report: Callable[[InputError], None]) -> Iterator[Frame]:
    # Imported here, because importing PyYAML takes long and few files need it.
    from kspan.ingest.files.kspan_go_capture import is_capture, read_capture
    from kspan.ingest.files.kubectl_output import read_snapshot
    from kspan.ingest.files.yaml_documents import read_yaml_documents, split_documents

    texts = split_documents(split_lines(chunks, source), source)
    first = next(texts, None)
    if first is None:
        raise InputError(source, 0, "contains only blank lines and comments")
    whole = chain([first], texts)
    if is_capture(first):
        yield from read_capture(whole, source, report)
    else:
        yield from read_snapshot(read_yaml_documents(whole, source, report), source, report)
