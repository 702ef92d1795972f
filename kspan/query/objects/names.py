"""Parses names of objects and kinds as kubectl does: ``KIND/NAME``, short names, groups. Pure."""

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
    """A kind as a user wrote it: ``word`` in lower case, ``group`` if given (empty: the core group).

    ``built_in`` and ``built_in_group`` are the built-in kind of this name, empty if there is none.
    """

    word: str
    group: str | None = None
    built_in: str = ""
    built_in_group: str = ""

    @property
    def written(self) -> str:
        """The word with its group."""
        return f"{self.word}.{self.group}" if self.group else self.word

    def means(self, kind: str) -> bool:
        """Return whether the word is this kind or its plural."""
        return self.word in (kind.lower(), plural_of(kind))


class ObjectName(msgspec.Struct, frozen=True):
    """An object as a user wrote it; ``namespace`` is empty if none was given."""

    kind: KindName
    namespace: str
    name: str


def parse_object(words: tuple[str, ...], namespace: str = "") -> ObjectName:
    """Parse ``KIND/NAME`` or ``KIND NAME``, with an optional namespace (``KIND/NS/NAME``, ``KIND NS/NAME``).

    Raises QueryError.
    """
    parts = [part for word in words for part in word.split("/")]
    odd = len(words) > 2 or (len(words) == 2 and "/" in words[0])
    if odd or len(parts) not in (2, 3) or not all(parts):
        raise QueryError(f"invalid object {' '.join(words)!r}: use KIND/NAME, such as pod/web-0 or deploy/web")
    inside = parts[1] if len(parts) == 3 else ""
    if inside and namespace and inside != namespace:
        raise QueryError(
            f"{' '.join(words)!r} is in namespace {inside!r}, but --namespace is {namespace!r}: remove one of them"
        )
    return ObjectName(parse_kind(parts[0]), namespace or inside, parts[-1])


def parse_kind(text: str) -> KindName:
    """Parse ``Pod``, ``pods``, ``po``, ``deployments.apps``, ``deployments.v1.apps`` or ``widgets.example.com``."""
    word, dot, rest = text.strip().lower().partition(".")
    version, _, group = rest.partition(".")
    if len(version) > 1 and version[0] == "v" and version[1].isdigit():
        rest = group
    built_in, of_group = _words().get(word, ("", ""))
    return KindName(word, rest if dot else None, built_in, of_group)


def group_of(api_version: str) -> str:
    """Return the group of an API version: ``apps`` for ``apps/v1``, empty for the core group."""
    return api_version.rpartition("/")[0]


def kubectl_names() -> list[str]:
    """Return the names of all built-in kinds: singular, plural and short."""
    return list(_words())


@cache
def _words() -> dict[str, tuple[str, str]]:
    """Return (kind, group) by every name of a built-in kind that kubectl accepts."""
    groups = {kind: group_of(version) for version, kind in built_in_kinds()}
    found = {short: (kind, groups[kind]) for short, kind in _SHORT_NAMES.items()}
    for kind, group in groups.items():
        found[kind.lower()] = found[plural_of(kind)] = (kind, group)
    return found
