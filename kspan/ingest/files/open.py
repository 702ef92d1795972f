"""Reads every input format as one stream of frames. The format is detected from the content, not from the name."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import BinaryIO

from kspan.errors import InputError, NotKubernetesError
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
from kspan.ingest.files.folder import input_files, is_folder
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

    Reads recordings (JSON Lines), capture files of the Go kspan, and what kubectl prints (``get -o json|yaml``, also
    with ``--output-watch-events``, ``cluster-info dump``), with or without gzip. Recordings and capture files are
    streamed. Of a folder (a dump, must-gather or support bundle) all files with Kubernetes objects are read; an error
    in one of them does not end the reading, because other programs put their files there, too.

    Args:
        paths: the files and folders; ``-`` is standard input.
        skip_bad: continue after an error with the next line, document or file.
        stdin: read this in the place of standard input.
        on_progress: called with the number of (compressed) bytes read since the last call.
        on_skip: called with each error that is skipped: with ``skip_bad`` all of them, else the first of each file in a
            folder. Without ``on_skip``, such an error is raised, so that it is not lost.

    Raises:
        InputError: the input is not valid, after the frames of everything before. Not with ``skip_bad``.
    """

    def report(error: InputError) -> None:
        if not skip_bad:
            raise error
        if on_skip is not None:
            on_skip(error)

    report_in_folder = report if skip_bad or on_skip is None else _FirstOfFile(on_skip)
    for path in paths:
        try:
            if is_folder(path):
                yield from _read_folder(path, report_in_folder, on_progress)
            else:
                yield from _read_path(path, report, stdin, on_progress)
        except InputError as error:
            report(error)


class _FirstOfFile:
    """Passes on the first error of each file: a log of another program may have one in each line."""

    def __init__(self, report: Callable[[InputError], None]) -> None:
        self._report = report
        self._source = ""

    def __call__(self, error: InputError) -> None:
        if error.source != self._source:
            self._source = error.source
            self._report(error)


def _read_path(
    path: str,
    report: Callable[[InputError], None],
    stdin: BinaryIO | None = None,
    on_progress: Callable[[int], None] | None = None,
    moment: int = 0,
) -> Iterator[Frame]:
    source = source_name(path)
    trailing: list[InputError] = []
    chunks = _complete(read_chunks(path, stdin, on_progress), source, trailing)
    try:
        yield from _read_file(chunks, source, report, moment)
    except BrokenInputError as error:
        raise InputError(source, 0, str(error)) from error
    for after in trailing:
        report(after)


def _read_folder(
    folder: str, report: Callable[[InputError], None], on_progress: Callable[[int], None] | None
) -> Iterator[Frame]:
    """Yield the frames of the files in a folder, all of which were printed at the same moment. What holds no Kubernetes
    objects is passed over.

    The files are read twice, so that no more than one of them is in memory.
    """
    files = input_files(folder, report)
    moment = max((_newest_in_lists(path) for path in files), default=0)

    def report_objects(error: InputError) -> None:
        if not isinstance(error, NotKubernetesError):
            report(error)

    empty = True
    for path in files:
        try:
            for frame in _read_path(path, report_objects, None, on_progress, moment):
                empty = False
                yield frame
        except InputError as error:
            report_objects(error)
    if empty:
        raise InputError(folder, 0, "has no file with Kubernetes objects (.json, .jsonl, .yaml or .yml, also .gz)")


def _newest_in_lists(path: str) -> int:
    """Return the newest time in the lists of a file (Unix ns); 0 without any."""
    newest = 0
    try:
        for frame in _read_path(path, lambda _: None):
            if frame.type is FrameType.LISTED:
                newest = max(newest, frame.received)
            elif frame.type is not FrameType.LIST:
                break  # A recording, or a watch, which has times of its own.
    except InputError:
        return newest  # It is reported when the file is read again.
    return newest


def _complete(chunks: Iterator[bytes], source: str, trailing: list[InputError]) -> Iterator[bytes]:
    """Yield the content, and put an error about other data after it into ``trailing``: the last line is complete."""
    try:
        yield from chunks
    except TrailingDataError as error:
        trailing.append(InputError(source, 0, str(error)))


def _read_file(
    chunks: Iterator[bytes], source: str, report: Callable[[InputError], None], moment: int
) -> Iterator[Frame]:
    head, chunks = peek(chunks, HEAD)
    if not head:
        next(chunks, None)  # Raises the error if reading failed before the first byte.
        raise NotKubernetesError(source, 0, "is empty")
    try:
        form = detect(head)
    except ValueError as error:
        raise NotKubernetesError(source, 0, str(error)) from error
    if form is Format.RECORDING:
        yield from read_recording(split_lines(chunks, source), source, report)
    elif form is Format.JSON:
        yield from _read_json(chunks, source, report, moment)
    else:
        yield from _read_yaml(chunks, source, report, moment)


def _read_json(
    chunks: Iterator[bytes], source: str, report: Callable[[InputError], None], moment: int
) -> Iterator[Frame]:
    from kspan.ingest.files.json_documents import read_json_documents
    from kspan.ingest.files.kubectl_output import read_snapshot

    yield from read_snapshot(read_json_documents(chunks, source, report), source, report, moment)


def _read_yaml(
    chunks: Iterator[bytes], source: str, report: Callable[[InputError], None], moment: int
) -> Iterator[Frame]:
    # Imported here, because importing PyYAML takes long and few files need it.
    from kspan.ingest.files.kspan_go_capture import is_capture, read_capture
    from kspan.ingest.files.kubectl_output import read_snapshot
    from kspan.ingest.files.yaml_documents import read_yaml_documents, split_documents

    texts = split_documents(split_lines(chunks, source), source)
    first = next(texts, None)
    if first is None:
        raise NotKubernetesError(source, 0, "contains only blank lines and comments")
    whole = chain([first], texts)
    if is_capture(first):
        yield from read_capture(whole, source, report)
    else:
        yield from read_snapshot(read_yaml_documents(whole, source, report), source, report, moment)
