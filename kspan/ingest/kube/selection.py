"""What is to be watched: the default, and what ``--watch``, ``--namespace`` and ``--all-kinds`` make of it. Pure."""

import re
from collections.abc import Iterable

import msgspec

from kspan.errors import SettingsError
from kspan.ingest.kinds import kind_of
from kspan.ingest.normalize import accepts


class Target(msgspec.Struct, frozen=True):
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

    def target(self) -> Target:
        """This resource as something to watch.

        In full where causality reads the spec or the status: the built-in kinds that make causes, and custom resources
        (a span says what changed in the spec). Of anything else the metadata tell who owns it, who changed it and
        when; of Secrets and ConfigMaps nothing else is ever asked for.
        """
        resource = f"{self.api_version}/{self.name}"
        return Target(resource, self.kind, self.namespaced, not accepts(resource))


class Selection(msgspec.Struct, frozen=True):
    """What the user wants watched.

    ``watch`` replaces the default resources, and the kinds that objects name; names are those that kubectl takes.
    ``namespaces`` limits what is in namespaces, not what is outside them (Nodes). ``all_kinds`` adds every other kind.
    """

    watch: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    all_kinds: bool = False

    @property
    def follows_names(self) -> bool:
        """Whether a kind is watched as soon as an owner reference or an Event names it."""
        return not self.watch or self.all_kinds

    def defaults(self) -> tuple[Target, ...]:
        """What is watched without asking the API server what it has."""
        return () if self.watch and not self.all_kinds else DEFAULT

    def scopes(self, target: Target) -> tuple[str, ...]:
        """The namespaces in which a target is watched; an empty name is all of the cluster."""
        return self.namespaces if target.namespaced and self.namespaces else ("",)


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

DEFAULT = tuple(Target(name, kind_of(name), name not in _CLUSTER_WIDE, metadata_only=False) for name in _DEFAULT)
"""What makes causes on every cluster."""

CRDS = Target("apiextensions.k8s.io/v1/customresourcedefinitions", "CustomResourceDefinition", False, True)
"""Watched to notice when kinds come and go; not delivered."""

_HEARTBEATS = frozenset({("coordination.k8s.io", "leases"), ("", "endpoints")})
"""Leader election has Events about these, and writes them every two seconds: watched only where they are asked for."""


def is_followed(resource: ServerResource) -> bool:
    """Whether a resource is watched because something named its kind."""
    return is_shown(resource) and (resource.group, resource.name) not in _HEARTBEATS


def is_shown(resource: ServerResource) -> bool:
    """Whether a resource can be watched, and is not another view of one that is (as events.k8s.io of Events)."""
    return resource.watchable and resource.group != "events.k8s.io"


class WatchName(msgspec.Struct, frozen=True):
    """A value of ``--watch``; None: any group, the preferred version."""

    name: str
    group: str | None = None
    version: str | None = None


_WORD = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_VERSION = re.compile(r"v[0-9]+((alpha|beta)[0-9]+)?")


def parse_watch(text: str) -> WatchName:
    """``pods``, ``deploy``, ``deployments.apps``, ``deployments.v1.apps``, ``widgets.example.com``, ``v1/pods``,
    ``apps/v1/deployments``. Raises SettingsError."""
    name = text.strip().lower()
    if not all(_WORD.fullmatch(part) for piece in name.split("/") for part in piece.split(".")):
        raise SettingsError(f"--watch {text!r} is no name of a resource (such as pods, deploy, widgets.example.com)")
    pieces = name.split("/")
    if len(pieces) == 3:
        return WatchName(pieces[2], pieces[0], pieces[1])
    if len(pieces) == 2 and _VERSION.fullmatch(pieces[0]):
        return WatchName(pieces[1], "", pieces[0])
    if len(pieces) > 1:
        raise SettingsError(f"--watch {text!r}: write group/version/resource, such as apps/v1/deployments")
    word, _, group = name.partition(".")
    version, _, rest = group.partition(".")
    if _VERSION.fullmatch(version):
        return WatchName(word, rest, version)
    return WatchName(word, group or None)


def find(wanted: WatchName, resources: Iterable[ServerResource]) -> ServerResource | None:
    """The first of these (in the server's order, as kubectl does) that is meant."""
    # events.k8s.io shows the same stored objects as the core API.
    group = "" if wanted.group == "events.k8s.io" else wanted.group
    version = None if wanted.group == "events.k8s.io" else wanted.version
    for resource in resources:
        if wanted.name not in resource.words or not is_shown(resource):
            continue
        if group in (None, resource.group) and version in (None, resource.version):
            return resource
    return None
