"""The resources that kspan watches: their names, URL paths, and how much of each object is read. Pure."""

from functools import lru_cache

import msgspec

from kspan.k8s.events_api import is_second_events_api
from kspan.k8s.kinds import BUILT_IN, WatchMode, group_of


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
        return group_of(self.api_version)

    @property
    def plural(self) -> str:
        """``deployments``."""
        return self.resource.rpartition("/")[2]

    def path(self, namespace: str = "") -> str:
        """The URL path of the collection, in one namespace or (empty) in all."""
        version = self.api_version
        prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
        inside = f"/namespaces/{namespace}" if namespace else ""
        return f"{prefix}{inside}/{self.plural}"


class ServerResource(msgspec.Struct, frozen=True):
    """A resource that an API server serves; ``group`` is empty for the core group."""

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
        """This resource as a target to watch."""
        resource = f"{self.api_version}/{self.name}"
        return WatchTarget(resource, self.kind, self.namespaced, not is_watched_whole(resource))


def _targets(*modes: WatchMode, metadata_only: bool) -> tuple[WatchTarget, ...]:
    rows = [row for row in BUILT_IN if row.mode in modes]
    return tuple(WatchTarget(row.resource, row.kind, row.namespaced, metadata_only) for row in rows)


DEFAULT = _targets(WatchMode.DEFAULT, metadata_only=False)
"""The resources that are watched on every cluster."""

ADDITIONAL = (
    *_targets(WatchMode.ADDED_WHOLE, metadata_only=False),
    *_targets(WatchMode.ADDED_METADATA, metadata_only=True),
)
"""The resources that are watched as well, unless the user or the API server does not want it: what others wait for, and
what is often the reason of a failure without being its cause (a ConfigMap, a Service)."""

GRANTED = _targets(WatchMode.GRANTED, metadata_only=True)
"""Secrets: only the user can allow to watch them."""

CRDS = WatchTarget("apiextensions.k8s.io/v1/customresourcedefinitions", "CustomResourceDefinition", False, True)
"""Watched to notice added and removed kinds; its objects are not journalled."""

_WHOLE_MODES = (WatchMode.DEFAULT, WatchMode.ADDED_WHOLE, WatchMode.WHOLE)
_WHOLE = frozenset((row.group, row.plural) for row in BUILT_IN if row.mode in _WHOLE_MODES)
_ON_REQUEST = frozenset((row.group, row.plural) for row in BUILT_IN if row.mode is WatchMode.ON_REQUEST)
_GRANTED = frozenset((target.group, target.plural) for target in GRANTED)


def can_be_watched(resource: ServerResource) -> bool:
    """True if a resource supports list and watch and is not a second view of another (``events.k8s.io``)."""
    return resource.watchable and not is_second_events_api(resource.group)


def is_watched_when_referenced(resource: ServerResource) -> bool:
    """True if a resource is watched as soon as an object or an Event references its kind."""
    return can_be_watched(resource) and (resource.group, resource.name) not in _ON_REQUEST | _GRANTED


@lru_cache(maxsize=4096)
def is_watched_whole(resource: str) -> bool:
    """True if whole objects of a resource are read: the built-in kinds that make causes, and every custom resource.

    Causality reads the spec and the status of these, and a span shows the changes of the spec. Metadata are enough
    for any other kind: they state its owners, its changes and their authors. Nothing else is ever requested of Secrets
    and ConfigMaps. A built-in kind counts in every version of its API group.
    """
    parts = resource.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        return False
    group = parts[0] if len(parts) == 3 else ""
    custom = "." in group and group != "k8s.io" and not group.endswith(".k8s.io")
    return custom or (group, parts[-1]) in _WHOLE


def is_replayed(resource: str) -> bool:
    """True if objects of a resource in a file enter the journal: all but the second view of the Events and heartbeats.

    Leases and Endpoints are written every two seconds by leader election, and Leases by every node.
    """
    group = group_of(resource.rpartition("/")[0])
    return is_journalled(resource) and (group, resource.rpartition("/")[2]) not in _ON_REQUEST


def is_journalled(resource: str) -> bool:
    """True if objects of a watched resource enter the journal: all but the second view of the Events."""
    return not is_second_events_api(resource.partition("/")[0])
