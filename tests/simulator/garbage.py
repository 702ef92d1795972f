"""The garbage collector and the namespace controller: pkg/controller/garbagecollector, pkg/controller/namespace."""

from tests.simulator.fields import of_labels
from tests.simulator.manager import Manager
from tests.simulator.objects import Cause, Obj, deleting, name_of, uid_of

NAMESPACED = {
    "Pod",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "ControllerRevision",
    "ResourceQuota",
    "ConfigMap",
}


class Garbage:
    def __init__(self, manager: Manager) -> None:
        self.manager, self.cluster = manager, manager.cluster
        manager.workers["namespace"] = self._empty

    def seen(self, type_: str, old: Obj | None, o: Obj) -> None:
        uid, finalizers = uid_of(o), o["metadata"].get("finalizers", [])
        if o["kind"] == "Namespace" and deleting(o) and type_ != "DELETED":
            self.manager.enqueue("namespace", uid, 0.05)
        if type_ == "DELETED":
            self._owner_gone(o)
        elif deleting(o) and uid in self.cluster.stored:
            if "foregroundDeletion" in finalizers:
                self._foreground(uid)
            elif "orphan" in finalizers and not deleting(old):
                self.cluster.after(self.cluster.between(0.02, 0.05), lambda: self._orphan(uid))

    def _dependents(self, uid: str) -> list[Obj]:
        return [
            o
            for o in self.cluster.stored.values()
            if any(r["uid"] == uid for r in o["metadata"].get("ownerReferences", []))
        ]

    def _delete_soon(self, o: Obj, cause: Cause, policy: str) -> None:
        self.cluster.after(self.cluster.between(0.01, 0.04), lambda: self.cluster.delete(o, cause=cause, policy=policy))

    def _owner_gone(self, o: Obj) -> None:
        for dependent in self._dependents(uid_of(o)):
            self._delete_soon(dependent, self.cluster.why_deleted(uid_of(o)), "Background")
        for reference in o["metadata"].get("ownerReferences", []):
            owner = self.cluster.stored.get(reference["uid"])
            if owner and "foregroundDeletion" in owner["metadata"].get("finalizers", []):
                self._again(uid_of(owner))

    def _again(self, uid: str) -> None:
        self.cluster.after(0.02, lambda: self._foreground(uid))

    def _foreground(self, uid: str) -> None:
        """attemptToDeleteItem: the dependents first, then the owner."""
        if uid not in self.cluster.stored:
            return
        left = self._dependents(uid)
        for o in left:
            if not deleting(o):
                policy = "Foreground" if o["kind"] == "ReplicaSet" else "Background"
                self._delete_soon(o, self.cluster.why_deleted(uid), policy)
        if not left:
            self.cluster.after(0.02, lambda: self._finish(uid))

    def _finish(self, uid: str) -> None:
        if uid in self.cluster.stored:
            self.cluster.finish(self.cluster.stored[uid])

    def _orphan(self, uid: str) -> None:
        """orphanDependents: the references are taken away, then the finalizer, then the owner goes."""
        for o in self._dependents(uid):
            self.cluster.update(o, lambda x: x["metadata"].pop("ownerReferences"), fields=of_labels())
        self.cluster.update(self.cluster.stored[uid], lambda x: x["metadata"].pop("finalizers"), by=None)
        self.cluster.after(0.005, lambda: self._finish(uid))

    def _empty(self, uid: str) -> None:
        """namespacedResourcesDeleter.Delete: all that is in it, and itself when nothing is left."""
        namespace = self.cluster.cache.get(uid)
        if namespace is None:
            return
        left = [o for o in self.cluster.stored.values() if o["metadata"].get("namespace") == name_of(namespace)]
        for o in left:
            if not deleting(o) and o["kind"] in NAMESPACED:
                self.cluster.delete(o, cause=self.cluster.why_deleted(uid))
        if left:
            self.manager.enqueue("namespace", uid, self.cluster.between(2, 5))
        else:
            self.cluster.finish(self.cluster.stored[uid])
