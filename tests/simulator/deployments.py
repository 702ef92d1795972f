"""The Deployment controller: pkg/controller/deployment (sync.go, rolling.go, util/deployment_util.go)."""

import copy
import math
from dataclasses import dataclass

from tests.simulator.fields import Fields
from tests.simulator.manager import Manager
from tests.simulator.objects import (
    Cause,
    Obj,
    annotation,
    bare_template,
    deleting,
    name_of,
    owner_of,
    owner_reference,
    selects,
    set_condition,
    set_or_drop,
    template_hash,
    uid_of,
)
from tests.simulator.truth import Note

REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"


def available(rs: Obj) -> int:
    return int(rs["status"].get("availableReplicas", 0))


def size(rs: Obj) -> int:
    return int(rs["spec"]["replicas"])


def revision(rs: Obj) -> int:
    return int(annotation(rs, REVISION) or 0)


@dataclass
class Rollout:
    """A Deployment and its ReplicaSets, in one pass of the controller."""

    d: Obj
    sets: list[Obj]
    cause: Cause

    def __post_init__(self) -> None:
        self.wanted = size(self.d)
        self.surge = math.ceil(self.wanted * 0.25)
        self.unavailable = math.floor(self.wanted * 0.25)
        if not self.surge and not self.unavailable:
            self.unavailable = 1
        self.hash = template_hash(self.d["spec"]["template"])
        by_age = sorted(self.sets, key=lambda rs: str(rs["metadata"]["creationTimestamp"]))
        self.new = next((rs for rs in by_age if template_hash(bare_template(rs)) == self.hash), None)
        self.old = [rs for rs in self.sets if rs is not self.new]
        self.active = [rs for rs in self.sets if size(rs) > 0]
        self.next_revision = 1 + max(map(revision, self.old), default=0)

    @property
    def annotations(self) -> dict[str, str]:
        return {DESIRED: str(self.wanted), MAXIMUM: str(self.wanted + self.surge)}

    def scaled(self) -> bool:
        """isScalingEvent: some active ReplicaSet was made for another number of replicas."""
        return any(annotation(rs, DESIRED) not in (None, str(self.wanted)) for rs in self.active)


class Deployments:
    def __init__(self, manager: Manager) -> None:
        self.manager, self.cluster = manager, manager.cluster
        manager.workers["deployment"] = self.sync

    def sync(self, uid: str) -> None:
        d = self.cluster.cache.get(uid)
        if d is None:
            return
        sets = self._claim(d)
        rollout = Rollout(d, sets, self.cluster.cause_at(d)[0])
        if not deleting(d):
            if d["spec"].get("paused") or rollout.scaled():
                self._scale(rollout)
            elif rollout.new is None:
                self._create(rollout)
                return
            else:
                self._roll(rollout, self._with_revision(rollout, rollout.new))
        self._write_status(rollout)

    def _claim(self, d: Obj) -> list[Obj]:
        sets = []
        for rs in self.cluster.cached("ReplicaSet"):
            owner = owner_of(rs)
            if owner and owner["uid"] == uid_of(d):
                sets.append(rs)
            elif owner is None and not deleting(rs) and not deleting(d) and selects(d, rs):
                sets.append(self.manager.adopt(d, rs))
        return sets

    def _create(self, ro: Rollout) -> None:
        """getNewReplicaSet: the ReplicaSet with its first size, the Event, then the Deployment's revision."""
        first = min(ro.wanted, max(0, ro.wanted + ro.surge - sum(map(size, ro.sets))))
        name = f"{name_of(ro.d)}-{ro.hash[:9]}"
        template = copy.deepcopy(ro.d["spec"]["template"])
        template["metadata"]["labels"]["pod-template-hash"] = ro.hash[:9]
        labels, note = dict(template["metadata"]["labels"]), Note()
        spec = {"replicas": first, "selector": {"matchLabels": labels}, "template": template}
        self.cluster.create(
            "ReplicaSet",
            name,
            spec,
            owner_reference=owner_reference(ro.d),
            labels=labels,
            cause=ro.cause,
            note=note,
            status={"replicas": 0},
            annotations=ro.annotations | {REVISION: str(ro.next_revision)},
        )
        if first:
            self._report_scaled(note, ro, name, 0, first)
        try:
            self._write_revision(ro)
        finally:
            self.manager.enqueue("deployment", uid_of(ro.d), 0.02)

    def _write_revision(self, ro: Rollout) -> None:
        def change(o: Obj) -> None:
            o["metadata"].setdefault("annotations", {})[REVISION] = str(ro.next_revision)
            set_condition(o, "Progressing", "True", "NewReplicaSetCreated", now=self.cluster.now)

        fields: Fields = {"f:metadata": {"f:annotations": {f"f:{REVISION}": {}}}, "f:status": {"f:conditions": {}}}
        version = ro.d["metadata"]["resourceVersion"]
        self.cluster.update(ro.d, change, subresource="status", fields=fields, expect=version)

    def _with_revision(self, ro: Rollout, new: Obj) -> Obj:
        """SetNewReplicaSetAnnotations: an older template that comes back becomes the newest revision."""
        if revision(new) >= ro.next_revision:
            return new

        def change(o: Obj) -> None:
            o["metadata"].setdefault("annotations", {}).update(ro.annotations | {REVISION: str(ro.next_revision)})

        fields: Fields = {"f:metadata": {"f:annotations": {f"f:{REVISION}": {}}}}
        return self.cluster.update(new, change, fields=fields, expect=new["metadata"]["resourceVersion"])

    def _roll(self, ro: Rollout, new: Obj) -> None:
        """rolloutRolling: up, or else down, or else clean up."""
        total = sum(map(size, ro.old)) + size(new)
        target, limit = size(new), ro.wanted + ro.surge
        if target > ro.wanted:
            target = ro.wanted
        elif target < ro.wanted and total < limit:
            target += min(limit - total, ro.wanted - target)
        if target != size(new):
            self._resize(ro, new, target)
        elif not (sum(map(size, ro.old)) and self._scale_down_old(ro, new, total)):
            self._clean_up(ro)
            ro.sets.append(new)

    def _scale_down_old(self, ro: Rollout, new: Obj, total: int) -> bool:
        """reconcileOldReplicaSets: unhealthy replicas first (cleanupUnhealthyReplicas), then as availability allows."""
        least = ro.wanted - ro.unavailable
        room = total - least - (size(new) - available(new))
        old = sorted(filter(size, ro.old), key=lambda rs: str(rs["metadata"]["creationTimestamp"]))
        scaled = False
        if room <= 0:
            return False
        for i, rs in enumerate(old):
            unhealthy = min(room, size(rs) - available(rs))
            if unhealthy > 0:
                old[i] = self._resize(ro, rs, size(rs) - unhealthy)
                room, scaled = room - unhealthy, True
        spare = sum(map(available, old)) + available(new) - least
        for rs in old:
            fewer = min(size(rs), spare)
            if fewer > 0:
                self._resize(ro, rs, size(rs) - fewer)
                spare, scaled = spare - fewer, True
        return scaled

    def _clean_up(self, ro: Rollout) -> None:
        """cleanupDeployment, of a complete one: revisionHistoryLimit."""
        status = ro.d["status"]
        if not status.get("updatedReplicas") == ro.wanted == status.get("availableReplicas"):
            return
        idle = sorted((rs for rs in ro.old if not size(rs) and not rs["status"].get("replicas")), key=revision)
        for rs in idle[: max(0, len(idle) - ro.d["spec"].get("revisionHistoryLimit", 10))]:
            self.cluster.delete(rs, cause=ro.cause)

    def _resize(self, ro: Rollout, rs: Obj, to: int) -> Obj:
        """scaleReplicaSet: with ``to`` its size of now, only the annotations."""
        was, note = size(rs), Note()

        def change(o: Obj) -> None:
            o["spec"]["replicas"] = to
            o["metadata"].setdefault("annotations", {}).update(ro.annotations)

        moved = was != to
        new = self.cluster.update(
            rs,
            change,
            fields={"f:spec": {"f:replicas": {}}},
            generation=moved,
            cause=ro.cause if moved else None,
            note=note if moved else None,
            expect=rs["metadata"]["resourceVersion"],
        )
        if moved:
            self._report_scaled(note, ro, name_of(rs), was, to)
        return new

    def _report_scaled(self, note: Note, ro: Rollout, name: str, was: int, to: int) -> None:
        message = f"Scaled {'up' if to > was else 'down'} replica set {name} from {was} to {to}"
        self.manager.report(note, "deployment-controller", ro.d, "ScalingReplicaSet", message, cause=ro.cause)

    def _scale(self, ro: Rollout) -> None:
        """The function scale of sync.go: the one active ReplicaSet, or all in proportion."""
        if len(ro.active) <= 1:
            only = ro.active[0] if ro.active else ro.new
            if only is not None:
                self._resize(ro, only, ro.wanted)
            return
        total = sum(map(size, ro.active))
        limit = ro.wanted + ro.surge if ro.wanted > 0 else 0
        left = limit - total
        growing = left > 0
        for rs in sorted(ro.active, key=lambda rs: (-size(rs), rs is not ro.new)):
            share = round(size(rs) * (ro.wanted + ro.surge) / total) - size(rs)
            share = max(min(share, left), 0) if growing else min(max(share, left), 0)
            self._resize(ro, rs, max(0, size(rs) + share))
            left -= share

    def _write_status(self, ro: Rollout) -> None:
        stored = {} if deleting(ro.d) else self.cluster.stored
        sets = [stored.get(uid, rs) for uid, rs in {uid_of(rs): rs for rs in ro.sets}.items()]
        new = next((rs for rs in sets if template_hash(bare_template(rs)) == ro.hash), None)
        self.cluster.update(
            ro.d,
            lambda o: self._change_status(o, ro, sets, new),
            subresource="status",
            expect=ro.d["metadata"]["resourceVersion"],
        )

    def _change_status(self, o: Obj, ro: Rollout, sets: list[Obj], new: Obj | None) -> None:
        """calculateStatus and syncRolloutStatus."""
        status, now = o["status"], self.cluster.now
        totals = {
            field: sum(rs["status"].get(field, 0) for rs in sets)
            for field in ("replicas", "readyReplicas", "availableReplicas", "terminatingReplicas")
        }
        ready_now = totals["availableReplicas"]
        status["observedGeneration"] = ro.d["metadata"]["generation"]
        status["terminatingReplicas"] = totals.pop("terminatingReplicas")
        totals["updatedReplicas"] = new["status"].get("replicas", 0) if new else 0
        totals["unavailableReplicas"] = max(0, sum(map(size, sets)) - ready_now)
        for key, value in totals.items():
            set_or_drop(status, key, value)
        enough = ready_now >= ro.wanted - ro.unavailable
        reason = "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable"
        set_condition(o, "Available", str(enough), reason, now=now)
        updated = status.get("updatedReplicas", 0)
        done = new is not None and updated == ro.wanted == ready_now == status.get("replicas")
        was_done = any(c.get("reason") == "NewReplicaSetAvailable" for c in status["conditions"])
        if ro.d["spec"].get("paused"):
            set_condition(o, "Progressing", "Unknown", "DeploymentPaused", now=now)
        elif done:
            set_condition(o, "Progressing", "True", "NewReplicaSetAvailable", now=now)
        elif not was_done or updated != ro.wanted:
            set_condition(o, "Progressing", "True", "ReplicaSetUpdated", now=now)
