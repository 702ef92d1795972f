"""The built-in kinds of Kubernetes and the resources that serve them, in one table. Pure.

A resource is named by its API version and plural (``v1/pods``, ``apps/v1/deployments``); an object states only its
``apiVersion`` and ``kind``. An API server answers which resource serves a kind (discovery). A file has no API server,
so this table and the naming convention answer instead.
"""

import re
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from kspan.k8s.strict_json import quoted

_RESOURCE = re.compile(r"(?:[a-z0-9.-]{1,253}/)?[a-z0-9.-]{1,63}/[a-z0-9.-]{1,253}")


class WatchMode(Enum):
    """When a built-in kind is watched, and how much of its objects."""

    DEFAULT = "always, whole objects: these kinds make causes on every cluster"
    ADDED_WHOLE = "unless the user turns it off, whole objects: what other objects wait for"
    ADDED_METADATA = "unless the user turns it off, metadata only"
    WHOLE = "once an object or an Event references the kind, whole objects"
    METADATA = "once an object or an Event references the kind, metadata only"
    ON_REQUEST = "only if the user selects it, metadata only"
    GRANTED = "only if the user selects it or allows it, metadata only"


class BuiltInKind(NamedTuple):
    """A row of the table."""

    api_version: str
    kind: str
    namespaced: bool = True
    mode: WatchMode = WatchMode.METADATA

    @property
    def group(self) -> str:
        """``apps``; empty for the core group."""
        return group_of(self.api_version)

    @property
    def plural(self) -> str:
        """``deployments``."""
        return plural_of(self.kind)

    @property
    def resource(self) -> str:
        """``apps/v1/deployments``."""
        return f"{self.api_version}/{self.plural}"


# Leader election reports Events about Endpoints and Leases and writes them every two seconds, hence ON_REQUEST.
BUILT_IN = (
    BuiltInKind("v1", "ConfigMap", mode=WatchMode.ADDED_METADATA),
    BuiltInKind("v1", "Endpoints", mode=WatchMode.ON_REQUEST),
    BuiltInKind("v1", "Event", mode=WatchMode.DEFAULT),
    BuiltInKind("v1", "LimitRange", mode=WatchMode.ADDED_WHOLE),
    BuiltInKind("v1", "Namespace", namespaced=False, mode=WatchMode.DEFAULT),
    BuiltInKind("v1", "Node", namespaced=False, mode=WatchMode.DEFAULT),
    BuiltInKind("v1", "PersistentVolume", namespaced=False, mode=WatchMode.ADDED_WHOLE),
    BuiltInKind("v1", "PersistentVolumeClaim", mode=WatchMode.DEFAULT),
    BuiltInKind("v1", "Pod", mode=WatchMode.DEFAULT),
    BuiltInKind("v1", "PodTemplate"),
    BuiltInKind("v1", "ReplicationController", mode=WatchMode.WHOLE),
    BuiltInKind("v1", "ResourceQuota", mode=WatchMode.DEFAULT),
    BuiltInKind("v1", "Secret", mode=WatchMode.GRANTED),
    BuiltInKind("v1", "Service", mode=WatchMode.ADDED_WHOLE),
    BuiltInKind("v1", "ServiceAccount", mode=WatchMode.ADDED_METADATA),
    BuiltInKind("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy", namespaced=False),
    BuiltInKind("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicyBinding", namespaced=False),
    BuiltInKind("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", False, WatchMode.ADDED_METADATA),
    BuiltInKind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", False, WatchMode.ADDED_METADATA),
    BuiltInKind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", False, WatchMode.ADDED_METADATA),
    BuiltInKind("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", False, WatchMode.ADDED_METADATA),
    BuiltInKind("apiextensions.k8s.io/v1", "CustomResourceDefinition", namespaced=False),
    BuiltInKind("apiregistration.k8s.io/v1", "APIService", namespaced=False),
    BuiltInKind("apps/v1", "ControllerRevision", mode=WatchMode.DEFAULT),
    BuiltInKind("apps/v1", "DaemonSet", mode=WatchMode.DEFAULT),
    BuiltInKind("apps/v1", "Deployment", mode=WatchMode.DEFAULT),
    BuiltInKind("apps/v1", "ReplicaSet", mode=WatchMode.DEFAULT),
    BuiltInKind("apps/v1", "StatefulSet", mode=WatchMode.DEFAULT),
    BuiltInKind("autoscaling/v2", "HorizontalPodAutoscaler", mode=WatchMode.DEFAULT),
    BuiltInKind("batch/v1", "CronJob", mode=WatchMode.DEFAULT),
    BuiltInKind("batch/v1", "Job", mode=WatchMode.DEFAULT),
    BuiltInKind("certificates.k8s.io/v1", "CertificateSigningRequest", namespaced=False),
    BuiltInKind("coordination.k8s.io/v1", "Lease", mode=WatchMode.ON_REQUEST),
    BuiltInKind("discovery.k8s.io/v1", "EndpointSlice"),
    BuiltInKind("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", namespaced=False),
    BuiltInKind("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration", namespaced=False),
    BuiltInKind("networking.k8s.io/v1", "Ingress", mode=WatchMode.ADDED_WHOLE),
    BuiltInKind("networking.k8s.io/v1", "IngressClass", namespaced=False),
    BuiltInKind("networking.k8s.io/v1", "IPAddress", namespaced=False),
    BuiltInKind("networking.k8s.io/v1", "NetworkPolicy"),
    BuiltInKind("networking.k8s.io/v1", "ServiceCIDR", namespaced=False),
    BuiltInKind("node.k8s.io/v1", "RuntimeClass", namespaced=False),
    BuiltInKind("policy/v1", "PodDisruptionBudget", mode=WatchMode.DEFAULT),
    BuiltInKind("rbac.authorization.k8s.io/v1", "ClusterRole", namespaced=False),
    BuiltInKind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", namespaced=False),
    BuiltInKind("rbac.authorization.k8s.io/v1", "Role"),
    BuiltInKind("rbac.authorization.k8s.io/v1", "RoleBinding"),
    BuiltInKind("resource.k8s.io/v1", "DeviceClass", namespaced=False),
    BuiltInKind("resource.k8s.io/v1", "ResourceClaim"),
    BuiltInKind("resource.k8s.io/v1", "ResourceClaimTemplate"),
    BuiltInKind("resource.k8s.io/v1", "ResourceSlice", namespaced=False),
    BuiltInKind("scheduling.k8s.io/v1", "PriorityClass", namespaced=False, mode=WatchMode.ADDED_WHOLE),
    BuiltInKind("storage.k8s.io/v1", "CSIDriver", namespaced=False),
    BuiltInKind("storage.k8s.io/v1", "CSINode", namespaced=False),
    BuiltInKind("storage.k8s.io/v1", "CSIStorageCapacity"),
    BuiltInKind("storage.k8s.io/v1", "StorageClass", False, WatchMode.ADDED_METADATA),
    BuiltInKind("storage.k8s.io/v1", "VolumeAttachment", namespaced=False),
    BuiltInKind("storage.k8s.io/v1", "VolumeAttributesClass", namespaced=False),
)


def group_of(api_version: str) -> str:
    """Return the API group of an API version: ``apps`` for ``apps/v1``, empty for ``v1`` (the core group)."""
    return api_version.rpartition("/")[0]


def plural_of(kind: str) -> str:
    """Return the plural of a kind as the API conventions form it: ``networkpolicies`` for ``NetworkPolicy``."""
    word = kind.lower()
    if word == "endpoints":
        return word
    if word.endswith("y") and word[-2:-1] not in ("a", "e", "i", "o", "u"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


_API_VERSIONS = {row.kind: row.api_version for row in BUILT_IN}
_BY_PLURAL = {plural_of(row.kind): row.kind for row in BUILT_IN}
_KINDS = {row.resource: row.kind for row in BUILT_IN}


def api_version_of(kind: str) -> str:
    """Return the API version of the built-in kind with this name; empty if there is none."""
    return _API_VERSIONS.get(kind, "")


def kind_of_plural(plural: str) -> str:
    """Return the built-in kind with this plural, such as ``Pod`` for ``pods``; empty if there is none."""
    return _BY_PLURAL.get(plural, "")


def resource_of(api_version: str, kind: str) -> str:
    """Return the resource that serves a kind; without an API version, the built-in kind with this name.

    Raises:
        ValueError: there is no API version and the kind is not built in, or the names are not valid.
    """
    version = api_version or api_version_of(kind)
    if not version:
        raise ValueError(f"the object of kind {quoted(kind)} has no apiVersion")
    resource = f"{version}/{plural_of(kind)}"
    if not is_resource(resource):
        raise ValueError(f"the object has an invalid kind or apiVersion: {quoted(f'{kind}, {version}')}")
    return resource


@lru_cache(maxsize=4096)
def is_resource(text: str) -> bool:
    """True if a text is a valid name of a resource, such as ``v1/pods`` or ``apps/v1/deployments``."""
    return _RESOURCE.fullmatch(text) is not None


def built_in_kinds() -> Iterator[tuple[str, str]]:
    """(API version, kind) of every built-in kind."""
    return ((row.api_version, row.kind) for row in BUILT_IN)


def kind_of(resource: str) -> str:
    """Return the kind that a built-in resource serves; empty for any other resource."""
    return _KINDS.get(resource, "")
