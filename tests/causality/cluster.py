"""A simulated cluster for tests: it writes the journal records that a watch of a real cluster gives.

One counter gives all resourceVersions, as one etcd does. The clock is data: each write takes ``STEP``. Late records
(usually Events) are queued until the clock reaches their time. ``drawing`` shows the traces as text.
"""

import heapq
import json
from copy import deepcopy
from typing import Any, NamedTuple, Self

from msgspec import structs

from kspan.ingest.frames import to_record
from kspan.k8s.resources import is_watched_whole
from kspan.k8s.wire import metadata_only
from kspan.model import VANISHED, LogRecord, RecordType
from kspan.times import MILLISECOND, SECOND, format_time, parse_time

STEP = 10 * MILLISECOND
START = parse_time("2026-11-22T10:00:00.100Z")

KUBECTL = "kubectl-client-side-apply"
MANAGER = "kube-controller-manager"

HOUR = 3600.0

API = {
    "AnalysisRun": "argoproj.io/v1alpha1/analysisruns",
    "Application": "argoproj.io/v1alpha1/applications",
    "ApplicationSet": "argoproj.io/v1alpha1/applicationsets",
    "Certificate": "cert-manager.io/v1/certificates",
    "CertificateRequest": "cert-manager.io/v1/certificaterequests",
    "Cluster": "postgresql.cnpg.io/v1/clusters",
    "ClusterRole": "rbac.authorization.k8s.io/v1/clusterroles",
    "ConfigMap": "v1/configmaps",
    "ControllerRevision": "apps/v1/controllerrevisions",
    "CronJob": "batch/v1/cronjobs",
    "DaemonSet": "apps/v1/daemonsets",
    "Deployment": "apps/v1/deployments",
    "DeploymentConfig": "apps.openshift.io/v1/deploymentconfigs",
    "Event": "v1/events",
    "Bucket": "source.toolkit.fluxcd.io/v1/buckets",
    "GitRepository": "source.toolkit.fluxcd.io/v1/gitrepositories",
    "HelmChart": "source.toolkit.fluxcd.io/v1/helmcharts",
    "HelmRelease": "helm.toolkit.fluxcd.io/v2/helmreleases",
    "HorizontalPodAutoscaler": "autoscaling/v2/horizontalpodautoscalers",
    "Job": "batch/v1/jobs",
    "Kustomization": "kustomize.toolkit.fluxcd.io/v1/kustomizations",
    "Lease": "coordination.k8s.io/v1/leases",
    "LimitRange": "v1/limitranges",
    "Machine": "cluster.x-k8s.io/v1beta1/machines",
    "MachineConfigPool": "machineconfiguration.openshift.io/v1/machineconfigpools",
    "MachineDeployment": "cluster.x-k8s.io/v1beta1/machinedeployments",
    "MachineSet": "cluster.x-k8s.io/v1beta1/machinesets",
    "MutatingWebhookConfiguration": "admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "Namespace": "v1/namespaces",
    "Node": "v1/nodes",
    "NodeClaim": "karpenter.sh/v1/nodeclaims",
    "OCIRepository": "source.toolkit.fluxcd.io/v1/ocirepositories",
    "PersistentVolume": "v1/persistentvolumes",
    "PersistentVolumeClaim": "v1/persistentvolumeclaims",
    "PipelineRun": "tekton.dev/v1/pipelineruns",
    "Pod": "v1/pods",
    "PodDisruptionBudget": "policy/v1/poddisruptionbudgets",
    "PriorityClass": "scheduling.k8s.io/v1/priorityclasses",
    "ReplicaSet": "apps/v1/replicasets",
    "ReplicationController": "v1/replicationcontrollers",
    "ResourceQuota": "v1/resourcequotas",
    "Rollout": "argoproj.io/v1alpha1/rollouts",
    "Secret": "v1/secrets",
    "Service": "v1/services",
    "ServiceAccount": "v1/serviceaccounts",
    "StatefulSet": "apps/v1/statefulsets",
    "StorageClass": "storage.k8s.io/v1/storageclasses",
    "TaskRun": "tekton.dev/v1/taskruns",
    "ValidatingAdmissionPolicy": "admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    "VirtualMachine": "kubevirt.io/v1/virtualmachines",
    "VirtualMachineInstance": "kubevirt.io/v1/virtualmachineinstances",
    "Widget": "example.com/v1/widgets",
    "Workload": "kueue.x-k8s.io/v1beta1/workloads",
}
CLUSTER_WIDE = (
    "ClusterRole",
    "MachineConfigPool",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "NodeClaim",
    "PersistentVolume",
    "PriorityClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
)
WITHOUT_GENERATION = (
    "ClusterRole",
    "ConfigMap",
    "ControllerRevision",
    "Lease",
    "LimitRange",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "PriorityClass",
    "ResourceQuota",
    "Secret",
    "Service",
    "ServiceAccount",
    "StorageClass",
)
OBSERVING = ("Deployment", "ReplicaSet", "Widget")
WITHOUT_SPEC = (
    "ClusterRole",
    "ConfigMap",
    "ControllerRevision",
    "PriorityClass",
    "Secret",
    "ServiceAccount",
    "StorageClass",
)
WITH_TEMPLATE = ("DaemonSet", "Deployment", "Job", "ReplicaSet", "Rollout", "StatefulSet")


class Thing:
    """One object of the cluster. ``raw`` is what the API server would send now."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw

    @property
    def meta(self) -> dict[str, Any]:
        found: dict[str, Any] = self.raw["metadata"]
        return found

    @property
    def kind(self) -> str:
        return str(self.raw["kind"])

    @property
    def name(self) -> str:
        return str(self.meta["name"])

    @property
    def version(self) -> str:
        """The resourceVersion, for Events (``seen``)."""
        return str(self.meta["resourceVersion"])


def second(ns: int) -> str:
    return f"{format_time(ns)[:19]}Z"


def _template(kind: str, template: dict[str, Any], image: str) -> dict[str, Any]:
    if image:
        template["spec"] = _containers(image)
    if kind == "ReplicaSet":
        template["metadata"]["labels"]["pod-template-hash"] = "6548b9766b"
    return template


class Cluster:
    """Every method that writes advances the clock by ``STEP``."""

    def __init__(self) -> None:
        self.now = START
        self.version = 100
        self.numbered = 0
        self.things: dict[str, Thing] = {}
        self.events: dict[str, dict[str, Any]] = {}
        self.records: list[LogRecord] = []
        self._late: list[tuple[int, int, str, bytes]] = []
        self._unwatched: dict[str, Unwatched] = {}

    # time and records ------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        self._pass_time(self.now + int(seconds * SECOND))

    def receive_all(self) -> None:
        """Wait until all late records have arrived."""
        self._pass_time(max([at for at, *_ in self._late], default=self.now))

    def _pass_time(self, until: int) -> None:
        while self._late and self._late[0][0] <= until:
            at, _, kind, raw = heapq.heappop(self._late)
            self.now = max(self.now, at)
            event = json.loads(raw)
            event["metadata"]["resourceVersion"] = self._next_version()
            self._record(RecordType(kind), "v1/events", event)
        self.now = max(self.now, until)

    def _next_version(self) -> str:
        self.version += 1
        return str(self.version)

    def _uid(self) -> str:
        self.numbered += 1
        return f"00000000-0000-4000-8000-{self.numbered:012}"

    def _record(self, kind: RecordType, resource: str, raw: dict[str, Any]) -> None:
        if resource == "v1/events":
            self.events[raw["metadata"]["uid"]] = raw
        if resource not in self._unwatched:
            text = json.dumps(raw).encode()
            if not is_watched_whole(resource):
                text = metadata_only(text, raw["kind"], raw["apiVersion"])
            self.records.append(to_record(kind, self.now, resource, text))

    def _write(self, kind: RecordType, thing: Thing) -> Thing:
        self._pass_time(self.now + STEP)
        thing.meta["resourceVersion"] = self._next_version()
        if kind is RecordType.DELETED:
            self.things.pop(thing.meta["uid"], None)
        else:
            self.things[thing.meta["uid"]] = thing
        self._record(kind, API[thing.kind], thing.raw)
        return thing

    # objects ---------------------------------------------------------------------------------------------------------

    def apply(self, kind: str, name: str, *, by: str = KUBECTL, **spec: Any) -> Thing:
        """Create an object, or change the existing one, not as a controller."""
        known = [t for t in self.things.values() if (t.kind, t.name) == (kind, name)]
        return self.update(known[0], by=by, **spec) if known else self.create(kind, name, by=by, **spec)

    def create(
        self,
        kind: str,
        name: str,
        *,
        owner: Thing | None = None,
        by: str = MANAGER,
        namespace: str = "",
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
        image: str = "",
        **spec: Any,
    ) -> Thing:
        """A new object. ``image`` makes a pod template (of a Pod: its container)."""
        resource = API[kind]
        meta: dict[str, Any] = {"name": name, "uid": self._uid(), "creationTimestamp": second(self.now + STEP)}
        if kind not in CLUSTER_WIDE:
            meta["namespace"] = namespace or (owner.meta["namespace"] if owner is not None else "shop")
        if kind not in WITHOUT_GENERATION:
            meta["generation"] = 1
        meta |= {"labels": labels or {"app": name}, "annotations": annotations or {}}
        raw = {"kind": kind, "apiVersion": resource.rpartition("/")[0], "metadata": meta}
        raw |= spec if kind in WITHOUT_SPEC else {"spec": spec, "status": {}}
        thing = Thing(raw)
        if kind in WITH_TEMPLATE:
            template = deepcopy(owner.raw["spec"].get("template", {})) if owner is not None else {}
            template = template or {"metadata": {"labels": {"app": "app"}}, "spec": _containers("app:v1")}
            spec["template"] = _template(kind, template, image)
        fields = _fields(kind, spec)
        if owner is not None:
            meta["ownerReferences"] = [_reference(owner)]
            fields["f:metadata"] = {"f:ownerReferences": {f'k:{{"uid":"{owner.meta["uid"]}"}}': {}}}
        self._manage(thing, by, "", fields)
        return self._write(RecordType.ADDED, thing)

    def update(self, thing: Thing, *, by: str = KUBECTL, subresource: str = "", image: str = "", **spec: Any) -> Thing:
        """A change of the spec. ``image`` changes the pod template."""
        if image:
            spec["template"] = _template(thing.kind, deepcopy(thing.raw["spec"]["template"]), image)
        thing.raw.get("spec", thing.raw).update(spec)
        if "generation" in thing.meta:
            thing.meta["generation"] += 1
        fields = _fields(thing.kind, spec)
        if thing.kind in WITHOUT_SPEC:
            for part, below in fields.items():
                self._forget(thing, part, set(below), except_of=by)
                others = [e for e in thing.meta["managedFields"] if not below and e["manager"] != by]
                for entry in others:
                    entry["fieldsV1"] = {key: value for key, value in entry["fieldsV1"].items() if key != part}
        self._manage(thing, by, subresource, fields)
        return self._write(RecordType.MODIFIED, thing)

    def remove(self, thing: Thing, *names: str, **spec: Any) -> Thing:
        """A change that only removes fields of the spec: who had them loses them, and no entry of managedFields is new.

        ``spec``: new values that leave no entry either, such as ``replicas=0``.
        """
        removed = {f"f:{name}" for name in (*names, *spec)}
        thing.raw["spec"] = {k: v for k, v in thing.raw["spec"].items() if k not in names} | spec
        if "generation" in thing.meta:
            thing.meta["generation"] += 1
        self._forget(thing, "f:spec", removed)
        return self._write(RecordType.MODIFIED, thing)

    def change_without_trace(self, thing: Thing, **spec: Any) -> Thing:
        """New values that leave managedFields as they are (kubernetes/kubernetes 109576)."""
        thing.raw["spec"] |= spec
        thing.meta["generation"] += 1
        return self._write(RecordType.MODIFIED, thing)

    def unlabel(self, thing: Thing, *names: str) -> Thing:
        """Labels are removed."""
        thing.meta["labels"] = {key: value for key, value in thing.meta["labels"].items() if key not in names}
        self._forget(thing, "f:metadata", {"f:labels"})
        return self._write(RecordType.MODIFIED, thing)

    def remove_data(self, thing: Thing, *keys: str) -> Thing:
        """Keys of a ConfigMap or a Secret are removed: whoever had them loses them."""
        thing.raw["data"] = {key: value for key, value in thing.raw["data"].items() if key not in keys}
        self._forget(thing, "f:data", {f"f:{key}" for key in keys})
        return self._write(RecordType.MODIFIED, thing)

    def touch(self, thing: Thing) -> Thing:
        """A change that leaves the metadata as they are: within the second of the one before, by the same manager."""
        return self._write(RecordType.MODIFIED, thing)

    @staticmethod
    def _forget(thing: Thing, part: str, removed: set[str], *, except_of: str = "") -> None:
        kept = []
        for entry in thing.meta["managedFields"]:
            if entry["manager"] == except_of or removed.isdisjoint(entry["fieldsV1"].get(part, {})):
                kept.append(entry)
                continue
            left = {key: value for key, value in entry["fieldsV1"].get(part, {}).items() if key not in removed}
            fields = {key: value for key, value in (entry["fieldsV1"] | {part: left}).items() if value}
            if fields:
                kept.append(entry | {"fieldsV1": fields})
        thing.meta["managedFields"] = kept

    def label(self, thing: Thing, *, by: str = "kubectl-label", **labels: str) -> Thing:
        """A change of the labels: no new generation."""
        thing.meta["labels"] |= labels
        self._manage(thing, by, "", {"f:metadata": {"f:labels": {f"f:{key}": {} for key in labels}}})
        return self._write(RecordType.MODIFIED, thing)

    def annotate(self, thing: Thing, key: str, value: str, *, by: str = "kubectl-annotate") -> Thing:
        """A change of the annotations: no new generation."""
        thing.meta["annotations"][key] = value
        self._manage(thing, by, "", {"f:metadata": {"f:annotations": {f"f:{key}": {}}}})
        return self._write(RecordType.MODIFIED, thing)

    def own(self, thing: Thing, owner: Thing | None, *, by: str = MANAGER) -> Thing:
        """A controller adopts an object (None: releases it): only ownerReferences change."""
        thing.meta["ownerReferences"] = [_reference(owner)] if owner is not None else []
        fields: dict[str, Any] = {f'k:{{"uid":"{owner.meta["uid"]}"}}': {}} if owner is not None else {}
        self._manage(thing, by, "", {"f:metadata": {"f:ownerReferences": fields}})
        return self._write(RecordType.MODIFIED, thing)

    def status(self, thing: Thing, *, by: str = MANAGER, **status: Any) -> Thing:
        thing.raw["status"] |= status
        self._manage(thing, by, "status", {"f:status": {f"f:{key}": {} for key in status}})
        return self._write(RecordType.MODIFIED, thing)

    def patch_status(self, thing: Thing, *, by: str, **fields: Any) -> Thing:
        """A merge patch of the status: a value takes its field from other managers, None removes the field.

        A patch that only removes fields leaves no entry of its manager."""
        set_fields = {key: value for key, value in fields.items() if value is not None}
        kept = {key: value for key, value in thing.raw["status"].items() if key not in fields}
        thing.raw["status"] = kept | set_fields
        for name in fields:
            self._forget(thing, "f:status", {f"f:{name}"})
        if set_fields:
            self._manage(thing, by, "status", {"f:status": {f"f:{key}": {} for key in set_fields}})
        return self._write(RecordType.MODIFIED, thing)

    def bind(self, pod: Thing, node: str) -> Thing:
        """The scheduler binds a Pod: no field manager, no new generation."""
        pod.raw["spec"]["nodeName"] = node
        return self._write(RecordType.MODIFIED, pod)

    def condition(
        self,
        thing: Thing,
        kind: str,
        status: str,
        *,
        reason: str = "",
        message: str = "",
        by: str = MANAGER,
        observed: int = 0,
    ) -> Thing:
        """A condition transition. ``observed``: the generation that its controller looked at, if not the newest."""
        entry = {"type": kind, "status": status, "reason": reason, "message": message}
        entry["lastTransitionTime"] = second(self.now + STEP)
        others = [c for c in thing.raw["status"].get("conditions", []) if c["type"] != kind]
        seen = {"observedGeneration": observed or thing.meta["generation"]} if thing.kind in OBSERVING else {}
        return self.status(thing, by=by, conditions=[*others, entry], **seen)

    def delete(self, thing: Thing, *, grace: int = 0, finalizers: tuple[str, ...] = ()) -> Thing:
        """Request the deletion of an object that takes time: a Pod, or an object with finalizers."""
        thing.meta["deletionTimestamp"] = second(self.now + STEP + grace * SECOND)
        thing.meta["deletionGracePeriodSeconds"] = grace
        if "generation" in thing.meta:
            thing.meta["generation"] += 1
        if finalizers:
            thing.meta["finalizers"] = list(finalizers)
        return self._write(RecordType.MODIFIED, thing)

    def release(self, thing: Thing, finalizer: str) -> Thing:
        """A finalizer is removed, and others are left."""
        thing.meta["finalizers"] = [name for name in thing.meta["finalizers"] if name != finalizer]
        return self._write(RecordType.MODIFIED, thing)

    def gone(self, thing: Thing) -> Thing:
        """The object is removed from storage."""
        return self._write(RecordType.DELETED, thing)

    def _manage(self, thing: Thing, manager: str, subresource: str, fields: dict[str, Any]) -> None:
        """Add the managedFields entry as the API server writes it: in whole seconds; ``scale`` has no time.

        A manager with ``(apply)`` behind its name applies on the server's side.
        """
        manager, applied, _ = manager.partition(" (apply)")
        entries: list[dict[str, Any]] = thing.meta.setdefault("managedFields", [])
        own = [e for e in entries if (e["manager"], e.get("subresource", "")) == (manager, subresource)]
        merged = deepcopy(own[0]["fieldsV1"]) if own else {}
        for key, below in fields.items():
            merged[key] = {**merged.get(key, {}), **below}
        entry: dict[str, Any] = {"manager": manager, "operation": "Apply" if applied else "Update"}
        entry["apiVersion"] = thing.raw["apiVersion"]
        if subresource != "scale":
            entry["time"] = second(self.now + STEP)
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": merged}
        if subresource:
            entry["subresource"] = subresource
        thing.meta["managedFields"] = [*(e for e in entries if e not in own), entry]

    # Events ----------------------------------------------------------------------------------------------------------

    def event(
        self,
        about: Thing,
        reason: str,
        message: str,
        *,
        by: str,
        host: str = "",
        warning: bool = False,
        new: bool = False,
        seen: str | None = None,
        count: int = 1,
        late: float = 0,
        uid: str | None = None,
        top: bool = False,
        revision: str = "",
        field_path: str = "",
        related: Thing | None = None,
    ) -> str:
        """An Event that happens now and is received ``late`` seconds later; returns its uid.

        ``new``: as the scheduler writes them (eventTime, an empty source). ``seen``: the version of the object that its
        reporter looked at (the newest, if not given). ``uid`` stands in for the object's uid.
        """
        self._pass_time(self.now + STEP)
        reference = _involved(about, uid)
        reference["resourceVersion"] = about.version if seen is None else seen
        if uid is not None:
            reference.pop("resourceVersion")
        if field_path:
            reference["fieldPath"] = field_path
        meta = {"name": f"{about.name}.{self.now:x}", "namespace": about.meta.get("namespace", "default")}
        meta |= {"uid": self._uid(), "creationTimestamp": second(self.now)}
        raw: dict[str, Any] = {"kind": "Event", "apiVersion": "v1", "metadata": meta, "involvedObject": reference}
        raw |= {"reason": reason, "message": message, "type": "Warning" if warning else "Normal"}
        raw |= {"reportingComponent": by, "reportingInstance": host}
        if new:
            raw |= {"source": {}, "firstTimestamp": None, "lastTimestamp": None, "eventTime": format_time(self.now)}
        else:
            source = {"component": by, **({"host": host} if host else {})}
            raw |= {"source": source, "count": count, "eventTime": None}
            raw |= {"firstTimestamp": second(self.now), "lastTimestamp": second(self.now)}
        if top:
            meta["annotations"] = {"topLevelSpan": "true"}
        if revision:
            group = about.raw["apiVersion"].partition("/")[0]
            meta["annotations"] = {f"{group}/revision": revision}
        if related is not None:
            raw["related"] = _involved(related, None)
        self._send(RecordType.ADDED, raw, late)
        return str(meta["uid"])

    def repeat(self, uid: str, *, count: int = 0, message: str = "", late: float = 0) -> None:
        """Repeat an Event: its count grows, or its series if it has no count."""
        self._pass_time(self.now + STEP)
        raw = deepcopy(self.events[uid])
        raw["message"] = message or raw["message"]
        if raw.get("eventTime"):
            before = raw.get("series", {}).get("count", 1)
            raw["series"] = {"count": count or before + 1, "lastObservedTime": format_time(self.now)}
        else:
            raw["count"] = count or raw["count"] + 1
            raw["lastTimestamp"] = second(self.now)
        if "(combined" in raw["message"]:
            raw["reportingComponent"] = ""
        self._send(RecordType.MODIFIED, raw, late)

    def _send(self, kind: RecordType, raw: dict[str, Any], late: float) -> None:
        if late:
            at = self.now + int(late * SECOND)
            self.events[raw["metadata"]["uid"]] = raw
            heapq.heappush(self._late, (at, self.numbered, kind.value, json.dumps(raw).encode()))
            return
        raw["metadata"]["resourceVersion"] = self._next_version()
        self._record(kind, "v1/events", raw)

    # the watcher -----------------------------------------------------------------------------------------------------

    def first_list(self, after: float = 2 * HOUR) -> None:
        """The watcher starts only now: existing objects are listed, earlier changes were not seen.

        ``after``: seconds since the last write, by default so many that the Events have expired.
        """
        self.wait(after)
        if after > HOUR:
            self.events.clear()
        self.records.clear()
        for thing in self.things.values():
            self._record(RecordType.LISTED, API[thing.kind], thing.raw)
        for event in list(self.events.values()):
            self._record(RecordType.LISTED, "v1/events", event)

    def __enter__(self) -> Self:
        """The watcher sees nothing during the block, and lists the objects again after it."""
        self.stop_watching()
        return self

    def __exit__(self, *_: object) -> None:
        del self._unwatched["v1/events"]
        self.list_again()

    def stop_watching(self, *kinds: str) -> None:
        """The watches of some kinds (all, if none is named; Event: of Events) are disconnected."""
        for resource in [API[kind] for kind in kinds] or API.values():
            before = {uid: deepcopy(thing) for uid, thing in self.things.items() if API[thing.kind] == resource}
            self._unwatched[resource] = Unwatched(before, set(self.events), str(self.version), self.now)

    def list_again(self, *kinds: str) -> None:
        """The watches of some kinds (all that are disconnected, if none is named) are replaced by lists."""
        for resource in sorted([API[kind] for kind in kinds] or self._unwatched):
            self._list_again(resource, self._unwatched.pop(resource))

    def _list_again(self, resource: str, before: "Unwatched") -> None:
        now = {uid: thing for uid, thing in self.things.items() if API[thing.kind] == resource}
        events = [event for uid, event in self.events.items() if uid not in before.events and resource == API["Event"]]
        if not (before.things or now or events):
            return
        details = json.dumps({"watchedUntil": format_time(before.since)}).encode()
        gap = LogRecord(RecordType.GAP, self.now, resource, payload=details, reason="listed again")
        self.records.append(structs.replace(gap, gap_from=before.version, gap_to=str(self.version)))
        for event in events:
            self._record(RecordType.ADDED, resource, event)
        for uid, thing in now.items():
            if uid not in before.things:
                self._record(RecordType.ADDED, resource, thing.raw)
            elif thing.version != before.things[uid].version:
                self._record(RecordType.MODIFIED, resource, thing.raw)
        for uid, thing in before.things.items():
            if uid not in now:
                self._record(RecordType.DELETED, resource, thing.raw)
                self.records[-1] = structs.replace(self.records[-1], reason=VANISHED)


class Unwatched(NamedTuple):
    """What was known of a stream when its watch was disconnected."""

    things: dict[str, Thing]
    events: set[str]
    version: str
    since: int


def _fields(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """The fields of a write, as in managedFields, without the metadata."""
    if kind not in WITHOUT_SPEC:
        return {"f:spec": {f"f:{key}": {} for key in spec}}
    return {
        f"f:{key}": {f"f:{name}": {} for name in value} if isinstance(value, dict) else {}
        for key, value in spec.items()
    }


def _containers(image: str) -> dict[str, Any]:
    return {"containers": [{"name": "app", "image": image}]}


def _reference(owner: Thing) -> dict[str, Any]:
    return {
        "apiVersion": owner.raw["apiVersion"],
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _involved(thing: Thing, uid: str | None) -> dict[str, Any]:
    found = {"kind": thing.kind, "name": thing.name, "apiVersion": thing.raw["apiVersion"]}
    found["uid"] = thing.meta["uid"] if uid is None else uid
    if "namespace" in thing.meta:
        found["namespace"] = thing.meta["namespace"]
    return found
