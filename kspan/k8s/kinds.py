"""Kinds and the resources that serve them. Pure.

A resource is named by the API version and the plural, ``v1/pods`` or ``apps/v1/deployments``; an object knows its
``apiVersion`` and ``kind`` only. Discovery would tell for sure, but a file has no API server behind it.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from kspan.k8s.strict_json import shown

_RESOURCE = re.compile(r"(?:[a-z0-9.-]{1,253}/)?[a-z0-9.-]{1,63}/[a-z0-9.-]{1,253}")

_BUILT_IN: dict[str, tuple[str, ...]] = {
    "v1": (
        "ConfigMap",
        "Endpoints",
        "Event",
        "LimitRange",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Pod",
        "PodTemplate",
        "ReplicationController",
        "ResourceQuota",
        "Secret",
        "Service",
        "ServiceAccount",
    ),
    "admissionregistration.k8s.io/v1": (
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    ),
    "apiextensions.k8s.io/v1": ("CustomResourceDefinition",),
    "apiregistration.k8s.io/v1": ("APIService",),
    "apps/v1": ("ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "batch/v1": ("CronJob", "Job"),
    "certificates.k8s.io/v1": ("CertificateSigningRequest",),
    "coordination.k8s.io/v1": ("Lease",),
    "discovery.k8s.io/v1": ("EndpointSlice",),
    "flowcontrol.apiserver.k8s.io/v1": ("FlowSchema", "PriorityLevelConfiguration"),
    "networking.k8s.io/v1": ("Ingress", "IngressClass", "IPAddress", "NetworkPolicy", "ServiceCIDR"),
    "node.k8s.io/v1": ("RuntimeClass",),
    "policy/v1": ("PodDisruptionBudget",),
    "rbac.authorization.k8s.io/v1": ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
    "resource.k8s.io/v1": ("DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice"),
    "scheduling.k8s.io/v1": ("PriorityClass",),
    "storage.k8s.io/v1": (
        "CSIDriver",
        "CSINode",
        "CSIStorageCapacity",
        "StorageClass",
        "VolumeAttachment",
        "VolumeAttributesClass",
    ),
}


def plural_of(kind: str) -> str:
    """The plural that serves a kind, as the API conventions form it: ``NetworkPolicy`` gives ``networkpolicies``."""
    word = kind.lower()
    if word == "endpoints":
        return word
    if word.endswith("y") and word[-2:-1] not in ("a", "e", "i", "o", "u"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


_API_VERSIONS = {kind: version for version, kinds in _BUILT_IN.items() for kind in kinds}
_KINDS = {f"{version}/{plural_of(kind)}": kind for kind, version in _API_VERSIONS.items()}


def resource_of(api_version: str, kind: str) -> str:
    """The resource of a kind; without an API version, that of the built-in kind of this name.

    Raises ValueError where there is no API version and the kind is not built in, or the two are no names.
    """
    version = api_version or _API_VERSIONS.get(kind)
    if not version:
        raise ValueError(f"the object of kind {shown(kind)} has no apiVersion")
    resource = f"{version}/{plural_of(kind)}"
    if not is_resource(resource):
        raise ValueError(f"the object has a kind and an apiVersion that are no names: {shown(f'{kind}, {version}')}")
    return resource


@lru_cache(maxsize=4096)
def is_resource(text: str) -> bool:
    """Whether a text can name a resource: ``v1/pods``, ``apps/v1/deployments``."""
    return _RESOURCE.fullmatch(text) is not None


def built_in_kinds() -> Iterator[tuple[str, str]]:
    """(API version, kind) of every built-in kind."""
    return ((version, kind) for version, kinds in _BUILT_IN.items() for kind in kinds)


def kind_of(resource: str) -> str:
    """The kind that a built-in resource serves; empty for any other."""
    return _KINDS.get(resource, "")
