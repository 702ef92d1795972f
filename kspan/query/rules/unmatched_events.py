"""Finds the Events of a recording that no rule matches, and what a rule would do for each (``kspan rules explain``).

A rule is for an Event about another object than the one that it is reported on. Whether an Event would need one shows
in the traces: it names another object, and a change of that object at the same time is not below the Event. An Event
about its own object needs no rule.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

import msgspec

from kspan import vocabulary as words
from kspan.graph import Rules
from kspan.graph.rules.patterns import COMBINED
from kspan.query.rules.rule_template import rule_template
from kspan.store import Store
from kspan.times import SECOND

NEAR = 30 * SECOND
"""Maximum time between an Event and the change that it reports, in ns (as ``graph.cause.evidence.MATCH``)."""

SHAPE_LIMIT = 160
"""Maximum length of a shape, in characters."""

_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERBS = ("Create", "Update", "Delete")
_VERB_IN_MESSAGE = {"Create": re.compile(r"(?i)\bcreat"), "Delete": re.compile(r"(?i)\b(delet|remov|evict)")}
_UNSURE = 0.5
"""Maximum confidence of a root that is one only because no cause was found."""

Name = tuple[str, str, str]
"""Kind, namespace and name of an object."""


class Need(StrEnum):
    """The effect that a rule would have on an Event, the most useful first."""

    JOINS = "joins"
    """Join two traces: the Event names another object, whose change at that time is in another trace."""
    REFINES = "refines"
    """Move the change below the Event: both are in the same trace."""
    LOST = "lost"
    """Name the cause of the Event: none was found."""
    MENTIONS = "mentions"
    """Nothing: the Event names another object that did not change at that time."""
    NOTHING = "nothing"
    """Nothing: the Event is about its own object, and caused by a change of it."""


class Group(msgspec.Struct):
    """Unmatched Events with the same component, kind, reason and shape."""

    need: Need
    component: str
    kind: str
    reason: str
    shape: str
    """The message without names and numbers."""
    count: int
    example: str
    subject: str = ""
    """Kind of the object that the message names."""
    verb: str = ""
    """The change of that object."""
    rule: str = ""
    """A rule to start from (TOML); empty if none is needed."""


class Explained(msgspec.Struct):
    """The result of ``explain``."""

    events: int
    """Occurrences of Events, with repeats."""
    matched: int
    """Those that a rule matches."""
    groups: list[Group]
    objects: int = 0
    """Number of objects in the input."""


def explain(store: Store, cluster: str, rules: Rules) -> Explained:
    """Group the Events that no rule matches. All traces of the projection must be closed."""
    history = _History(store, cluster, rules)
    found: dict[tuple[str, ...], list[_Message]] = defaultdict(list)
    events = matched = 0
    for message in history.messages:
        events += message.count
        if rules.subject(message.component, message.kind, message.reason, message.namespace, message.text) is not None:
            matched += message.count
            continue
        history.assess(message)
        found[message.component, message.kind, message.reason, message.shape].append(message)
    groups = sorted((_group(members) for members in found.values()), key=_order)
    return Explained(events, matched, groups, history.objects)


class _Message(msgspec.Struct):
    """A message of an Event on a span, and how often it occurred there."""

    component: str
    kind: str
    namespace: str
    name: str
    uid: str
    reason: str
    text: str
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
    """A change of an object."""

    verb: str
    manager: str
    time: int
    trace: str
    span: str


class _History:
    """The objects and spans of a projection, by name."""

    def __init__(self, store: Store, cluster: str, rules: Rules) -> None:
        self.messages: list[_Message] = []
        self._rules = rules
        self._by_name: dict[str, set[Name]] = defaultdict(set)
        self._changes: dict[Name, list[_Change]] = defaultdict(list)
        self._first: dict[Name, _Message] = {}
        self._seen: set[Name] = set()
        self._parents: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._names: dict[str, Name] = {}
        for row in store.projection_rows(cluster, "objects"):
            self._add_object(row)
        for row in store.projection_rows(cluster, "spans"):
            self._add_span(row)

    @property
    def objects(self) -> int:
        """Number of objects that were seen, not only mentioned by Events."""
        return len(self._seen)

    def _add_object(self, row: dict[str, Any]) -> None:
        name = (row["kind"], row["namespace"], row["name"])
        self._names[row["uid"]] = name
        self._by_name[row["name"]].add(name)
        self._owners[row["uid"]] = row["owner_uid"]
        if row["resource_version"]:
            self._seen.add(name)

    def _add_span(self, row: dict[str, Any]) -> None:
        self._parents[row["span_id"]] = row["parent_span_id"]
        name = (row["object_kind"], row["object_namespace"], row["object_name"])
        if row["event_uid"]:
            self._add_event(row, name)
        elif row["reason"] in _VERBS:
            manager = row["attributes"].get(words.FIELD_MANAGER, "")
            place = (row["start_time"], row["trace_id"], row["span_id"])
            self._changes[name].append(_Change(row["reason"], manager, *place))

    def _add_event(self, row: dict[str, Any], name: Name) -> None:
        texts = Counter(event.attributes.get(words.EVENT_MESSAGE, "") for event in row["events"])
        texts[row["attributes"].get(words.EVENT_MESSAGE, "")] += 1  # The status of a root says how its trace ended.
        for text, count in sorted(texts.items()):
            message = _Message(row["service"], *name, row["object_uid"], row["reason"], text.removeprefix(COMBINED))
            message.time, message.trace, message.span = row["start_time"], row["trace_id"], row["span_id"]
            message.lost = not row["parent_span_id"] and row["confidence"] <= _UNSURE
            message.count = count
            self.messages.append(message)
            if name not in self._first or message.time < self._first[name].time:
                self._first[name] = message

    def assess(self, message: _Message) -> None:
        """Set the subject of a message, its shape, and what a rule would do for it."""
        found = [(self._need(message, other), other) for other in self._named_objects(message)]
        best = min(found, key=lambda f: (_RANK[f[0][0]], f[1]), default=None)
        if best is not None:
            (message.need, message.verb), message.subject = best
        if message.lost and _RANK[message.need] > _RANK[Need.LOST]:
            message.need = Need.LOST
        message.shape = self._shape(message)

    def _named_objects(self, message: _Message) -> Iterator[Name]:
        """Yield the objects that a message names, without its own object and the owners of that."""
        own = {(message.kind, message.namespace, message.name), *self._ancestors(message.uid)}
        for word in dict.fromkeys(_WORD.findall(message.text)):
            for other in sorted(self._by_name.get(word, ())):
                in_reach = other[1] in ("", message.namespace) or f"{other[1]}/{word}" in message.text
                if in_reach and other not in own and other[0] != "Namespace":
                    yield other

    def _ancestors(self, uid: str) -> Iterator[Name]:
        seen = set[str]()
        while (uid := self._owners.get(uid, "")) and uid not in seen:
            seen.add(uid)
            if uid in self._names:
                yield self._names[uid]

    def _need(self, message: _Message, other: Name) -> tuple[Need, str]:
        """Return what a rule would do about the change of ``other`` nearest in time, and the verb of that change."""
        changes = [c for c in self._changes_of(other, message) if abs(c.time - message.time) <= NEAR]
        if not changes:
            return Need.MENTIONS, ""
        nearest = min(changes, key=lambda c: (abs(c.time - message.time), c.span))
        if nearest.trace != message.trace:
            return Need.JOINS, nearest.verb
        if self._is_below(nearest.span, message.span) or self._is_below(message.span, nearest.span):
            return Need.NOTHING, ""
        return Need.REFINES, nearest.verb

    def _changes_of(self, other: Name, message: _Message) -> Iterator[_Change]:
        """Yield the changes of an object by controllers. If only its Events are known, the first one counts as one."""
        if other in self._seen:
            for change in self._changes.get(other, ()):
                if not self._rules.is_person(change.manager):
                    yield change
        elif (first := self._first.get(other)) is not None and first.span != message.span:
            verb = next((verb for verb, found in _VERB_IN_MESSAGE.items() if found.search(message.text)), "Update")
            yield _Change(verb, "", first.time, first.trace, first.span)

    def _is_below(self, span: str, above: str) -> bool:
        while span and span != above:
            span = self._parents.get(span, "")
        return bool(span)

    def _shape(self, message: _Message) -> str:
        def placeholder(found: re.Match[str]) -> str:
            word = found[0]
            if message.subject is not None and word == message.subject[2]:
                return f"<{message.subject[0]}>"
            if word == message.name:
                return f"<{message.kind}>"
            if word == message.namespace:
                return "<namespace>"
            if "-" in word and any(name[1] in ("", message.namespace) for name in self._by_name.get(word, ())):
                return "<name>"
            return "<n>" if word.isdigit() else "<...>" if any(c.isdigit() for c in word) else word

        return _WORD.sub(placeholder, " ".join(message.text.split()))[:SHAPE_LIMIT]


_RANK = {need: rank for rank, need in enumerate(Need)}


def _group(members: list[_Message]) -> Group:
    first = min(members, key=lambda message: (_RANK[message.need], message.time, message.span, message.text))
    return Group(
        need=first.need,
        component=first.component,
        kind=first.kind,
        reason=first.reason,
        shape=first.shape,
        count=sum(message.count for message in members),
        example=first.text,
        subject=first.subject[0] if first.subject is not None else "",
        verb=first.verb,
        rule=_rule(first),
    )


def _rule(message: _Message) -> str:
    if message.need in (Need.MENTIONS, Need.NOTHING):
        return ""
    return rule_template(message.component, message.kind, message.reason, message.text, message.subject, message.verb)


def _order(group: Group) -> tuple[int, int, Iterable[str]]:
    return _RANK[group.need], -group.count, (group.component, group.kind, group.reason, group.shape)
