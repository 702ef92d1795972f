"""The server's etcd: objects, one resourceVersion counter for all of them, and a log of changes per resource.

Objects are stored as the JSON that is sent. Thread-safe: tests write while the server reads.
"""

import threading
import time
import uuid
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from tests.apiserver.resources import CRDS, Json, Resource, built_in, defined_by

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode

SNAPSHOTS = 16
"""Paged lists whose state is cached; for others it is reconstructed for each page."""


class Stored(NamedTuple):
    """An object: ``raw`` is its JSON; ``namespace`` is empty for cluster-scoped objects."""

    namespace: str
    name: str
    uid: str
    version: int
    raw: bytes


class Entry(NamedTuple):
    """A change: ``type`` as in a watch; ``before`` is the replaced object. A recorded BOOKMARK is an entry, too."""

    version: int
    type: str
    stored: Stored
    before: Stored | None


class Backup(NamedTuple):
    """The state at one time: ``objects`` by resource and key."""

    version: int
    objects: "dict[str, dict[Key, Stored]]"


class ExpiredError(Exception):
    """The resourceVersion was compacted."""

    def __init__(self, version: int, oldest: int) -> None:
        super().__init__(f"{version} is older than {oldest}")
        self.version, self.oldest = version, oldest


Key = tuple[str, str]


def key_of(stored: Stored) -> str:
    """The sort key of an object in a list, as in etcd: ``namespace/name``."""
    return f"{stored.namespace}/{stored.name}"


class Collection:
    """One resource's objects and its log. ``first`` counts the compacted entries."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.objects: dict[Key, Stored] = {}
        self.entries: list[Entry] = []
        self.versions: list[int] = []
        self.first = 0
        self.oldest = 0
        self.replayed_to: int | None = None
        """The version that a recording has reached; None if none is being replayed: the global counter counts then."""
        self.gone = False

    def append(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.versions.append(entry.version)

    def index_after(self, version: int) -> int:
        """Return the index from which a watch from this version reads. Raises ExpiredError."""
        if version < self.oldest:
            raise ExpiredError(version, self.oldest)
        return self.first + bisect_right(self.versions, version)

    def forget(self, version: int) -> None:
        """Drop the history before this version."""
        self.first += len(self.entries)
        self.entries, self.versions, self.oldest = [], [], version

    def compact(self, version: int) -> None:
        if version <= self.oldest:
            return
        cut = bisect_right(self.versions, version)
        del self.entries[:cut], self.versions[:cut]
        self.first += cut
        self.oldest = version


class Storage:
    """The stored objects. ``clock`` returns Unix ns, for creationTimestamp and deletionTimestamp."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self.lock = threading.RLock()
        self.version = 1
        self._clock = clock
        self._collections: dict[str, Collection] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._snapshots: OrderedDict[tuple[str, int], list[Stored]] = OrderedDict()
        for resource in built_in():
            self.add_resource(resource)

    # resources -------------------------------------------------------------------------------------------------------

    def add_resource(self, resource: Resource) -> Collection:
        """Serve a resource from now on, unless it is served already."""
        with self.lock:
            if resource.name not in self._collections:
                self._collections[resource.name] = Collection(resource)
            return self._collections[resource.name]

    def remove_resource(self, name: str) -> None:
        """Remove a resource from discovery, delete its objects and end its watches; requests get 404."""
        with self.lock:
            collection = self._collections[name]
            collection.replayed_to = None
            for stored in list(collection.objects.values()):
                self._remove_now(collection, stored)
            collection.gone = True
            del self._collections[name]
        self._tell(name)

    def resources(self) -> list[Resource]:
        with self.lock:
            return [collection.resource for collection in self._collections.values()]

    def find(self, name: str) -> Collection | None:
        with self.lock:
            return self._collections.get(name)

    def collection(self, name: str) -> Collection:
        found = self.find(name)
        if found is None:
            raise KeyError(f"no resource {name}")
        return found

    # objects ---------------------------------------------------------------------------------------------------------

    def get(self, resource: str, namespace: str, name: str) -> Stored | None:
        with self.lock:
            return self.collection(resource).objects.get((namespace, name))

    def put(self, resource: str, obj: Mapping[str, Any]) -> Stored:
        """Create or replace an object; set its kind, uid, resourceVersion, creationTimestamp and generation."""
        with self.lock:
            collection = self.collection(resource)
            version = self._next(collection)
            stored = self._complete(collection, obj, version)
            self._set(collection, stored)
            if resource == CRDS:
                self._define(decode(stored.raw))
        self._tell(resource)
        return stored

    def delete(self, resource: str, namespace: str, name: str) -> Stored:
        """Delete an object, and the resources of a CRD. Raises KeyError if it does not exist."""
        with self.lock:
            collection = self.collection(resource)
            stored = collection.objects.get((namespace, name))
            if stored is None:
                raise KeyError(f"no {resource} {namespace}/{name}")
            if resource == CRDS:
                self._undefine(stored)
            last = self._remove_now(collection, stored)
        self._tell(resource)
        return last

    def _remove_now(self, collection: Collection, stored: Stored) -> Stored:
        version = self._next(collection)
        obj = decode(stored.raw)
        obj["metadata"]["resourceVersion"] = str(version)
        last = stored._replace(version=version, raw=encode(obj))
        self._remove(collection, last)
        return last

    def _next(self, collection: Collection) -> int:
        if collection.replayed_to is not None:
            raise RuntimeError(f"{collection.resource.name}: deltas of the recording are still to come")
        self.version += 1
        return self.version

    def _complete(self, collection: Collection, obj: Mapping[str, Any], version: int) -> Stored:
        resource = collection.resource
        metadata: Json = dict(obj.get("metadata") or {})
        name = metadata["name"]
        namespace = metadata.get("namespace") or ("default" if resource.namespaced else "")
        before = collection.objects.get((namespace, name))
        if resource.namespaced:
            metadata["namespace"] = namespace
        _inherit(metadata, obj, decode(before.raw) if before else {}, self.timestamp())
        metadata["resourceVersion"] = str(version)
        head: Json = {"kind": resource.kind, "apiVersion": resource.group_version}
        whole = head | dict(obj) | {"metadata": metadata}
        return Stored(namespace, name, str(metadata["uid"]), version, encode(whole))

    def timestamp(self) -> str:
        """The current time in the format of the API."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock() / 1e9))

    def _set(self, collection: Collection, stored: Stored) -> None:
        key = stored.namespace, stored.name
        before = collection.objects.get(key)
        collection.objects[key] = stored
        collection.append(Entry(stored.version, "MODIFIED" if before else "ADDED", stored, before))

    def _remove(self, collection: Collection, last: Stored) -> None:
        before = collection.objects.pop((last.namespace, last.name), None)
        collection.append(Entry(last.version, "DELETED", last, before))

    def _define(self, crd: Json, replayed_to: int | None = None) -> None:
        for resource in defined_by(crd):
            if resource.name not in self._collections:
                collection = self.add_resource(resource)
                collection.replayed_to = replayed_to
                collection.oldest = replayed_to or self.version

    def _undefine(self, stored: Stored) -> None:
        for resource in defined_by(decode(stored.raw)):
            if resource.name in self._collections:
                self.remove_resource(resource.name)

    # recordings ------------------------------------------------------------------------------------------------------

    def preload(self, resource: str, version: int, objects: Iterable[Stored], since: int) -> None:
        """Set the state at the start of a recording. Its history begins at ``since`` or its last change before."""
        with self.lock:
            collection = self.collection(resource)
            collection.objects = {(stored.namespace, stored.name): stored for stored in objects}
            newest = max((stored.version for stored in collection.objects.values()), default=0)
            collection.forget(min(version, max(since, newest)))
            collection.replayed_to = version

    def replay(self, resource: str, kind: str, stored: Stored) -> None:
        """Apply a recorded change with its own resourceVersion; ``kind`` may be BOOKMARK."""
        with self.lock:
            collection = self.find(resource)
            if collection is None:
                return
            key = stored.namespace, stored.name
            if kind == "BOOKMARK":
                collection.append(Entry(stored.version, kind, stored, None))
            elif kind == "DELETED":
                self._remove(collection, stored)
            else:
                collection.append(Entry(stored.version, kind, stored, collection.objects.get(key)))
                collection.objects[key] = stored
            if collection.replayed_to is not None:
                collection.replayed_to = max(collection.replayed_to, stored.version)
            if resource == CRDS and kind != "BOOKMARK":
                self._replay_definition(kind, stored)
        self._tell(resource)

    def _replay_definition(self, kind: str, stored: Stored) -> None:
        if kind == "DELETED":
            self._undefine(stored)
        else:
            self._define(decode(stored.raw), replayed_to=stored.version)

    def begin_replay(self, highest: int) -> None:
        """Advance the counter beyond every version of the recording."""
        with self.lock:
            self.version = max(self.version, highest)

    def end_replay(self) -> None:
        """End the recording: every resource is at the global version."""
        with self.lock:
            for collection in self._collections.values():
                collection.replayed_to = None

    # reading ---------------------------------------------------------------------------------------------------------

    def position(self, collection: Collection) -> int:
        """The resourceVersion of a list or a bookmark at this moment."""
        return self.version if collection.replayed_to is None else collection.replayed_to

    def read(self, collection: Collection, index: int, limit: int) -> tuple[list[Entry], int]:
        """Return at most ``limit`` entries from ``index`` on, and the version after them. Raises ExpiredError."""
        with self.lock:
            if index < collection.first:
                raise ExpiredError(0, collection.oldest)
            start = index - collection.first
            return collection.entries[start : start + limit], self.position(collection)

    def snapshot(self, collection: Collection, version: int | None = None) -> tuple[int, list[Stored]]:
        """Return a resourceVersion and the objects at that version, sorted by key. Raises ExpiredError."""
        with self.lock:
            at = self.position(collection) if version is None else version
            if at < collection.oldest:
                raise ExpiredError(at, collection.oldest)
            key = collection.resource.name, at
            found = self._snapshots.get(key)
            if found is None or version is None:
                state = dict(collection.objects)
                _undo(state, collection, at)
                found = sorted(state.values(), key=key_of)
                self._snapshots[key] = found
                if len(self._snapshots) > SNAPSHOTS:
                    self._snapshots.popitem(last=False)
            return at, found

    def compact(self, version: int | None = None, resource: str | None = None) -> None:
        """Drop the changes up to this version (None: all); requests for earlier versions get 410."""
        with self.lock:
            for collection in list(self._collections.values()):
                if resource in (None, collection.resource.name):
                    # A list must never show a version from which no watch can start.
                    now = self.position(collection)
                    collection.compact(now if version is None else min(version, now))

    # backups ---------------------------------------------------------------------------------------------------------

    def backup(self) -> Backup:
        """Return the current state for a later ``restore``."""
        with self.lock:
            return Backup(self.version, {name: dict(found.objects) for name, found in self._collections.items()})

    def restore(self, backup: Backup) -> None:
        """Set objects and resourceVersions to those of a backup, without any history, as etcd does."""
        with self.lock:
            self.version = backup.version
            self._snapshots.clear()
            for name, collection in self._collections.items():
                collection.objects = dict(backup.objects.get(name, {}))
                collection.forget(backup.version)
            names = list(self._collections)
        for name in names:
            self._tell(name)

    # changes ---------------------------------------------------------------------------------------------------------

    def listen(self, listener: Callable[[str], None]) -> None:
        """Call ``listener`` with the name of a resource after each of its changes, in the thread of the change."""
        self._listeners.append(listener)

    def _tell(self, resource: str) -> None:
        for listener in self._listeners:
            listener(resource)


def _inherit(metadata: Json, obj: Mapping[str, Any], old: Json, now: str) -> None:
    """The fields that an object keeps from its previous version, or gets at its creation."""
    kept: Json = old.get("metadata") or {}
    metadata["uid"] = metadata.get("uid") or kept.get("uid") or str(uuid.uuid4())
    metadata.setdefault("creationTimestamp", kept.get("creationTimestamp") or now)
    if "spec" in obj and "generation" not in metadata:
        changed = bool(old) and old.get("spec") != obj["spec"]
        metadata["generation"] = int(kept.get("generation", 1)) + changed


def _undo(state: dict[Key, Stored], collection: Collection, version: int) -> None:
    """Change the current state to the one at ``version``."""
    for entry in reversed(collection.entries[bisect_right(collection.versions, version) :]):
        key = entry.stored.namespace, entry.stored.name
        if entry.type == "BOOKMARK":
            continue
        if entry.before is None:
            state.pop(key, None)
        else:
            state[key] = entry.before
