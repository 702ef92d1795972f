"""The resources to watch now, from the selection, the referenced kinds, and the resources that the server serves."""

import logging
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import TypeVar

import msgspec

from kspan.errors import SettingsError
from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.errors import ApiError
from kspan.ingest.watch.resources.discovery import Discovery
from kspan.ingest.watch.resources.selection import Selection, WatchName, find, parse_watch
from kspan.k8s.kinds import api_version_of, group_of
from kspan.k8s.resources import ADDITIONAL, ServerResource, WatchTarget, can_be_watched, is_watched_when_referenced

log = logging.getLogger("kspan.watch")

_K = TypeVar("_K")

MAX_REFERENCED = 1_000
"""Referenced kinds that are remembered: the author of an Event can name anything."""


class Wanted(msgspec.Struct, frozen=True):
    """The resources to watch beyond the default and the additional ones."""

    targets: list[WatchTarget]
    selected: frozenset[str]
    """The resources among them that the user selected, by name or with ``--all-kinds``."""
    absent: tuple[str, ...]
    """Selected names that the API server does not know."""
    complete: bool
    """False if the API server did not answer every question."""


class Plan:
    """Turns selected names and referenced kinds into watch targets.

    ``is_new`` is for all threads, the rest for one. Raises SettingsError if a selected name is not valid.
    """

    def __init__(self, selection: Selection, discovery: Discovery, resumed: tuple[str, ...] = ()) -> None:
        self._selection = selection
        self._discovery = discovery
        self._names = {text: parse_watch(text) for text in selection.watch}
        known = (*selection.defaults(), *selection.additional())
        self._default = {(target.group, target.kind) for target in known}
        self._seen: set[tuple[str, str]] = set()
        self._referenced: dict[tuple[str, str], WatchTarget | None] = {}
        self._resumed: dict[str, WatchTarget | None] = {}
        if selection.follows_references:
            # Additional resources that are not among them are not wanted any more.
            begun = {target.resource for target in (*known, *ADDITIONAL)}
            self._resumed = {resource: None for resource in resumed if resource not in begun}
        self._selected: dict[str, WatchTarget | None] = {}
        self._everything: list[WatchTarget] = []

    @property
    def needs_discovery(self) -> bool:
        """True if discovery must be complete before everything that was selected is watched."""
        return bool(self._names) or self._selection.all_kinds

    @property
    def follows_crds(self) -> bool:
        """True if kinds that are added to or removed from the cluster change the plan."""
        custom = any(name.group and "." in name.group for name in self._names.values())
        return self._selection.follows_references or custom

    def is_new(self, api_version: str, kind: str) -> bool:
        """True if a kind is referenced for the first time and is to be watched for it."""
        reference = (api_version, kind)
        if reference in self._seen or len(self._seen) >= MAX_REFERENCED:
            return False
        self._seen.add(reference)
        if not self._selection.follows_references or self._selection.all_kinds:
            return False
        return (group_of(api_version), kind) not in self._default

    def add(self, api_version: str, kind: str) -> None:
        """Add a referenced kind; without an API version, the built-in kind with this name."""
        api_version = api_version or api_version_of(kind)
        if not api_version:
            return
        if (group_of(api_version), kind) not in self._default:
            self._referenced.setdefault((api_version, kind), None)

    def forget(self) -> None:
        """Drop cached discovery, so that the API server is asked again."""
        self._discovery.forget()

    def wanted(self) -> Wanted:
        """Return the resources to watch beyond the default ones. If discovery fails, its last answer is used."""
        complete = True
        for text, name in self._names.items():
            complete &= self._update(self._selected, text, partial(self._find, name))
        for reference in self._referenced:
            complete &= self._update(self._referenced, reference, partial(self._resolve, *reference))
        for resource in self._resumed:
            complete &= self._update(self._resumed, resource, partial(self._resolve_resource, resource))
        if self._selection.all_kinds:
            try:
                self._everything = [item.target() for item in self._discovery.everything() if can_be_watched(item)]
            except ApiError as error:
                complete = _incomplete(error)
        selected = [*self._everything, *(target for target in self._selected.values() if target)]
        others = [target for known in (self._referenced, self._resumed) for target in known.values() if target]
        targets = {target.resource: target for target in (*selected, *others)}
        absent = tuple(text for text, target in self._selected.items() if target is None)
        return Wanted(list(targets.values()), frozenset(target.resource for target in selected), absent, complete)

    # -----------------------------------------------------------------------------------------------------------------

    def _update(self, known: dict[_K, WatchTarget | None], key: _K, ask: Callable[[], WatchTarget | None]) -> bool:
        try:
            known[key] = ask()
        except ApiError as error:
            return _incomplete(error)
        return True

    def _find(self, name: WatchName) -> WatchTarget | None:
        discovery = self._discovery
        found = _of_version(name, discovery) if name.version else find(name, discovery.everything())
        return found.target() if found else None

    def _resolve(self, api_version: str, kind: str) -> WatchTarget | None:
        found = self._discovery.resolve(api_version, kind)
        return found.target() if found and is_watched_when_referenced(found) else None

    def _resolve_resource(self, resource: str) -> WatchTarget | None:
        api_version, _, plural = resource.rpartition("/")
        for item in self._discovery.version(api_version):
            if item.name == plural and is_watched_when_referenced(item):
                # If the group's preferred version has changed, its resource is watched instead.
                return self._resolve(api_version, item.kind)
        return None


def check_names(connection: Connection, selection: Selection) -> None:
    """Raise SettingsError if the API server does not have a selected resource, and cannot have it later.

    A name with the group of a custom resource is accepted: its CustomResourceDefinition may follow. Nothing can be
    checked while the API server does not answer.
    """
    discovery = Discovery(connection)
    for text in selection.watch:
        name = parse_watch(text)
        if name.group is not None and "." in name.group:
            continue
        try:
            served = discovery.everything()
            known = find(name, served) or (name.version and _of_version(name, discovery))
        except ApiError:
            return
        if not known and not discovery.silent:
            near = get_close_matches(name.name, sorted({word for item in served for word in item.words}), 3)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "'kubectl api-resources' lists them"
            raise SettingsError(f"--watch {text!r}: the API server has no such resource; {hint}")


def _of_version(name: WatchName, discovery: Discovery) -> ServerResource | None:
    """Return the resource in the version that a name states; None if it is not served."""
    api_version = "/".join(part for part in (name.group, name.version) if part)
    return find(name, discovery.version(api_version))


def _incomplete(error: ApiError) -> bool:
    log.warning("discovery failed: %s", error)
    return False
