"""Reads the output of ``kubectl get … -o json`` and ``-o yaml``: lists and objects, one or several in a file."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from kspan.errors import InputError, NotKubernetesError
from kspan.ingest.files.bytes import BrokenInputError
from kspan.ingest.files.foreign import refusal
from kspan.k8s.strict_json import DECODE_ERRORS, explain, quoted

MAX_TEXT = 512 * 1024 * 1024
"""Bytes of a file of JSON documents, which is read into memory."""


class Item(msgspec.Struct, frozen=True):
    """An object as JSON, and the line on which it starts."""

    line: int
    raw: bytes
    change: str = ""
    """The type of the watch event that carries it (``ADDED``, ``BOOKMARK`` …); empty for an object of a list."""


class NoObjectError(ValueError):
    """A document is valid, but no Kubernetes object. The text is a predicate about it."""


class Document(msgspec.Struct, frozen=True):
    """One printed document: a list. A single object is a list of one without kind, API version and version."""

    line: int
    items: list[Item]
    kind: str = ""
    api_version: str = ""
    resource_version: str = ""


class _Top(msgspec.Struct, rename="camel"):
    """The top of a document. An object that is not a list may have any value in these fields, hence the Any."""

    kind: Any = None
    api_version: Any = None
    metadata: Any = None
    items: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    type: Any = None
    object: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


WATCH_TYPES = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"})
"""The types of watch events (k8s.io/apimachinery pkg/watch/watch.go)."""

_LOGS = re.compile(rb"==== START logs for (container [^\n]{1,1000} of pod [^\n]{1,1000}) ====\r?\n")
"""The line before the logs of a container in a dump (kubectl pkg/cmd/clusterinfo/clusterinfo_dump.go)."""
_AFTER_LOGS = rb" ====\s*(?=\{\s*\n|==== START logs for|\Z)"

_decode_any = msgspec.json.Decoder(msgspec.Raw).decode
_decode_top = msgspec.json.Decoder(_Top).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw] | None).decode


def to_json(value: Any) -> bytes:
    """Encode a value of plain data. Raises ValueError if JSON cannot represent it."""
    try:
        return msgspec.json.encode(value)
    except (ValueError, RecursionError, OverflowError) as error:
        raise ValueError("has an unpaired surrogate in a string") from error


def read_json_documents(
    chunks: Iterable[bytes], source: str, report: Callable[[InputError], None]
) -> Iterator[Document]:
    """Yield the documents of a JSON file.

    A document that is not valid JSON ends the file, after a call of ``report``: its end cannot be found.
    """
    text, broken = _read_whole(chunks)
    at = counted = 0
    line = 1
    try:
        for start, end in _boundaries(text):
            line += text.count(b"\n", counted, start)
            counted = start
            try:
                documents = _from_json(text[start:end], line)
            except NoObjectError as error:
                report(NotKubernetesError(source, line, str(error)))
            except ValueError as error:
                report(InputError(source, line, str(error)))
            else:
                yield from documents
            at = end
    except _NotJsonError as error:
        if broken is None:
            report(InputError(source, error.line, str(error)))
    if broken is not None:
        raise InputError(source, 1 + text.count(b"\n"), broken)
    if at == 0 and not text.strip():
        report(InputError(source, 0, "is empty"))


def _read_whole(chunks: Iterable[bytes]) -> tuple[bytes, str | None]:
    """Return the text that can be read, and why it is incomplete (None: it is complete)."""
    seen: list[bytes] = []
    size = 0
    try:
        for chunk in chunks:
            seen.append(chunk)
            size += len(chunk)
            if size > MAX_TEXT:
                return b"", f"has more than {MAX_TEXT >> 20} MiB: run kubectl for one namespace at a time"
    except BrokenInputError as error:
        return b"".join(seen), str(error)
    return b"".join(seen), None


class _NotJsonError(Exception):
    def __init__(self, line: int, problem: str) -> None:
        self.line = line
        super().__init__(problem)


def _boundaries(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield the start and end of every document. Raises _NotJsonError at the first invalid one."""
    try:
        _decode_any(text)
    except DECODE_ERRORS:
        yield from _scan(text)
    else:
        yield 0, len(text)


def _scan(text: bytes) -> Iterator[tuple[int, int]]:
    # Slow, for files with several or invalid documents: the standard library finds the end of each document.
    # In Latin-1 each character is one byte, so positions are valid for the bytes.
    characters = text.decode("latin-1")
    decoder = json.JSONDecoder(parse_int=_keep, parse_float=_keep, parse_constant=_refuse)
    at = 0
    while True:
        at = _skip_logs(text, _skip_space(characters, at))
        if at >= len(characters):
            return
        try:
            _, end = decoder.raw_decode(characters, at)
        except json.JSONDecodeError as error:
            reason = "it ends in the middle" if error.pos >= len(text) else f"{error.msg} at column {error.colno}"
            raise _NotJsonError(error.lineno, f"is not valid JSON: {reason}") from error
        except (ValueError, RecursionError) as error:
            problem = "is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise _NotJsonError(1 + text.count(b"\n", 0, at), problem) from error
        yield at, end
        at = end


def _skip_space(characters: str, at: int) -> int:
    while characters[at : at + 1] in (" ", "\t", "\r", "\n"):
        at += 1
    return at


def _skip_logs(text: bytes, at: int) -> int:
    """Return where the document after the logs at ``at`` begins, which is ``at`` itself if no logs are there.

    A container can print any line, also the one that ends its logs: they end where a document, other logs or nothing
    follows. Raises _NotJsonError if that is nowhere.
    """
    while (start := _LOGS.match(text, at)) is not None:
        end = re.compile(rb"==== END logs for " + re.escape(start[1]) + _AFTER_LOGS).search(text, start.end())
        if end is None:
            raise _NotJsonError(1 + text.count(b"\n", 0, at), "has logs without an end (was it cut off?)")
        at = end.end()
    return at


def _keep(text: str) -> str:
    return text


def _refuse(text: str) -> str:
    raise ValueError(f"is not valid JSON: {text} is not a number")


def _from_json(raw: bytes, line: int) -> list[Document]:
    """Return the documents in a JSON text: an object, a list, a watch event, or an array of any of these."""
    try:
        if raw.lstrip()[:1] != b"[":
            return [_document(Item(line, raw.strip()))]
        items = _located(_decode_items(raw) or [], raw, line)
        found = [_document(item) if item.raw.startswith(b"{") else Document(item.line, [item]) for item in items]
    except DECODE_ERRORS as error:
        raise ValueError(explain(error, raw)) from error
    single = [item for document in found if not document.kind for item in document.items]
    return [Document(line, single), *(document for document in found if document.kind)]


def _document(item: Item) -> Document:
    top = _decode_top(item.raw)
    if top.kind is None and top.type in WATCH_TYPES and top.object is not msgspec.UNSET:
        return Document(item.line, [Item(item.line, bytes(top.object), top.type)])
    if not is_list(top.kind, top.metadata, top.items is not msgspec.UNSET):
        return Document(item.line, [item])
    assert isinstance(top.items, msgspec.Raw)
    entries = _located(_decode_items(top.items) or [], item.raw, item.line)
    return list_of(entries, item.line, top.kind, top.api_version, top.metadata)


def _located(entries: list[msgspec.Raw], text: bytes, line: int) -> list[Item]:
    items = []
    at = counted = 0
    for entry in entries:
        raw = bytes(entry)
        start = text.find(raw, at)
        line += text.count(b"\n", counted, start)
        items.append(Item(line, raw.strip()))
        at, counted = start + len(raw), start
    return items


def is_list(kind: Any, metadata: Any, has_items: bool) -> bool:
    """True if a document with this kind and metadata is a list, and not an object whose kind ends in List."""
    if not isinstance(kind, str) or not kind.endswith("List"):
        return False
    return kind == "List" or (has_items and not (isinstance(metadata, dict) and metadata.get("uid")))


def list_of(items: list[Item], line: int, kind: Any, api_version: Any, metadata: Any) -> Document:
    """Return the document of a list. Raises ValueError if its apiVersion is not a string, or not of Kubernetes."""
    if problem := refusal({"kind": kind, "apiVersion": api_version}):
        raise NoObjectError(problem)
    if api_version is not None and not isinstance(api_version, str):
        raise ValueError(f"the apiVersion of the {quoted(kind)} is not a string")
    # A list with a continue token is the first part of a list.
    whole = isinstance(metadata, dict) and not metadata.get("continue")
    version = metadata.get("resourceVersion") if whole else None
    return Document(line, items, kind, api_version or "", version if isinstance(version, str) else "")
