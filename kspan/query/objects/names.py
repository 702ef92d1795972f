"""What people call objects: KIND/NAME as kubectl takes it. Pure."""

from functools import cache
from typing import Final

import msgspec

from kspan.errors import QueryError
from kspan.k8s.kinds import built_in_kinds, plural_of

# `kubectl api-resources` of Kubernetes 1.36.
_SHORT_NAMES: Final = {
    "cj": "CronJob",
    "cm": "ConfigMap",
    "crd": "CustomResourceDefinition",
    "crds": "CustomResourceDefinition",
    "csr": "CertificateSigningRequest",
    "deploy": "Deployment",
    "ds": "DaemonSet",
    "ep": "Endpoints",
    "ev": "Event",
    "hpa": "HorizontalPodAutoscaler",
    "ing": "Ingress",
    "ip": "IPAddress",
    "limits": "LimitRange",
    "netpol": "NetworkPolicy",
    "no": "Node",
    "ns": "Namespace",
    "pc": "PriorityClass",
    "pdb": "PodDisruptionBudget",
    "po": "Pod",
    "pv": "PersistentVolume",
    "pvc": "PersistentVolumeClaim",
    "quota": "ResourceQuota",
    "rc": "ReplicationController",
    "rs": "ReplicaSet",
    "sa": "ServiceAccount",
    "sc": "StorageClass",
    "sts": "StatefulSet",
    "svc": "Service",
    "vac": "VolumeAttributesClass",
}


class KindName(msgspec.Struct, frozen=True):
    """A kind as somebody named it: ``word`` in lower case, ``group`` if one was given (empty: the core group).

    ``built_in`` and ``built_in_group`` are the built-in kind that the word means, empty where it means none.
    """

    word: str
    group: str | None = None
    built_in: str = ""
    built_in_group: str = ""

    def means(self, kind: str) -> bool:
        """Whether the word is this kind, or its plural."""
        return self.word in (kind.lower(), plural_of(kind))


class ObjectName(msgspec.Struct, frozen=True):
    """An object as somebody named it; ``namespace`` is empty where none was given."""

    kind: KindName
    namespace: str
    name: str


def parse_object(words: tuple[str, ...], namespace: str = "") -> ObjectName:
    """``KIND/NAME``, ``KIND NAME``, or with the namespace before the name (``KIND/NS/NAME``, ``KIND NS/NAME``).

    Raises QueryError.
    """
    parts = [part for word in words for part in word.split("/")]
    odd = len(words) > 2 or (len(words) == 2 and "/" in words[0])
    if odd or len(parts) not in (2, 3) or not all(parts):
        raise QueryError(f"{' '.join(words)!r} names no object: write KIND/NAME, such as pod/web-0 or deploy/web")
    inside = parts[1] if len(parts) == 3 else ""
    if inside and namespace and inside != namespace:
        raise QueryError(f"{' '.join(words)!r} is in namespace {inside!r}, but -n says {namespace!r}")
    return ObjectName(parse_kind(parts[0]), namespace or inside, parts[-1])


def parse_kind(text: str) -> KindName:
    """``Pod``, ``pods``, ``po``, ``deployments.apps``, ``deployments.v1.apps``, ``widgets.example.com``."""
    word, dot, rest = text.strip().lower().partition(".")
    version, _, group = rest.partition(".")
    if len(version) > 1 and version[0] == "v" and version[1].isdigit():
        rest = group
    built_in, of_group = _words().get(word, ("", ""))
    return KindName(word, rest if dot else None, built_in, of_group)


def group_of(api_version: str) -> str:
    """``apps`` of ``apps/v1``; empty for the core group."""
    return api_version.rpartition("/")[0]


@cache
def _words() -> dict[str, tuple[str, str]]:
    """(kind, group) of everything that kubectl calls a built-in kind."""
    groups = {kind: group_of(version) for version, kind in built_in_kinds()}
    found = {short: (kind, groups[kind]) for short, kind in _SHORT_NAMES.items()}
    for kind, group in groups.items():
        found[kind.lower()] = found[plural_of(kind)] = (kind, group)
    return found
