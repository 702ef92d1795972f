"""Serves a recording as the history of a cluster: its first lists are the state, and its changes follow in order.

The differences that a later list of the recording shows (after a 410, say) are delivered as changes, which the recorder
missed. ERROR and NOTE lines are skipped: they are about the recorder's connection, not the cluster.
"""

import gzip
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from kspan.times import parse_time
from tests.apiserver.resources import CRDS, Resource, defined_by
from tests.apiserver.storage import Storage, Stored, decode, encode

CHUNK = 500
"""Changes after which a replay without delays releases the storage for others."""


class _RecordingLine(msgspec.Struct):
    received: str
    resource: str
    type: str
    object: msgspec.Raw


class _ObjectMetadata(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = "0"


class _Object(msgspec.Struct):
    metadata: _ObjectMetadata
    kind: str = ""


class Delta(NamedTuple):
    """A change; ``received`` is in Unix ns."""

    received: int
    resource: str
    type: str
    stored: Stored


class _List(NamedTuple):
    received: int
    version: int
    items: list[Stored]


_decode_line = msgspec.json.Decoder(_RecordingLine).decode
_decode_object = msgspec.json.Decoder(_Object).decode
_DELTAS = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})


class Replay:
    """A recording that is being served: ``done`` of ``total`` changes are delivered."""

    def __init__(self, storage: Storage, path: Path, speed: float, resources: Collection[str] | None) -> None:
        self._storage = storage
        self._speed = speed
        self._deltas = _load(storage, path, resources)
        self.total = len(self._deltas)
        self.done = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if not self._deltas:
            storage.end_replay()

    @property
    def finished(self) -> bool:
        return self.done == self.total

    @property
    def deltas(self) -> list[Delta]:
        """All changes in order."""
        return self._deltas

    def advance(self, count: int | None = None) -> int:
        """Deliver the next ``count`` changes (None: all); return how many there were."""
        with self._lock:
            end = self.total if count is None else min(self.total, self.done + count)
            before = self.done
            for delta in self._deltas[before:end]:
                self._storage.replay(delta.resource, delta.type, delta.stored)
            self.done = end
            if before < end == self.total:
                self._storage.end_replay()
            return end - before

    def start(self, when: Callable[[], bool] = lambda: True) -> None:
        """Deliver the changes in a thread, at the recorded pace, as soon as ``when`` holds."""
        if self._thread is not None:
            raise RuntimeError("the recording is being served already")
        self._thread = threading.Thread(target=self._run, args=(when,), name="apiserver-replay", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def join(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for all changes to be delivered; True if they were."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self.finished

    def _run(self, when: Callable[[], bool]) -> None:
        while not when():
            if self._stop.wait(0.01):
                return
        began, first = time.monotonic(), self._deltas[0].received if self._deltas else 0
        while not self.finished and not self._stop.is_set():
            if not self._speed:
                self.advance(CHUNK)
                continue
            due = (self._deltas[self.done].received - first) / 1e9 / self._speed
            if self._stop.wait(max(0.0, began + due - time.monotonic())):
                return
            self.advance(self._due(first, time.monotonic() - began))

    def _due(self, first: int, elapsed: float) -> int:
        """Return how many changes are due, at least one."""
        until = first + elapsed * self._speed * 1e9
        count = 1
        while self.done + count < self.total and self._deltas[self.done + count].received <= until:
            count += 1
        return count


def read_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if packed else path.open("rb") as lines:
        yield from (line for line in lines if line.strip())


def _load(storage: Storage, path: Path, wanted: Collection[str] | None) -> list[Delta]:
    """Put the first lists into the storage; return the changes that follow."""
    states: dict[str, dict[tuple[str, str], Stored]] = {}
    open_lists: dict[str, _List] = {}
    first: dict[str, _List] = {}
    later: set[str] = set()
    deltas: list[Delta] = []

    def close(resource: str) -> None:
        found = open_lists.pop(resource, None)
        if found is None:
            return
        if resource not in states and resource not in later:
            first[resource] = found
            states[resource] = {(item.namespace, item.name): item for item in found.items}
        else:
            deltas.extend(_differences(resource, found, states.setdefault(resource, {})))

    for text in read_lines(path):
        line = _decode_line(text)
        resource = line.resource
        if wanted is not None and resource not in wanted:
            continue
        raw = bytes(line.object)
        if line.type == "LISTED":
            open_lists[resource].items.append(_stored(raw))
            continue
        close(resource)
        if line.type == "LIST":
            open_lists[resource] = _List(parse_time(line.received), _stored(raw).version, [])
        elif line.type in _DELTAS:
            delta = Delta(parse_time(line.received), resource, line.type, _stored(raw))
            deltas.append(delta)
            _follow(states.setdefault(resource, {}), delta)
            if resource == CRDS and line.type == "ADDED":
                later |= {defined.name for defined in defined_by(decode(raw))}
    for resource in list(open_lists):
        close(resource)
    _preload(storage, first, deltas)
    deltas.sort(key=lambda delta: delta.received)
    return deltas


def _stored(raw: bytes) -> Stored:
    head = _decode_object(raw).metadata
    return Stored(head.namespace, head.name, head.uid, int(head.resource_version or 0), raw)


def _follow(state: dict[tuple[str, str], Stored], delta: Delta) -> None:
    key = delta.stored.namespace, delta.stored.name
    if delta.type == "DELETED":
        state.pop(key, None)
    elif delta.type != "BOOKMARK":
        state[key] = delta.stored


def _differences(resource: str, found: _List, state: dict[tuple[str, str], Stored]) -> list[Delta]:
    """Return a later list as changes in the order of their versions, and update ``state`` to the list."""
    listed = {(item.namespace, item.name): item for item in found.items}
    changed = [
        Delta(found.received, resource, "MODIFIED" if key in state else "ADDED", item)
        for key, item in listed.items()
        if key not in state or state[key].version != item.version
    ]
    changed.sort(key=lambda delta: delta.stored.version)
    gone = [
        Delta(found.received, resource, "DELETED", _in_version(item, found.version))
        for key, item in state.items()
        if key not in listed
    ]
    state.clear()
    state.update(listed)
    return changed + gone


def _in_version(stored: Stored, version: int) -> Stored:
    """The last state of an object with the version of its deletion, which a DELETED has."""
    obj = decode(stored.raw)
    obj["metadata"]["resourceVersion"] = str(version)
    return stored._replace(version=version, raw=encode(obj))


def _preload(storage: Storage, first: dict[str, _List], deltas: list[Delta]) -> None:
    highest = max((delta.stored.version for delta in deltas), default=0)
    storage.begin_replay(max([highest, *(found.version for found in first.values())]))
    # The recorder took a second for the first lists. An etcd has the state of all resources at the first of them.
    since = min((found.version for found in first.values()), default=0)
    for resource, found in first.items():
        if storage.find(resource) is None:
            storage.add_resource(_guess(resource, found, deltas))
        storage.preload(resource, found.version, found.items, since)


def _guess(resource: str, found: _List, deltas: list[Delta]) -> Resource:
    """Derive a resource that is neither built in nor defined in the recording from its objects."""
    seen = [*found.items, *(delta.stored for delta in deltas if delta.resource == resource and delta.stored.name)]
    kind = _decode_object(seen[0].raw).kind if seen else resource.rpartition("/")[2].capitalize()
    return Resource(resource, kind, any(stored.namespace for stored in seen), custom=True)
