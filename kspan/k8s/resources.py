"""The resources that kspan watches: names, kinds and URL paths, in one table. Pure."""

from functools import lru_cache

import msgspec

from kspan.k8s.kinds import kind_of


class WatchTarget(msgspec.Struct, frozen=True):
    """A resource to watch. ``resource`` is the stream's name: ``v1/pods``, ``apps/v1/deployments``."""

    resource: str
    kind: str
    namespaced: bool
    metadata_only: bool

    @property
    def api_version(self) -> str:
        """``v1``, ``apps/v1``."""
        return self.resource.rpartition("/")[0]

    @property
    def group(self) -> str:
        """``apps``; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def plural(self) -> str:
        """``deployments``."""
        return self.resource.rpartition("/")[2]

    def path(self, namespace: str = "") -> str:
        """The URL path of the collection, in one namespace or in all."""
        version = self.api_version
        prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
        inside = f"/namespaces/{namespace}" if namespace else ""
        return f"{prefix}{inside}/{self.plural}"


class ServerResource(msgspec.Struct, frozen=True):
    """A resource that the API server says it has; ``group`` is empty for the core group."""

    group: str
    version: str
    name: str
    kind: str
    namespaced: bool
    watchable: bool
    words: frozenset[str]
    """Plural, singular, kind and short names, in lower case."""

    @property
    def api_version(self) -> str:
        """``v1``, ``apps/v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def target(self) -> WatchTarget:
        """This resource as something to watch.

        In full where causality reads the spec or the status: the built-in kinds that make causes, and custom resources
        (a span says what changed in the spec). Of anything else the metadata tell who owns it, who changed it and
        when; of Secrets and ConfigMaps nothing else is ever asked for.
        """
        resource = f"{self.api_version}/{self.name}"
        return WatchTarget(resource, self.kind, self.namespaced, not accepts(resource))


_DEFAULT = (
    "v1/events",
    "v1/namespaces",
    "v1/nodes",
    "v1/persistentvolumeclaims",
    "v1/pods",
    "v1/resourcequotas",
    "apps/v1/controllerrevisions",
    "apps/v1/daemonsets",
    "apps/v1/deployments",
    "apps/v1/replicasets",
    "apps/v1/statefulsets",
    "autoscaling/v2/horizontalpodautoscalers",
    "batch/v1/cronjobs",
    "batch/v1/jobs",
    "policy/v1/poddisruptionbudgets",
)


_CLUSTER_WIDE = frozenset({"v1/namespaces", "v1/nodes"})


DEFAULT = tuple(WatchTarget(name, kind_of(name), name not in _CLUSTER_WIDE, metadata_only=False) for name in _DEFAULT)
"""What makes causes on every cluster."""


CRDS = WatchTarget("apiextensions.k8s.io/v1/customresourcedefinitions", "CustomResourceDefinition", False, True)
"""Watched to notice when kinds come and go; not delivered."""


_HEARTBEATS = frozenset({("coordination.k8s.io", "leases"), ("", "endpoints")})
"""Leader election has Events about these, and writes them every two seconds: watched only where they are asked for."""


def is_followed(resource: ServerResource) -> bool:
    """Whether a resource is watched because something named its kind."""
    return is_shown(resource) and (resource.group, resource.name) not in _HEARTBEATS


def is_shown(resource: ServerResource) -> bool:
    """Whether a resource can be watched, and is not another view of one that is (as events.k8s.io of Events)."""
    return resource.watchable and resource.group != "events.k8s.io"


_WATCHED = {
    "": {
        "events",
        "namespaces",
        "nodes",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "resourcequotas",
    },
    "apps": {"controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"},
    "autoscaling": {"horizontalpodautoscalers"},
    "batch": {"cronjobs", "jobs"},
    "policy": {"poddisruptionbudgets"},
}


@lru_cache(maxsize=4096)
def accepts(resource: str) -> bool:
    """Whether a daemon watches this resource by default: what makes causes, and every custom resource.

    ``events.k8s.io`` is not accepted: it shows the same stored objects as ``v1/events``.
    """
    parts = resource.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        return False
    group = parts[0] if len(parts) == 3 else ""
    if "." in group:
        return group != "k8s.io" and not group.endswith(".k8s.io")
    return parts[-1] in _WATCHED.get(group, ())
