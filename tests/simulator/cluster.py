"""The API server on one etcd: one counter for all versions, optimistic locking, graceful deletion, watches with lags.

Time is simulated: a heap of calls, run in order. Every random choice comes from one seeded generator, so that a seed
gives one recording. Every change carries the action it goes back to: that is the truth (see truth.py).
"""

import copy
import heapq
import itertools
import json
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from tests.simulator import fields as managed
from tests.simulator.fields import Fields
from tests.simulator.objects import KCM, RESOURCES, WITH_GENERATION, Cause, Obj, ended, name_of, seconds, uid_of
from tests.simulator.truth import Note

START = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC).timestamp()
Watcher = Callable[[str, Obj | None, Obj], None]
"""Of a type (ADDED, MODIFIED, DELETED), the object as the cache had it, and as it is now."""


class Conflict(Exception):  # noqa: N818 - the API's word
    """The object is not what the writer's cache showed, or is gone."""


class Forbidden(Exception):  # noqa: N818 - the API's word
    """A quota does not allow it."""


class Cluster:
    """Clock, storage and API. ``late``: how many seconds a reporter may be behind with its Events; drawn if None."""

    def __init__(self, seed: int, namespace: str, late: float | None = None) -> None:
        self.random = random.Random(seed)
        self.namespace = namespace
        self.now = START + self.random.uniform(0, 59)
        self.late = late if late is not None else self.random.choice([0.0, 0.0, 1.0, 6.0, 20.0])
        self.version = 700
        self.stored: dict[str, Obj] = {}
        self.cache: dict[str, Obj] = {}
        self.frames: list[tuple[float, str, str, Obj]] = []
        self.recording = False
        self.last_received: dict[str, float] = {}
        self.watchers: list[Watcher] = []
        self.causes: dict[str, list[tuple[int, Cause, Note | None]]] = {}
        self.deleted_by: dict[str, tuple[Cause, Note | None]] = {}
        self.admit: Callable[[str], None] = lambda _name: None
        self._calls: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._informed = 0.0

    # time

    def after(self, delay: float, call: Callable[[], object]) -> None:
        heapq.heappush(self._calls, (self.now + max(0, delay), next(self._order), call))

    def run(self, duration: float) -> None:
        end = self.now + duration
        while self._calls and self._calls[0][0] <= end:
            at, _, call = heapq.heappop(self._calls)
            self.now = max(self.now, at)
            call()
        self.now = end

    def between(self, low: float, high: float) -> float:
        return self.random.uniform(low, high)

    def new_uid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    # what is stored, and what the informers show

    def of_kind(self, kind: str) -> list[Obj]:
        return [o for o in self.stored.values() if o["kind"] == kind]

    def cached(self, kind: str) -> list[Obj]:
        return [o for o in self.cache.values() if o["kind"] == kind]

    def get(self, kind: str, name: str) -> Obj | None:
        return next((o for o in self.of_kind(kind) if name_of(o) == name), None)

    def node(self, name: str) -> Obj:
        found = self.get("Node", name)
        assert found is not None
        return found

    def pods_on(self, node: str) -> list[Obj]:
        return [p for p in self.of_kind("Pod") if p["spec"].get("nodeName") == node]

    def cause_at(self, seen: Obj) -> tuple[Cause, Note | None]:
        """The action and the reporting Event of the newest change that this cached version of an object shows."""
        version = int(seen["metadata"]["resourceVersion"])
        known = [c for c in self.causes.get(uid_of(seen), []) if c[0] <= version]
        return known[-1][1:] if known else (None, None)

    def birth(self, uid: str) -> tuple[Cause, Note | None]:
        return self.causes[uid][0][1:]

    def why_deleted(self, uid: str) -> Cause:
        return self.deleted_by.get(uid, (None, None))[0]

    # writing

    def publish(self, type_: str, o: Obj) -> Obj:
        """Gives the change a version; the recording's watch and the informers get it in order, a bit later."""
        self.version += 1
        self.now += self.between(0.002, 0.006)
        o["metadata"]["resourceVersion"] = str(self.version)
        sent, resource = copy.deepcopy(o), RESOURCES[o["kind"]]
        received = self.now + self.between(0.003, 0.025)
        if self.random.random() < 0.005:
            received += self.between(0, 0.25)
        self.last_received[resource] = received = max(received, self.last_received.get(resource, 0) + 1e-5)
        if self.recording:
            self.frames.append((received, resource, type_, sent))
        if o["kind"] != "Event":
            self._informed = max(self.now + self.between(0.002, 0.015), self._informed + 1e-5)
            self.after(self._informed - self.now, lambda: self._inform(type_, sent))
        return sent

    def _inform(self, type_: str, o: Obj) -> None:
        old = self.cache.get(uid_of(o))
        if type_ == "DELETED":
            self.cache.pop(uid_of(o), None)
        else:
            self.cache[uid_of(o)] = o
        for watcher in self.watchers:
            watcher(type_, old, o)

    def create(
        self,
        kind: str,
        name: str,
        spec: Obj | None = None,
        *,
        by: str = KCM,
        operation: str = "Update",
        owner_reference: Obj | None = None,
        labels: Obj | None = None,
        annotations: Obj | None = None,
        generate_name: str | None = None,
        cause: Cause = None,
        note: Note | None = None,
        status: Obj | None = None,
        extra: Obj | None = None,
    ) -> Obj:
        self.now += self.between(0.001, 0.004)
        if kind == "Pod":
            self.admit(name)
        metadata: Obj = {
            "name": name,
            "uid": self.new_uid(),
            "resourceVersion": "",
            "creationTimestamp": seconds(self.now),
        }
        optional = {
            "generateName": generate_name,
            "namespace": None if kind in ("Node", "Namespace") else self.namespace,
            "generation": 1 if kind in WITH_GENERATION else None,
            "labels": dict(labels) if labels else None,
            "annotations": dict(annotations) if annotations else None,
            "ownerReferences": [owner_reference] if owner_reference else None,
        }
        metadata |= {k: v for k, v in optional.items() if v}
        o: Obj = {"kind": kind, "apiVersion": RESOURCES[kind].rpartition("/")[0], "metadata": metadata}
        o |= copy.deepcopy(extra or {})
        if spec is not None:
            o |= {"spec": copy.deepcopy(spec), "status": copy.deepcopy(status or {})}
        owner_uid = owner_reference["uid"] if owner_reference else None
        managed.manage(o, by, operation, None, managed.of_new(spec, labels, annotations, owner_uid), self.now)
        self.stored[metadata["uid"]] = o
        sent = self.publish("ADDED", o)
        self.causes[metadata["uid"]] = [(self.version, cause, note)]
        return sent

    def update(
        self,
        o: Obj,
        change: Callable[[Obj], object],
        *,
        by: str | None = KCM,
        operation: str = "Update",
        subresource: str | None = None,
        fields: Fields | None = None,
        generation: bool = False,
        cause: Cause = None,
        note: Note | None = None,
        expect: str | None = None,
    ) -> Obj:
        """Applies ``change`` to what is stored; what changes nothing is not written. ``expect``: optimistic locking.

        Raises Conflict.
        """
        current = self.stored.get(uid_of(o))
        if current is None or (expect is not None and current["metadata"]["resourceVersion"] != expect):
            raise Conflict
        new = copy.deepcopy(current)
        change(new)
        if json.dumps(new, sort_keys=True) == json.dumps(current, sort_keys=True):
            return current
        if generation and "generation" in new["metadata"]:
            new["metadata"]["generation"] += 1
        if by:
            status: Fields = {"f:status": {f"f:{k}": {} for k in new.get("status", {})}}
            written = fields or (status if subresource == "status" else {"f:spec": {}})
            managed.manage(new, by, operation, subresource, written, self.now)
        self.stored[uid_of(new)] = new
        sent = self.publish("MODIFIED", new)
        if cause is not None:
            self.causes[uid_of(new)].append((self.version, cause, note))
        return sent

    def delete(
        self,
        o: Obj,
        *,
        cause: Cause = None,
        note: Note | None = None,
        policy: str = "Background",
        grace: int | None = None,
        kubelet: bool = False,
    ) -> None:
        """registry.Store.Delete: at once, or a deletionTimestamp while a grace period or a finalizer holds it."""
        current = self.stored.get(uid_of(o))
        if current is None:
            return
        metadata = current["metadata"]
        self.now += self.between(0.001, 0.004)
        if not kubelet and metadata["uid"] not in self.deleted_by:
            self.deleted_by[metadata["uid"]] = (cause, note)
        finalizers = _finalizers(current, policy)
        period = _grace_period(current, grace, kubelet) if current["kind"] == "Pod" else 0
        if (period or finalizers) and not metadata.get("deletionTimestamp"):
            self.update(current, lambda new: self._mark(new, period, finalizers), by=None, generation=True)
            return
        if metadata.get("deletionTimestamp"):
            if current["kind"] == "Pod" and period == 0 and metadata.get("deletionGracePeriodSeconds"):
                self.update(current, lambda new: self._mark(new, 0, []), by=None)
                current = self.stored[metadata["uid"]]
            elif finalizers or period:
                return
        self.finish(current)

    def _mark(self, new: Obj, period: int, finalizers: list[str]) -> None:
        new["metadata"]["deletionTimestamp"] = seconds(self.now + period)
        if new["kind"] == "Namespace":
            new["status"]["phase"] = "Terminating"
            return
        new["metadata"]["deletionGracePeriodSeconds"] = period
        if finalizers:
            new["metadata"]["finalizers"] = finalizers

    def finish(self, o: Obj) -> None:
        """Removes it from the storage."""
        if self.stored.pop(uid_of(o), None) is not None:
            self.publish("DELETED", copy.deepcopy(o))


def _finalizers(o: Obj, policy: str) -> list[str]:
    if o["kind"] == "Namespace":
        return ["kubernetes"]
    finalizers: list[str] = list(o["metadata"].get("finalizers", []))
    wanted = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(policy)
    return [*finalizers, wanted] if wanted and wanted not in finalizers else finalizers


def _grace_period(pod: Obj, asked: int | None, kubelet: bool) -> int:
    """pkg/registry/core/pod: podStrategy.CheckGracefulDelete."""
    if not pod["spec"].get("nodeName") or (ended(pod) and not kubelet):
        return 0
    return int(pod["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked)
