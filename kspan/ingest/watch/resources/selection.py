"""The selection of resources: the default ones, ``--watch``, ``--namespace`` and ``--all-kinds``. Pure."""

import re
from collections.abc import Iterable

import msgspec

from kspan.errors import SettingsError
from kspan.k8s.events_api import EVENTS, OF_CLUSTER_SCOPED, is_second_events_api
from kspan.k8s.resources import ADDITIONAL, DEFAULT, GRANTED, ServerResource, WatchTarget, can_be_watched

_WORD = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
"""A DNS label, apart from its length (k8s.io/apimachinery/pkg/util/validation/validation.go, IsDNS1123Label)."""

_MAX_LABEL = 63


class Selection(msgspec.Struct, frozen=True):
    """The resources and namespaces that the user wants to watch. Raises SettingsError for an invalid namespace."""

    watch: tuple[str, ...] = ()
    """Names as kubectl accepts them. They replace the default resources and the kinds that objects reference."""
    namespaces: tuple[str, ...] = ()
    """The namespaces to watch (empty: all). Cluster-scoped resources such as Nodes are always watched."""
    all_kinds: bool = False
    """Watch every kind that the API server serves, too."""
    additional_kinds: bool = False
    """Watch the additional resources, too, where the API server allows it."""
    secrets: bool = False
    """Watch the metadata of Secrets, too."""

    def __post_init__(self) -> None:
        for name in self.namespaces:
            if len(name) > _MAX_LABEL or not _WORD.fullmatch(name):
                raise SettingsError(
                    f"invalid --namespace {name!r}: use the name of one namespace: shop; repeat the option for more"
                )

    @property
    def follows_references(self) -> bool:
        """True if a kind is watched as soon as an owner reference or an Event references it."""
        return not self.watch or self.all_kinds

    def defaults(self) -> tuple[WatchTarget, ...]:
        """The resources that are watched without discovery, except the additional ones."""
        replaced = self.watch and not self.all_kinds
        return (*(() if replaced else DEFAULT), *(GRANTED if self.secrets else ()))

    def additional(self) -> tuple[WatchTarget, ...]:
        """The resources that are watched if the API server allows it. A refusal does not matter."""
        return ADDITIONAL if self.additional_kinds and (self.all_kinds or not self.watch) else ()

    def namespaces_of(self, target: WatchTarget) -> tuple[str, ...]:
        """The namespaces in which a target is watched; one empty name stands for the whole cluster.

        Events about Nodes and other cluster-scoped objects are watched with any namespace.
        """
        if not self.namespaces or not target.namespaced:
            return ("",)
        if target.resource == EVENTS and "default" not in self.namespaces:
            return (*self.namespaces, OF_CLUSTER_SCOPED)
        return self.namespaces


class WatchName(msgspec.Struct, frozen=True):
    """A value of ``--watch``. Without a group, any group matches; without a version, the preferred one."""

    name: str
    group: str | None = None
    version: str | None = None


_VERSION = re.compile(r"v[0-9]+((alpha|beta)[0-9]+)?")


def parse_watch(text: str) -> WatchName:
    """Parse a value of ``--watch``. Raises SettingsError.

    Accepted forms: ``pods``, ``deploy``, ``deployments.apps``, ``deployments.v1.apps``, ``widgets.example.com``,
    ``v1/pods``, ``apps/v1/deployments``.
    """
    name = text.strip().lower()
    if not all(_WORD.fullmatch(part) for piece in name.split("/") for part in piece.split(".")):
        raise SettingsError(f"invalid --watch {text!r}: use the name of a resource: pods, deploy, widgets.example.com")
    pieces = name.split("/")
    if len(pieces) == 3:
        return WatchName(pieces[2], pieces[0], pieces[1])
    if len(pieces) == 2 and _VERSION.fullmatch(pieces[0]):
        return WatchName(pieces[1], "", pieces[0])
    if len(pieces) > 1:
        raise SettingsError(f"invalid --watch {text!r}: use group/version/resource, such as apps/v1/deployments")
    word, _, group = name.partition(".")
    version, _, rest = group.partition(".")
    if _VERSION.fullmatch(version):
        return WatchName(word, rest, version)
    return WatchName(word, group or None)


def find(wanted: WatchName, resources: Iterable[ServerResource]) -> ServerResource | None:
    """Return the first matching resource in the server's order, as kubectl does."""
    group, version = wanted.group, wanted.version
    if group is not None and is_second_events_api(group):
        group, version = "", None
    for resource in resources:
        if wanted.name not in resource.words or not can_be_watched(resource):
            continue
        if group in (None, resource.group) and version in (None, resource.version):
            return resource
    return None
