"""Actions of people with kubectl, as in the audit log. Each is the root of its effects."""

from collections.abc import Callable
from typing import Any

from tests.simulator.cluster import Cluster
from tests.simulator.fields import Fields
from tests.simulator.objects import Obj, uid_of
from tests.simulator.truth import Truth

Action = dict[str, Any]
BEFORE_WRITTEN = 0.003
"""Seconds between a request's arrival and what it writes."""


class People:
    def __init__(self, cluster: Cluster, truth: Truth) -> None:
        self.cluster, self.truth = cluster, truth

    def act(self, verb: str, o: Obj, subresource: str | None = None, *, who: str = "alice") -> Action:
        metadata = o["metadata"]
        action = {
            "id": self.cluster.new_uid(),
            "time": self.cluster.now,
            "who": who,
            "agent": "kubectl/v1.32.4 (linux/amd64) kubernetes/4cb5f07",
            "verb": verb,
            "subresource": subresource,
            "kind": o["kind"],
            "namespace": metadata.get("namespace"),
            "name": metadata["name"],
            "uid": metadata.get("uid"),
            "generation": metadata.get("generation"),
        }
        self.truth.actions.append(action)
        return action

    def create(
        self,
        kind: str,
        name: str,
        spec: Obj,
        *,
        by: str = "kubectl-client-side-apply",
        operation: str = "Update",
        labels: Obj | None = None,
        annotations: Obj | None = None,
    ) -> Obj:
        new = self.cluster.create(kind, name, spec, by=by, operation=operation, labels=labels, annotations=annotations)
        action = self.act("create", new)
        self.cluster.causes[uid_of(new)] = [(self.cluster.version, action["id"], None)]
        action["time"] = self.cluster.now - BEFORE_WRITTEN
        return new

    def update(
        self,
        o: Obj,
        change: Callable[[Obj], object],
        fields: Fields,
        *,
        by: str = "kubectl-patch",
        operation: str = "Update",
        subresource: str | None = None,
        generation: bool = True,
        starts: bool = True,
    ) -> Action:
        """``starts``: whether controllers act on this change; a label that nobody selects by starts nothing."""
        cluster = self.cluster
        new = cluster.update(
            cluster.stored[uid_of(o)],
            change,
            by=by,
            operation=operation,
            subresource=subresource,
            fields=fields,
            generation=generation,
        )
        action = self.act("patch", new, subresource)
        action["time"] = cluster.now - BEFORE_WRITTEN
        if starts:
            cluster.causes[uid_of(new)].append((cluster.version, action["id"], None))
        return action

    def delete(self, o: Obj, *, policy: str = "Background", grace: int | None = None) -> Action:
        current = self.cluster.stored[uid_of(o)]
        action = self.act("delete", current)
        self.cluster.delete(current, cause=action["id"], policy=policy, grace=grace)
        return action
