"""Which resources are to be watched now: the selection, what was named so far, and what the API server has."""

import logging
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from kspan.ingest.watch.client.errors import ApiError
from kspan.ingest.watch.resources.discovery import Discovery
from kspan.ingest.watch.resources.selection import Selection, WatchName, find, parse_watch
from kspan.k8s.kinds import resource_of
from kspan.k8s.resources import WatchTarget, is_followed, is_shown

log = logging.getLogger("kspan.watch")

_K = TypeVar("_K")

MANY = 1_000
"""Kinds that are followed at most: an Event may name whatever its author likes."""


class Wanted(msgspec.Struct, frozen=True):
    """``targets`` beyond the default; ``asked`` of them were asked for by name (or are all kinds there are).

    ``absent`` are names that the API server does not know. ``complete`` is false where it did not answer in full.
    """

    targets: list[WatchTarget]
    asked: frozenset[str]
    absent: tuple[str, ...]
    complete: bool


class Plan:
    """Turns names into targets. ``is_new`` is for all threads, the rest for one.

    Raises SettingsError where a name of the selection is none.
    """

    def __init__(self, selection: Selection, discovery: Discovery, resumed: tuple[str, ...] = ()) -> None:
        self._selection = selection
        self._discovery = discovery
        self._names = {text: parse_watch(text) for text in selection.watch}
        self._default = {(target.group, target.kind): target for target in selection.defaults()}
        self._noticed: set[tuple[str, str]] = set()
        self._named: dict[tuple[str, str], WatchTarget | None] = {}
        known = {target.resource for target in selection.defaults()}
        self._resumed: dict[str, WatchTarget | None] = {}
        if selection.follows_names:
            self._resumed = {resource: None for resource in resumed if resource not in known}
        self._asked: dict[str, WatchTarget | None] = {}
        self._everything: list[WatchTarget] = []

    @property
    def asks_first(self) -> bool:
        """Whether the API server must be asked what it has before all that was asked for is watched."""
        return bool(self._names) or self._selection.all_kinds

    @property
    def follows_crds(self) -> bool:
        """Whether it matters that kinds come and go."""
        custom = any(name.group and "." in name.group for name in self._names.values())
        return self._selection.follows_names or custom

    def is_new(self, api_version: str, kind: str) -> bool:
        """Whether this kind was not named before, and naming it matters."""
        pair = (api_version, kind)
        if pair in self._noticed or len(self._noticed) >= MANY:
            return False
        self._noticed.add(pair)
        if not self._selection.follows_names or self._selection.all_kinds:
            return False
        return (api_version.rpartition("/")[0], kind) not in self._default

    def add(self, api_version: str, kind: str) -> None:
        """From now on this kind is wanted."""
        if not api_version:
            try:
                api_version = resource_of("", kind).rpartition("/")[0]
            except ValueError:
                return
        if (api_version.rpartition("/")[0], kind) not in self._default:
            self._named.setdefault((api_version, kind), None)

    def forget(self) -> None:
        """Ask the API server anew what it has."""
        self._discovery.forget()

    def wanted(self) -> Wanted:
        """What is to be watched beyond the default. Where the API server does not answer: what it was before."""
        complete = True
        for text, name in self._names.items():
            complete &= self._update(self._asked, text, partial(self._find, name))
        for pair in self._named:
            complete &= self._update(self._named, pair, partial(self._resolve, *pair))
        for resource in self._resumed:
            complete &= self._update(self._resumed, resource, partial(self._serving, resource))
        if self._selection.all_kinds:
            try:
                self._everything = [item.target() for item in self._discovery.everything() if is_shown(item)]
            except ApiError as error:
                complete = _incomplete(error)
        asked = [*self._everything, *(target for target in self._asked.values() if target)]
        others = [target for known in (self._named, self._resumed) for target in known.values() if target]
        targets = {target.resource: target for target in (*asked, *others)}
        absent = tuple(text for text, target in self._asked.items() if target is None)
        return Wanted(list(targets.values()), frozenset(target.resource for target in asked), absent, complete)

    # ------------------------------------------------------------------------------------------------------------------

    def _update(self, known: dict[_K, WatchTarget | None], key: _K, ask: Callable[[], WatchTarget | None]) -> bool:
        try:
            known[key] = ask()
        except ApiError as error:
            return _incomplete(error)
        return True

    def _find(self, name: WatchName) -> WatchTarget | None:
        api_version = "/".join(part for part in (name.group, name.version) if part)
        preferred = None if name.version else find(name, self._discovery.everything())
        found = preferred or (find(name, self._discovery.version(api_version)) if name.version else None)
        return found.target() if found else None

    def _resolve(self, api_version: str, kind: str) -> WatchTarget | None:
        found = self._discovery.resolve(api_version, kind)
        return found.target() if found and is_followed(found) else None

    def _serving(self, resource: str) -> WatchTarget | None:
        api_version, _, plural = resource.rpartition("/")
        for item in self._discovery.version(api_version):
            if item.name == plural and is_followed(item):
                # Not if the preferred version has changed meanwhile: that one will be named.
                return self._resolve(api_version, item.kind)
        return None


def _incomplete(error: ApiError) -> bool:
    log.warning("the API server does not tell what it has: %s", error)
    return False
