"""``kspan rules explain``: the Events of a recording that no rule understands, and what a rule would do for each.

What they lack is read from the traces: an Event that names another object is what rules are for, the more so where that
object changed at the time and the change is in another trace. An Event about its own object needs no rule.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

import msgspec

from kspan import vocabulary as words
from kspan.graph import Rules
from kspan.graph.rules.rules import COMBINED
from kspan.query.rules.rule_template import starter
from kspan.store import Store
from kspan.times import SECOND

NEAR = 30 * SECOND
"""A controller tells what it did within seconds (``graph.evidence.MATCH``)."""

SHAPE_LIMIT = 160

_TOKEN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERBS = ("Create", "Update", "Delete")
_SAID = {"Create": re.compile(r"(?i)\bcreat"), "Delete": re.compile(r"(?i)\b(delet|remov|evict)")}
_UNSURE = 0.5
"""A root with no more confidence than this is one because nothing is known."""

Name = tuple[str, str, str]
"""Kind, namespace, name."""


class Need(StrEnum):
    """What an Event that no rule understood lacks; those that a rule helps most come first."""

    JOINS = "joins"
    """It names another object whose change at the time is in another trace."""
    REFINES = "refines"
    """It names another object whose change at the time is in the same trace, but not below it."""
    LOST = "lost"
    """Nothing was found that it goes back to."""
    MENTIONS = "mentions"
    """It names another object to which nothing happened at the time."""
    NOTHING = "nothing"
    """It is about its own object, and goes back to what happened to that."""


class Group(msgspec.Struct):
    """Events of one form. ``shape`` is the message with names and numbers left out; ``subject`` is the kind of object
    that it names; ``rule`` is TOML to start from (empty where none is needed)."""

    need: Need
    component: str
    kind: str
    reason: str
    shape: str
    count: int
    example: str
    subject: str = ""
    verb: str = ""
    rule: str = ""


class Explained(msgspec.Struct):
    """The groups, and how many occurrences of Events there were, and how many of them rules understood."""

    events: int
    understood: int
    groups: list[Group]


def explain(store: Store, cluster: str, rules: Rules) -> Explained:
    """Groups the Events of a projection, in which everything is closed, that these rules do not understand."""
    traces = _Traces(store, cluster, rules)
    found: dict[tuple[str, ...], list[_Told]] = defaultdict(list)
    events = understood = 0
    for told in traces.events:
        events += told.count
        if rules.subject(told.component, told.kind, told.reason, told.namespace, told.message) is not None:
            understood += told.count
            continue
        traces.look(told)
        found[told.component, told.kind, told.reason, told.shape].append(told)
    groups = sorted((_group(members) for members in found.values()), key=_order)
    return Explained(events, understood, groups)


class _Told(msgspec.Struct):
    """One message of an Event, as often as it came."""

    component: str
    kind: str
    namespace: str
    name: str
    uid: str
    reason: str
    message: str
    time: int = 0
    trace: str = ""
    span: str = ""
    lost: bool = False
    count: int = 1
    need: Need = Need.NOTHING
    subject: Name | None = None
    verb: str = ""
    shape: str = ""


class _Change(msgspec.Struct):
    """Something that happened to an object."""

    verb: str
    manager: str
    time: int
    trace: str
    span: str


class _Traces:
    """What the traces tell about names: which objects bear them, what happened to those, and where that hangs."""

    def __init__(self, store: Store, cluster: str, rules: Rules) -> None:
        self.events: list[_Told] = []
        self._rules = rules
        self._bearers: dict[str, set[Name]] = defaultdict(set)
        self._changes: dict[Name, list[_Change]] = defaultdict(list)
        self._first: dict[Name, _Told] = {}
        self._seen: set[Name] = set()
        self._parents: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._names: dict[str, Name] = {}
        for row in store.projection_rows(cluster, "objects"):
            name = (row["kind"], row["namespace"], row["name"])
            self._names[row["uid"]] = name
            self._bearers[row["name"]].add(name)
            self._owners[row["uid"]] = row["owner_uid"]
            if row["resource_version"]:
                self._seen.add(name)
        for row in store.projection_rows(cluster, "spans"):
            self._span(row)

    def _span(self, row: dict[str, Any]) -> None:
        self._parents[row["span_id"]] = row["parent_span_id"]
        name = (row["object_kind"], row["object_namespace"], row["object_name"])
        if not row["event_uid"]:
            if row["reason"] in _VERBS:
                manager = row["attributes"].get(words.FIELD_MANAGER, "")
                times = (row["start_time"], row["trace_id"], row["span_id"])
                self._changes[name].append(_Change(row["reason"], manager, *times))
            return
        again = Counter(event.attributes.get(words.EVENT_MESSAGE, "") for event in row["events"])
        again[row["message"]] += 1
        lost = not row["parent_span_id"] and row["confidence"] <= _UNSURE
        for message, count in sorted(again.items()):
            told = _Told(row["service"], *name, row["object_uid"], row["reason"], message.removeprefix(COMBINED))
            told.time, told.trace, told.span = row["start_time"], row["trace_id"], row["span_id"]
            told.lost, told.count = lost, count
            self.events.append(told)
            if name not in self._first or told.time < self._first[name].time:
                self._first[name] = told

    def look(self, told: _Told) -> None:
        """Finds out what a message names, and what a rule would do for it."""
        named = list(self._named(told))
        best = min(
            ((self._need(told, other), other) for other in named), key=lambda f: (_RANK[f[0][0]], f[1]), default=None
        )
        if best is not None:
            (told.need, told.verb), told.subject = best
        if told.lost and _RANK[told.need] > _RANK[Need.LOST]:
            told.need = Need.LOST
        told.shape = self._shape(told)

    def _named(self, told: _Told) -> Iterator[Name]:
        """The other objects that a message names; what its own object belongs to does not count."""
        above = {(told.kind, told.namespace, told.name), *self._ancestors(told.uid)}
        for token in dict.fromkeys(_TOKEN.findall(told.message)):
            for other in sorted(self._bearers.get(token, ())):
                near = other[1] in ("", told.namespace) or f"{other[1]}/{token}" in told.message
                if near and other not in above and other[0] != "Namespace":
                    yield other

    def _ancestors(self, uid: str) -> Iterator[Name]:
        seen = set[str]()
        while (uid := self._owners.get(uid, "")) and uid not in seen:
            seen.add(uid)
            if uid in self._names:
                yield self._names[uid]

    def _need(self, told: _Told, other: Name) -> tuple[Need, str]:
        """What a rule would do about the change of ``other`` that came nearest, and its verb."""
        changes = [c for c in self._changes_of(other, told) if abs(c.time - told.time) <= NEAR]
        if not changes:
            return Need.MENTIONS, ""
        nearest = min(changes, key=lambda c: (abs(c.time - told.time), c.span))
        if nearest.trace != told.trace:
            return Need.JOINS, nearest.verb
        if self._is_below(nearest.span, told.span) or self._is_below(told.span, nearest.span):
            return Need.NOTHING, ""
        return Need.REFINES, nearest.verb

    def _changes_of(self, other: Name, told: _Told) -> Iterator[_Change]:
        """What controllers did to it; of an object that is only known from Events the first stands for that."""
        if other in self._seen:
            for change in self._changes.get(other, ()):
                if not self._rules.is_person(change.manager):
                    yield change
        elif (first := self._first.get(other)) is not None and first.span != told.span:
            verb = next((verb for verb, said in _SAID.items() if said.search(told.message)), "Update")
            yield _Change(verb, "", first.time, first.trace, first.span)

    def _is_below(self, span: str, above: str) -> bool:
        while span and span != above:
            span = self._parents.get(span, "")
        return bool(span)

    def _shape(self, told: _Told) -> str:
        def word(found: re.Match[str]) -> str:
            token = found[0]
            if told.subject is not None and token == told.subject[2]:
                return f"<{told.subject[0]}>"
            if token == told.name:
                return f"<{told.kind}>"
            if token == told.namespace:
                return "<namespace>"
            if "-" in token and any(bearer[1] in ("", told.namespace) for bearer in self._bearers.get(token, ())):
                return "<name>"
            return "<n>" if token.isdigit() else "<...>" if any(c.isdigit() for c in token) else token

        return _TOKEN.sub(word, " ".join(told.message.split()))[:SHAPE_LIMIT]


_RANK = {need: rank for rank, need in enumerate(Need)}


def _group(members: list[_Told]) -> Group:
    first = min(members, key=lambda told: (_RANK[told.need], told.time, told.span, told.message))
    return Group(
        need=first.need,
        component=first.component,
        kind=first.kind,
        reason=first.reason,
        shape=first.shape,
        count=sum(told.count for told in members),
        example=first.message,
        subject=first.subject[0] if first.subject is not None else "",
        verb=first.verb,
        rule=_rule(first),
    )


def _rule(told: _Told) -> str:
    if told.need in (Need.MENTIONS, Need.NOTHING):
        return ""
    return starter(told.component, told.kind, told.reason, told.message, told.subject, told.verb)


def _order(group: Group) -> tuple[int, int, Iterable[str]]:
    return _RANK[group.need], -group.count, (group.component, group.kind, group.reason, group.shape)
