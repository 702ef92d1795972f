"""The subject rules: data, compiled once. Pure. How they are read from TOML is in ``rulefile``."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kspan.graph.rules.patterns import Pattern

MEANINGS = ("creates", "deletes", "scales", "applies", "turns", "observes", "waits", "explains")
SOURCES = ("scaleTargetRef", "nodeName", "namespace", "self")
ANYBODY = "*"
COMBINED = "(combined from similar events): "


class Subject(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an Event says about another object: ``means`` it, to whom, and the replicas around it (-1: not said).

    For ``explains`` only ``after`` is set. An empty ``kind`` asks to look where ``source`` says. ``by`` is the uid
    (or namespace/name) of the object for whose sake it happened, ``rule`` the name of the rule that read it.
    """

    means: str
    kind: str = ""
    namespace: str = ""
    name: str = ""
    replicas_from: int = -1
    replicas_to: int = -1
    starts: bool = False
    after: str = ""
    source: str = ""
    by: str = ""
    rule: str = ""


class Disruption(msgspec.Struct, frozen=True):
    """Who disrupts Pods for a reason, and which turns of a Node lead to it (see ``change.turn_of_node``)."""

    actor: str = ""
    node: tuple[str, ...] = ()


class Rule(msgspec.Struct, frozen=True):
    """One entry of a rules file; the fields are described at the head of ``rules.toml``. An empty ``kind``: any."""

    name: str
    component: tuple[str, ...]
    reason: tuple[str, ...]
    message: Pattern
    means: str
    kind: tuple[str, ...] = ()
    subject: str = ""
    scope: str = ""
    subject_from: str = ""
    after: str = ""
    starts: bool = False
    by: str = ""

    def is_about(self, component: str, kind: str) -> bool:
        """Whether it reads what this component says about an object of this kind."""
        return (component in self.component or ANYBODY in self.component) and (not self.kind or kind in self.kind)

    def read(self, namespace: str, message: str) -> Subject | None:
        """What the message says, or None where it is not of this rule's form."""
        found = self.message.match(message)
        if found is None:
            return None
        return Subject(
            means=self.means,
            kind=found.get("kind") or self.subject,
            namespace=found.get("namespace") or ("" if self.scope else namespace),
            name=found.get("name") or "",
            replicas_from=_count(found.get("from")),
            replicas_to=_count(found.get("to")),
            starts=self.starts,
            after=self.after,
            source=self.subject_from,
            by=found.get("by") or self.by,
            rule=self.name,
        )

    def as_row(self) -> dict[str, Any]:
        """The entry as a rules file would have it, with every key."""
        return {name: getattr(self, name) for name in self.__struct_fields__} | {"message": self.message.text}


class Managers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Field managers: whose changes are effects, and whose are causes whatever else they do.

    ``x*`` stands for all that begin so.
    """

    controllers: tuple[str, ...] = ()
    people: tuple[str, ...] = ()


class Names:
    """Names to look for, some of them with ``*`` at the end."""

    def __init__(self, names: Iterable[str]) -> None:
        names = tuple(names)
        self._exact = frozenset(names)
        self._beginnings = tuple(name[:-1] for name in names if name.endswith("*"))

    def __contains__(self, name: str) -> bool:
        return name in self._exact or (bool(self._beginnings) and name.startswith(self._beginnings))


class Rules:
    """The compiled rules, with what they know about field managers and controllers. The first that matches counts."""

    def __init__(
        self,
        rules: Iterable[Rule],
        managers: Managers,
        actors: Mapping[str, str],
        disruptions: Mapping[str, Disruption],
    ) -> None:
        self.rules = tuple(rules)
        self.managers = managers
        self.actors = dict(actors)
        self.disruptions = dict(disruptions)
        self._controllers = Names(managers.controllers)
        self._people = Names(managers.people)
        self._by_reason: dict[str, list[Rule]] = {}
        for rule in self.rules:
            for reason in rule.reason:
                self._by_reason.setdefault(reason, []).append(rule)
        self.digest = self._digest()

    def subject(self, component: str, kind: str, reason: str, namespace: str, message: str) -> Subject | None:
        """What an Event says about another object; None where no rule understands it."""
        for rule in self._by_reason.get(reason, ()):
            if rule.is_about(component, kind):
                found = rule.read(namespace, message.removeprefix(COMBINED))
                if found is not None:
                    return found
        return None

    def is_controller(self, manager: str) -> bool:
        """Whether a field manager is a known controller."""
        return (manager in self._controllers or manager.startswith("system:")) and manager not in self._people

    def is_person(self, manager: str) -> bool:
        """Whether a field manager is known to act for people: changes by it are causes, whatever else it writes."""
        return manager in self._people

    def _digest(self) -> str:
        told = [[rule.as_row() for rule in self.rules], self.managers, self.actors, self.disruptions]
        return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()[:16]


def _count(text: str | None) -> int:
    # More digits than any replica count has would only be there to overflow a column.
    return int(text) if text and len(text) < 10 else -1
