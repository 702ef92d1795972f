"""Printed objects as frames: what a recorder would have seen that listed them all at one moment."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from kspan.errors import InputError
from kspan.ingest.files.json_documents import Document, Item, to_json
from kspan.ingest.frames import Frame, FrameType, check_object
from kspan.k8s.events_api import is_new_event, newest_time, to_core_event
from kspan.k8s.kinds import resource_of
from kspan.k8s.strict_json import decode_json, shown


class Listed(msgspec.Struct, frozen=True):
    """An object with what had to be found out about it. ``time``: Unix ns of the newest time in it (0: none)."""

    resource: str
    raw: bytes
    line: int
    time: int


def read_snapshot(documents: Iterable[Document], source: str, report: Callable[[InputError], None]) -> Iterator[Frame]:
    """For each resource a LIST frame and the LISTED frames of its objects, over all the documents of one input.

    All have the same time of receipt: the newest time in any of the objects, so that no clock has a say in it. Where
    the documents do not tell (kubectl's never do), the LIST's resourceVersion is empty: such a list need not be
    complete, and what is not in it is not gone. Raises InputError, after the frames of what came before, for what
    ends the input or what ``report`` raises.
    """
    listed: list[Listed] = []
    versions: dict[str, str] = {}
    failure: InputError | None = None
    try:
        for document in documents:
            for item in document.items:
                _take(item, document, source, report, listed, versions)
    except InputError as error:
        failure = error
    received = max((entry.time for entry in listed), default=0)
    if listed and not received:
        raise failure or InputError(source, listed[0].line, "no object has a time in it: nothing tells when this was")
    yield from _frames(listed, versions, received, source)
    if failure is not None:
        raise failure


def _take(
    item: Item,
    document: Document,
    source: str,
    report: Callable[[InputError], None],
    listed: list[Listed],
    versions: dict[str, str],
) -> None:
    try:
        entry = to_listed(item, document)
    except ValueError as error:
        report(InputError(source, item.line, str(error)))
        return
    listed.append(entry)
    # A mixed list's version is no resource's own.
    known = document.resource_version if document.kind not in ("", "List") else ""
    versions[entry.resource] = known if versions.get(entry.resource, known) == known else ""


def to_listed(item: Item, document: Document) -> Listed:
    """Look into one object. Raises ValueError where it is none."""
    try:
        value = decode_json(item.raw)
    except ValueError as error:
        raise ValueError(f"the object {error}") from error
    if not isinstance(value, dict):
        raise ValueError("is a value, not a Kubernetes object")
    raw, value = _complete(item.raw, value, document)
    if value["kind"] == "Status":
        raise ValueError(f"is an error that the API server answered with: {shown(str(value.get('message')))}")
    if is_new_event(value):
        value = to_core_event(value)
        raw = to_json(value)
    check_object(raw)
    return Listed(resource_of(value["apiVersion"], value["kind"]), raw, item.line, newest_time(value))


def _complete(raw: bytes, value: dict[str, Any], document: Document) -> tuple[bytes, dict[str, Any]]:
    """The object with its kind and apiVersion, which the items of a typed list leave to the list."""
    of_list = document.kind.removesuffix("List")
    kind = value.get("kind") or of_list
    api_version = value.get("apiVersion") or (document.api_version if of_list else "")
    if not isinstance(kind, str) or not isinstance(api_version, str) or not kind:
        raise ValueError("is no Kubernetes object: it has no kind")
    if not api_version:
        api_version = resource_of("", kind).rpartition("/")[0]
    if value.get("kind") and value.get("apiVersion"):
        return raw, value
    whole = {**value, "kind": kind, "apiVersion": api_version}
    if "kind" in value or "apiVersion" in value or not value:
        return to_json(whole), whole
    head = b'{"kind":' + to_json(kind) + b',"apiVersion":' + to_json(api_version) + b","
    return head + raw[1:], whole


def _frames(listed: list[Listed], versions: dict[str, str], received: int, source: str) -> Iterator[Frame]:
    by_resource: dict[str, list[Listed]] = {}
    for entry in listed:
        by_resource.setdefault(entry.resource, []).append(entry)
    for resource, entries in by_resource.items():
        head = msgspec.json.encode({"metadata": {"resourceVersion": versions[resource]}})
        yield Frame(received, resource, FrameType.LIST, head, source, entries[0].line)
        for entry in entries:
            yield Frame(received, resource, FrameType.LISTED, entry.raw, source, entry.line)
