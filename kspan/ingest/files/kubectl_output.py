"""Turns printed objects into frames: those of a recorder that listed them all at the same moment."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from kspan.errors import InputError
from kspan.ingest.files.json_documents import Document, Item, to_json
from kspan.ingest.frames import Frame, FrameType, marker_object
from kspan.k8s.events_api import is_second_api_event, newest_time, to_core_event
from kspan.k8s.kinds import api_version_of, resource_of
from kspan.k8s.strict_json import decode_json, quoted
from kspan.k8s.wire import ObjectHead, read_head


class PrintedObject(msgspec.Struct, frozen=True):
    """An object of a printed list."""

    resource: str
    head: ObjectHead
    raw: bytes
    line: int
    time: int
    """The newest time in it (Unix ns, 0: none)."""


def read_snapshot(documents: Iterable[Document], source: str, report: Callable[[InputError], None]) -> Iterator[Frame]:
    """Yield, for each resource in the documents, a LIST frame and the LISTED frames of its objects.

    All frames have the same time of receipt: the newest time in any of the objects, so that no clock is involved. If a
    document states no resourceVersion (kubectl's never do), the LIST has an empty one: such a list may be incomplete,
    and an object that is missing from it is not deleted.

    Raises:
        InputError: the input is not valid, or ``report`` raised it; after the frames of everything before.
    """
    objects: list[PrintedObject] = []
    versions: dict[str, str] = {}
    failure: InputError | None = None
    try:
        for document in documents:
            for item in document.items:
                _add(item, document, source, report, objects, versions)
    except InputError as error:
        failure = error
    received = max((each.time for each in objects), default=0)
    if objects and not received:
        raise failure or InputError(source, objects[0].line, "no object contains a time, so the time is unknown")
    yield from _frames(objects, versions, received, source)
    if failure is not None:
        raise failure


def _add(
    item: Item,
    document: Document,
    source: str,
    report: Callable[[InputError], None],
    objects: list[PrintedObject],
    versions: dict[str, str],
) -> None:
    try:
        found = read_printed_object(item, document)
    except ValueError as error:
        report(InputError(source, item.line, str(error)))
        return
    objects.append(found)
    # The version of a list of several kinds belongs to none of their resources.
    known = document.resource_version if document.kind not in ("", "List") else ""
    versions[found.resource] = known if versions.get(found.resource, known) == known else ""


def read_printed_object(item: Item, document: Document) -> PrintedObject:
    """Return an object with its resource and head. Raises ValueError if it is not a Kubernetes object."""
    try:
        value = decode_json(item.raw)
    except ValueError as error:
        raise ValueError(f"the object {error}") from error
    if not isinstance(value, dict):
        raise ValueError("is a value, not a Kubernetes object")
    raw, value = _with_kind(item.raw, value, document)
    if value["kind"] == "Status":
        raise ValueError(f"is an error from the API server: {quoted(str(value.get('message')))}")
    if is_second_api_event(value):
        value = to_core_event(value)
        raw = to_json(value)
    resource = resource_of(value["apiVersion"], value["kind"])
    return PrintedObject(resource, read_head(resource, raw), raw, item.line, newest_time(value))


def _with_kind(raw: bytes, value: dict[str, Any], document: Document) -> tuple[bytes, dict[str, Any]]:
    """Add the kind and apiVersion, which the items of a typed list do not state."""
    of_list = document.kind.removesuffix("List")
    kind = value.get("kind") or of_list
    api_version = value.get("apiVersion") or (document.api_version if of_list else "")
    if not isinstance(kind, str) or not isinstance(api_version, str) or not kind:
        raise ValueError("is not a Kubernetes object: it has no kind")
    if value.get("kind") and value.get("apiVersion"):
        return raw, value
    api_version = api_version or api_version_of(kind)
    if not api_version:
        raise ValueError(f"the object of kind {quoted(kind)} has no apiVersion")
    whole = {**value, "kind": kind, "apiVersion": api_version}
    if "kind" in value or "apiVersion" in value or not value:
        return to_json(whole), whole
    head = b'{"kind":' + to_json(kind) + b',"apiVersion":' + to_json(api_version) + b","
    return head + raw[1:], whole


def _frames(objects: list[PrintedObject], versions: dict[str, str], received: int, source: str) -> Iterator[Frame]:
    by_resource: dict[str, list[PrintedObject]] = {}
    for each in objects:
        by_resource.setdefault(each.resource, []).append(each)
    for resource, found in by_resource.items():
        yield Frame(received, resource, FrameType.LIST, marker_object(versions[resource]), source, found[0].line)
        for each in found:
            yield Frame(received, resource, FrameType.LISTED, each.raw, source, each.line, each.head)
