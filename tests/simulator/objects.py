"""Kubernetes objects as JSON, and the small questions that every controller asks of them."""

import copy
import json
import zlib
from datetime import UTC, datetime
from typing import Any

Obj = dict[str, Any]
Cause = str | None
"""The id of the action (of a person, or of the node controller) that something goes back to."""

KCM = "kube-controller-manager"

RESOURCES = {
    "Namespace": "v1/namespaces",
    "Node": "v1/nodes",
    "Pod": "v1/pods",
    "ReplicaSet": "apps/v1/replicasets",
    "Deployment": "apps/v1/deployments",
    "StatefulSet": "apps/v1/statefulsets",
    "DaemonSet": "apps/v1/daemonsets",
    "ControllerRevision": "apps/v1/controllerrevisions",
    "Job": "batch/v1/jobs",
    "ResourceQuota": "v1/resourcequotas",
    "ConfigMap": "v1/configmaps",
    "Event": "v1/events",
    "PodDisruptionBudget": "policy/v1/poddisruptionbudgets",
}
"""What the recording watches, by kind, in the order of its first lists."""

WITH_GENERATION = {"Pod", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job", "PodDisruptionBudget"}

NOT_READY = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for key in ("not-ready", "unreachable")
]
"""What the admission plugin DefaultTolerationSeconds gives every Pod."""

DAEMON = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect}
    for key, effect in (("not-ready", "NoExecute"), ("unreachable", "NoExecute"), ("unschedulable", "NoSchedule"))
]
"""What a DaemonSet's Pods tolerate (pkg/controller/daemon/util: AddOrUpdateDaemonPodTolerations)."""


def seconds(t: float) -> str:
    return datetime.fromtimestamp(int(t), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micros(t: float) -> str:
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def uid_of(o: Obj) -> str:
    return str(o["metadata"]["uid"])


def name_of(o: Obj) -> str:
    return str(o["metadata"]["name"])


def labels_of(o: Obj) -> dict[str, str]:
    labels: dict[str, str] = o["metadata"].get("labels", {})
    return labels


def annotation(o: Obj, key: str) -> str | None:
    value: str | None = o["metadata"].get("annotations", {}).get(key)
    return value


def deleting(o: Obj | None) -> bool:
    return o is not None and bool(o["metadata"].get("deletionTimestamp"))


def owner_of(o: Obj | None) -> Obj | None:
    """The controller among the owners (metav1.GetControllerOf)."""
    references: list[Obj] = o["metadata"].get("ownerReferences", []) if o else []
    return next((r for r in references if r.get("controller")), None)


def owner_reference(owner: Obj) -> Obj:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def selects(owner: Obj, o: Obj) -> bool:
    return all(labels_of(o).get(k) == v for k, v in owner["spec"]["selector"]["matchLabels"].items())


def template_hash(template: Obj) -> str:
    return f"{zlib.crc32(json.dumps(template, sort_keys=True).encode()):x}"


def bare_template(rs: Obj) -> Obj:
    """A ReplicaSet's template without the label that the Deployment controller added."""
    template: Obj = copy.deepcopy(rs["spec"]["template"])
    template["metadata"]["labels"].pop("pod-template-hash", None)
    return template


def ready(pod: Obj) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def ended(pod: Obj) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def active(pod: Obj) -> bool:
    """controller.IsPodActive."""
    return not ended(pod) and not deleting(pod)


def set_condition(o: Obj, kind: str, status: str, reason: str = "", message: str = "", *, now: float) -> None:
    conditions = o["status"].setdefault("conditions", [])
    found = next((c for c in conditions if c["type"] == kind), None)
    if found is None:
        found = {"type": kind, "status": "", "lastTransitionTime": None}
        conditions.append(found)
    if found["status"] != status:
        found["lastTransitionTime"] = seconds(now)
    found["status"] = status
    for key, value in (("reason", reason), ("message", message)):
        if value:
            found[key] = value
        else:
            found.pop(key, None)


def set_or_drop(status: Obj, key: str, value: int) -> None:
    """Writes a count as ``omitempty`` does."""
    if value:
        status[key] = value
    else:
        status.pop(key, None)


def taints_of(node: Obj, *effects: str) -> list[Obj]:
    return [t for t in node["spec"].get("taints", []) if not effects or t["effect"] in effects]


def tolerates(toleration: Obj, taint: Obj) -> bool:
    return (
        (not toleration.get("key") or toleration["key"] == taint["key"])
        and toleration.get("effect", taint["effect"]) == taint["effect"]
        and (toleration["operator"] == "Exists" or toleration.get("value") == taint.get("value"))
    )


def has_labels(node: Obj, wanted: dict[str, str]) -> bool:
    return all(labels_of(node).get(k) == v for k, v in wanted.items())


def pinned_to(pod: Obj) -> str | None:
    """The one node that a DaemonSet's Pod may run on, from its affinity."""
    affinity = pod["spec"].get("affinity")
    if not affinity:
        return None
    required = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return str(required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0])


def pin(node: str) -> Obj:
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
