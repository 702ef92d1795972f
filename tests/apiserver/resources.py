"""The resources that the server serves: built-in ones, those of CustomResourceDefinitions, and discovery."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kspan.k8s.kinds import plural_of

CRDS = "apiextensions.k8s.io/v1/customresourcedefinitions"
EVENTS = frozenset({"v1/events", "events.k8s.io/v1/events"})
"""Served from etcd and not from a watch cache: no bookmarks, and another wording of 410."""

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")

_NAMESPACED = {
    "v1": "ConfigMap Endpoints Event LimitRange PersistentVolumeClaim Pod PodTemplate ReplicationController"
    " ResourceQuota Secret Service ServiceAccount",
    "apps/v1": "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
    "autoscaling/v2": "HorizontalPodAutoscaler",
    "batch/v1": "CronJob Job",
    "coordination.k8s.io/v1": "Lease",
    "discovery.k8s.io/v1": "EndpointSlice",
    "events.k8s.io/v1": "Event",
    "networking.k8s.io/v1": "Ingress NetworkPolicy",
    "policy/v1": "PodDisruptionBudget",
    "rbac.authorization.k8s.io/v1": "Role RoleBinding",
    "resource.k8s.io/v1": "ResourceClaim ResourceClaimTemplate",
    "storage.k8s.io/v1": "CSIStorageCapacity",
}
_CLUSTER = {
    "v1": "Namespace Node PersistentVolume",
    "admissionregistration.k8s.io/v1": "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding"
    " MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding"
    " ValidatingWebhookConfiguration",
    "apiextensions.k8s.io/v1": "CustomResourceDefinition",
    "apiregistration.k8s.io/v1": "APIService",
    "certificates.k8s.io/v1": "CertificateSigningRequest",
    "flowcontrol.apiserver.k8s.io/v1": "FlowSchema PriorityLevelConfiguration",
    "networking.k8s.io/v1": "IPAddress IngressClass ServiceCIDR",
    "node.k8s.io/v1": "RuntimeClass",
    "rbac.authorization.k8s.io/v1": "ClusterRole ClusterRoleBinding",
    "resource.k8s.io/v1": "DeviceClass ResourceSlice",
    "scheduling.k8s.io/v1": "PriorityClass",
    "storage.k8s.io/v1": "CSIDriver CSINode StorageClass VolumeAttachment VolumeAttributesClass",
}
# (name, kind, verbs): part of discovery, but neither listable nor watchable. A client must skip them.
_UNWATCHABLE: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "v1": (
        ("bindings", "Binding", ("create",)),
        ("componentstatuses", "ComponentStatus", ("get", "list")),
        ("pods/log", "Pod", ("get",)),
        ("pods/status", "Pod", ("get", "patch", "update")),
    ),
    "apps/v1": (
        ("deployments/scale", "Scale", ("get", "patch", "update")),
        ("deployments/status", "Deployment", ("get", "patch", "update")),
    ),
    "authorization.k8s.io/v1": (("selfsubjectaccessreviews", "SelfSubjectAccessReview", ("create",)),),
}

Json = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """One resource: ``name`` is ``v1/pods``, ``apps/v1/deployments``; ``custom`` if a CRD defines it."""

    name: str
    kind: str
    namespaced: bool
    custom: bool = False
    verbs: tuple[str, ...] = ALL_VERBS

    @property
    def group_version(self) -> str:
        return self.name.rpartition("/")[0]

    @property
    def group(self) -> str:
        return self.name.split("/")[0] if self.name.count("/") == 2 else ""

    @property
    def plural(self) -> str:
        return self.name.rpartition("/")[2]

    @property
    def qualified(self) -> str:
        """The name in messages: ``pods``, ``deployments.apps``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def built_in() -> Iterator[Resource]:
    """The resources of a new cluster."""
    for table, namespaced in ((_NAMESPACED, True), (_CLUSTER, False)):
        for version, kinds in table.items():
            for kind in kinds.split():
                yield Resource(f"{version}/{plural_of(kind)}", kind, namespaced)


def defined_by(crd: Mapping[str, Any]) -> list[Resource]:
    """The resources of a CustomResourceDefinition: one per served version."""
    spec = crd["spec"]
    names = spec["names"]
    return [
        Resource(f"{spec['group']}/{v['name']}/{names['plural']}", names["kind"], spec["scope"] == "Namespaced", True)
        for v in spec["versions"]
        if v.get("served", True)
    ]


def api_path(resource: Resource) -> str:
    """The path of a resource's group and version: ``/api/v1``, ``/apis/apps/v1``."""
    return f"/apis/{resource.group_version}" if resource.group else f"/api/{resource.group_version}"


def resource_list(group_version: str, resources: Iterable[Resource]) -> Json | None:
    """Return the APIResourceList of a group and version; None if there is none."""
    entries: list[Json] = [
        {
            "name": r.plural,
            "singularName": r.kind.lower(),
            "namespaced": r.namespaced,
            "kind": r.kind,
            "verbs": list(r.verbs),
        }
        for r in resources
        if r.group_version == group_version
    ]
    known = bool(entries) or group_version in _UNWATCHABLE
    entries += [
        {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": list(verbs)}
        for name, kind, verbs in _UNWATCHABLE.get(group_version, ())
    ]
    if not known:
        return None
    entries.sort(key=lambda entry: str(entry["name"]))
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}


def _groups(resources: Iterable[Resource]) -> dict[str, list[str]]:
    versions: dict[str, list[str]] = {}
    names = [r.group_version for r in resources] + list(_UNWATCHABLE)
    for group_version in names:
        group, _, version = group_version.rpartition("/")
        known = versions.setdefault(group, [])
        if group and version not in known:
            known.append(version)
    versions.pop("", None)
    return versions


def _group(name: str, versions: list[str]) -> Json:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def group_list(resources: Iterable[Resource]) -> Json:
    """The APIGroupList of ``/apis``."""
    groups = [_group(name, versions) for name, versions in _groups(resources).items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group_of(name: str, resources: Iterable[Resource]) -> Json | None:
    """The APIGroup of ``/apis/NAME``; None where there is none."""
    versions = _groups(resources).get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions else None


VERSION: Json = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2",
    "gitCommit": "0" * 40,
    "gitTreeState": "clean",
    "buildDate": "2026-06-01T00:00:00Z",
    "goVersion": "go1.26",
    "compiler": "gc",
    "platform": "linux/amd64",
}

API_VERSIONS: Json = {
    "kind": "APIVersions",
    "versions": ["v1"],
    "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}],
}
