"""Turns printed objects into frames: those of a recorder that listed them all at the same moment."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePath
from typing import Any

from msgspec.structs import replace

from kspan.errors import InputError, NotKubernetesError
from kspan.ingest.files.foreign import refusal
from kspan.ingest.files.json_documents import Document, Item, NoObjectError, to_json
from kspan.ingest.files.watch_events import PrintedObject, frames_of_changes, initial_state
from kspan.ingest.frames import Frame, FrameType, marker_object
from kspan.k8s.events_api import creation_time, is_second_api_event, newest_time, to_core_event
from kspan.k8s.kinds import api_version_of, kind_of_plural, resource_of
from kspan.k8s.strict_json import decode_json, quoted
from kspan.k8s.wire import NoUidError, read_head


def read_snapshot(
    documents: Iterable[Document], source: str, report: Callable[[InputError], None], moment: int = 0
) -> Iterator[Frame]:
    """Yield, for each resource in the documents, a LIST frame and the LISTED frames of its objects, then the frames of
    the watch events in them.

    All lists have the same time of receipt: the newest time in any of the objects, so that no clock is involved. If a
    document states no resourceVersion (kubectl's never do), the LIST has an empty one: such a list may be incomplete,
    and an object that is missing from it is not deleted. Nor is it if all items are in one namespace: the list may be
    of that namespace only, as in a dump.

    Args:
        documents: lists, objects and watch events.
        source: the name of the input.
        report: takes the error of an invalid object; it raises it to stop, or returns to continue.
        moment: Unix ns; the time of receipt of the lists of a folder, none of which is of the whole cluster (0: none).

    Raises:
        InputError: the input is not valid, or ``report`` raised it; after the frames of everything before.
    """
    printed = _Printed(source, report)
    failure: InputError | None = None
    try:
        for document in documents:
            for item in document.items:
                printed.add(item, document)
    except InputError as error:
        failure = error
    changes = printed.changes
    state = initial_state(changes)
    objects = printed.objects + changes[:state]
    received = moment or max((each.time for each in objects), default=0)
    if (found := objects or changes) and not received and not any(each.time for each in changes):
        raise failure or InputError(source, found[0].line, "no object contains a time, so the time is unknown")
    yield from _frames(objects, {} if moment else printed.versions, received, source)
    yield from frames_of_changes(changes[state:], received, source)
    if failure is not None:
        raise failure


def _words(source: str) -> tuple[str, str]:
    """The words of a path that can name a kind: that of the file, and that of its folder."""
    path = PurePath(source)
    return path.name.partition(".")[0], path.parent.name


class _Printed:
    """The objects of an input, and the watch events in it."""

    def __init__(self, source: str, report: Callable[[InputError], None]) -> None:
        self._source = source
        self._report = report
        # The files of older support bundles hold arrays of objects without a kind: pods/shop.json, events/shop.json.
        self._hint = next((kind for word in _words(source) if (kind := kind_of_plural(word))), "")
        self.objects: list[PrintedObject] = []
        self.changes: list[PrintedObject] = []
        self.versions: dict[str, str] = {}
        self._lists: dict[str, Document] = {}

    def add(self, item: Item, document: Document) -> None:
        """Add an object or a watch event, or report that it is invalid. A bookmark of a watch shows nothing."""
        if item.change == "BOOKMARK":
            return
        try:
            if item.change == "ERROR" and self.changes:
                self.changes.append(replace(self.changes[-1], raw=item.raw, line=item.line, change="ERROR"))
                return
            found = read_printed_object(item, document, self._hint)
        except (NoObjectError, NoUidError) as error:
            self._report(NotKubernetesError(self._source, item.line, str(error)))
            return
        except ValueError as error:
            self._report(InputError(self._source, item.line, str(error)))
            return
        if item.change:
            self.changes.append(found)
            return
        self.objects.append(found)
        # The version of a list of several kinds belongs to none of their resources. Several lists of a resource are
        # those of some namespaces, or parts of one.
        alone = self._lists.setdefault(found.resource, document) is document
        self.versions[found.resource] = document.resource_version if alone and document.kind not in ("", "List") else ""


def read_printed_object(item: Item, document: Document, hint: str = "") -> PrintedObject:
    """Return an object with its resource and head. Raises ValueError if it is not a Kubernetes object.

    ``hint``: the kind of an object that does not state it, nor does its list.
    """
    try:
        value = decode_json(item.raw)
    except ValueError as error:
        raise ValueError(f"the object {error}") from error
    if not isinstance(value, dict):
        raise NoObjectError("is a value, not a Kubernetes object")
    if problem := refusal(value):
        raise NoObjectError(problem)
    raw, value = _with_kind(item.raw, value, document, hint)
    if value["kind"] == "Status":
        raise ValueError(f"is an error from the API server: {quoted(str(value.get('message')))}")
    if is_second_api_event(value):
        value = to_core_event(value)
        raw = to_json(value)
    resource = resource_of(value["apiVersion"], value["kind"])
    head, created = read_head(resource, raw), creation_time(value)
    return PrintedObject(resource, head, raw, item.line, newest_time(value), created, item.change)


def _with_kind(raw: bytes, value: dict[str, Any], document: Document, hint: str) -> tuple[bytes, dict[str, Any]]:
    """Add the kind and apiVersion, which the items of a typed list do not state."""
    of_list = document.kind.removesuffix("List") or (hint if isinstance(value.get("metadata"), dict) else "")
    kind = value.get("kind") or of_list
    api_version = value.get("apiVersion") or (document.api_version if of_list else "")
    if not isinstance(kind, str) or not isinstance(api_version, str) or not kind:
        raise NoObjectError("is not a Kubernetes object: it has no kind")
    if value.get("kind") and value.get("apiVersion"):
        return raw, value
    api_version = api_version or api_version_of(kind)
    if not api_version:
        raise NoObjectError(f"the object of kind {quoted(kind)} has no apiVersion")
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
        namespaces = {each.head.namespace for each in found}
        version = versions.get(resource, "") if len(namespaces) > 1 or "" in namespaces else ""
        yield Frame(received, resource, FrameType.LIST, marker_object(version), source, found[0].line)
        for each in found:
            yield Frame(received, resource, FrameType.LISTED, each.raw, source, each.line, each.head)
