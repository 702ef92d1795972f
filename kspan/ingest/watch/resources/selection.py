"""What is to be watched: the default, and what ``--watch``, ``--namespace`` and ``--all-kinds`` make of it. Pure."""

import re
from collections.abc import Iterable

import msgspec

from kspan.errors import SettingsError
from kspan.k8s.resources import DEFAULT, ServerResource, WatchTarget, is_shown


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

    def defaults(self) -> tuple[WatchTarget, ...]:
        """What is watched without asking the API server what it has."""
        return () if self.watch and not self.all_kinds else DEFAULT

    def scopes(self, target: WatchTarget) -> tuple[str, ...]:
        """The namespaces in which a target is watched; an empty name is all of the cluster."""
        return self.namespaces if target.namespaced and self.namespaces else ("",)


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
