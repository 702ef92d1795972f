"""Compiled rules: which Events are about another object, which field managers are controllers. Pure.

``loader`` reads them from TOML; docs/rules.md describes the keys.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kspan.graph.rules.failures import FailureRules
from kspan.graph.rules.patterns import COMBINED, Pattern

MEANINGS = (
    "creates",
    "deletes",
    "scales",
    "applies",
    "turns",
    "observes",
    "waits",
    "awaits",
    "explains",
    "publishes",
    "requests",
    "routine",
)
"""Values of ``means``."""

OF_ITS_OWN = ("explains", "publishes", "routine")
"""Values of ``means`` for Events that are about no other object."""

SOURCES = ("scaleTargetRef", "nodeName", "namespace", "self")
"""Values of ``subject_from``."""

ANY_COMPONENT = "*"

LINES_READ = 128
"""Lines of a message in which other subjects are looked for."""


class Subject(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The object that an Event is about, as a rule read it from the Event."""

    means: str
    """The action of the reporting object's controller on the subject: creates, deletes … (docs/rules.md)."""
    kind: str = ""
    """Empty: look in ``source``. With means = "explains" there is no subject."""
    namespace: str = ""
    name: str = ""
    replicas_from: int = -1
    """Replicas of the subject before (-1: not stated)."""
    replicas_to: int = -1
    """Replicas of the subject after (-1: not stated)."""
    starts: bool = False
    """The Event has no cause in the cluster: a schedule, the decision of an autoscaler."""
    after: str = ""
    """With "explains" and "observes" the verb of the change that the Event is about; otherwise, or if it is not a verb,
    the reason of an earlier Event of the reporting object, which is the cause."""
    source: str = ""
    """The ``subject_from`` of the rule."""
    by: str = ""
    """The object for which it was done: a uid, or namespace/name."""
    rule: str = ""
    """Name of the rule."""


class Disruption(msgspec.Struct, frozen=True):
    """A reason of the Pod condition DisruptionTarget: who acts, and after which changes of the Node."""

    actor: str = ""
    node: tuple[str, ...] = ()


class Applier(msgspec.Struct, frozen=True):
    """A label or annotation with the name of the object for which a tool applied the object that has it."""

    kind: str
    """Kind of the object that is named."""
    manager: tuple[str, ...] = ()
    """Field managers of the tool: others change objects that keep the label."""
    namespace: str = ""
    """Label or annotation with the namespace; empty: the value has it, or it is not known."""
    shared: bool = False
    """Other tools set the label as well: it counts only where the field manager is known."""


class Source(msgspec.Struct, frozen=True):
    """Where an object names the one whose content it applies."""

    reference: tuple[str, ...]
    """Fields of its spec with kind and name (and namespace); the first one that exists counts."""
    kind: tuple[str, ...] = ()
    """Kinds of that object. If the spec does not name one, an object of these kinds with the same name counts."""
    revision: tuple[str, ...] = ()
    """Fields of the status with the revision of the content that is applied; the first one that is set counts."""
    message: str = ""
    """Regular expression for the beginning of the message of a condition; its group ``revision`` counts before them."""
    waiting: tuple[str, ...] = ()
    """Reasons of conditions with which the object waits before it applies the newest revision."""


class Part(msgspec.Struct, frozen=True):
    """An annotation with the name of another object in the namespace, not of its owner. Its controller made the object
    that has the annotation, and makes it again when somebody changes or deletes it."""

    kind: str


class StatusFields(msgspec.Struct, frozen=True):
    """Fields of the status of a kind that make controllers act, as its spec does."""

    field: tuple[str, ...]
    """Names, with dots between them."""
    cancels: tuple[str, ...] = ()
    """Those of them that end what the object is doing when they become true."""
    publishes: bool = False
    """The first field is the revision of what the object publishes. Otherwise people write the fields: if the
    controller of the object does, that does not count."""


class Rule(msgspec.Struct, frozen=True):
    """A ``[[rule]]`` of a rules file."""

    name: str
    component: tuple[str, ...]
    reason: tuple[str, ...]
    message: Pattern
    means: str
    kind: tuple[str, ...] = ()
    """Empty: any kind."""
    subject: str = ""
    scope: str = ""
    subject_from: str = ""
    after: str = ""
    starts: bool = False
    by: str = ""
    others: Pattern | None = None
    """Matches each line of the message that names another subject."""

    def applies_to(self, component: str, kind: str) -> bool:
        """True if the rule reads Events of this component about objects of this kind."""
        return (component in self.component or ANY_COMPONENT in self.component) and (not self.kind or kind in self.kind)

    def read(self, namespace: str, message: str) -> Subject | None:
        """Read the subject from a message; None if the message does not match.

        Args:
            namespace: the namespace of the reporting object.
            message: the message without COMBINED.
        """
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

    def read_others(self, first: Subject, namespace: str, message: str) -> tuple[tuple[str, str, str], ...]:
        """Read kind, namespace and name of the other subjects, one in each line of a message.

        Args:
            first: the subject that was read from the message.
            namespace: the namespace of the reporting object. A line that could have one and has none is about an
                object without a namespace.
            message: the message without COMBINED.
        """
        if self.others is None or "\n" not in message:
            return ()
        lines = message.split("\n", LINES_READ)[:LINES_READ]
        found = [fields for line in lines if (fields := self.others.match(line)) is not None]
        default = "" if self.scope or "namespace" in self.others.groups else namespace
        names = ((f.get("kind") or self.subject, f.get("namespace") or default, f.get("name") or "") for f in found)
        return tuple(dict.fromkeys(name for name in names if name != (first.kind, first.namespace, first.name)))

    def as_row(self) -> dict[str, Any]:
        """Return all keys of the rule, as in a rules file."""
        patterns = {"message": self.message.text, "others": self.others.text if self.others is not None else ""}
        return {name: getattr(self, name) for name in self.__struct_fields__} | patterns


class Managers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of field managers; ``x*`` is every name that begins with x."""

    controllers: tuple[str, ...] = ()
    """Their changes are effects."""
    people: tuple[str, ...] = ()
    """Their changes are causes, even if they write the status of the object."""


class NamePatterns:
    """A set of names, some with ``*`` at the end."""

    def __init__(self, names: Iterable[str]) -> None:
        names = tuple(names)
        self._exact = frozenset(names)
        self._prefixes = tuple(name[:-1] for name in names if name.endswith("*"))

    def __contains__(self, name: str) -> bool:
        return name in self._exact or (bool(self._prefixes) and name.startswith(self._prefixes))


class Rules:
    """All rules of a fold: those of the user before the built-in ones. The first that matches counts."""

    def __init__(
        self,
        rules: Iterable[Rule],
        managers: Managers,
        actors: Mapping[str, str],
        disruptions: Mapping[str, Disruption],
        failures: FailureRules | None = None,
        appliers: Mapping[str, Applier] | None = None,
        sources: Mapping[str, Source] | None = None,
        status_fields: Mapping[str, StatusFields] | None = None,
        parts: Mapping[str, Part] | None = None,
    ) -> None:
        self.rules = tuple(rules)
        self.managers = managers
        self.actors = dict(actors)
        self.disruptions = dict(disruptions)
        self.failures = failures or FailureRules()
        self.appliers = dict(appliers or {})
        self.sources = dict(sources or {})
        self.status_fields = dict(status_fields or {})
        self.parts = dict(parts or {})
        self.progress = {kind: Pattern(source.message) for kind, source in self.sources.items() if source.message}
        """Messages of conditions that state the revision, by kind."""
        self._controllers = NamePatterns(managers.controllers)
        self._people = NamePatterns(managers.people)
        self._listing = {rule.name: rule for rule in self.rules if rule.others is not None}
        self._by_reason: dict[str, list[Rule]] = {}
        for rule in self.rules:
            for reason in rule.reason:
                self._by_reason.setdefault(reason, []).append(rule)
        self.digest = self._digest()

    def subject(self, component: str, kind: str, reason: str, namespace: str, message: str) -> Subject | None:
        """Read the subject of an Event; None if no rule matches.

        Args:
            component: the reporting component.
            kind: the kind of the reporting object.
            reason: the reason of the Event.
            namespace: the namespace of the reporting object.
            message: the message of the Event.
        """
        for rule in self._by_reason.get(reason, ()):
            if rule.applies_to(component, kind):
                found = rule.read(namespace, message.removeprefix(COMBINED))
                if found is not None:
                    return found
        return None

    def others(self, subject: Subject, namespace: str, message: str) -> tuple[tuple[str, str, str], ...]:
        """Read kind, namespace and name of the objects that an Event is about besides ``subject``.

        ``namespace`` is that of the reporting object.
        """
        rule = self._listing.get(subject.rule)
        return rule.read_others(subject, namespace, message.removeprefix(COMBINED)) if rule is not None else ()

    def obstacles(self, component: str, kind: str, reason: str, namespace: str, message: str) -> list[Subject]:
        """Read every object for which an Event says that its controller waits (arguments: see ``subject``)."""
        text = message.removeprefix(COMBINED)
        rules = (r for r in self._by_reason.get(reason, ()) if r.means == "waits" and r.applies_to(component, kind))
        return [found for rule in rules if (found := rule.read(namespace, text)) is not None]

    def is_controller(self, manager: str) -> bool:
        """True if a field manager is a known controller."""
        return (manager in self._controllers or manager.startswith("system:")) and manager not in self._people

    def is_person(self, manager: str) -> bool:
        """True if a field manager is known to act for people."""
        return manager in self._people

    def awaits_revision(self, kind: str, reason: str) -> bool:
        """True if an object of this kind has a condition with this reason while it waits before it applies a revision
        of its source: the fields of its status are still those of the revision before."""
        source = self.sources.get(kind)
        return source is not None and reason in source.waiting

    def _digest(self) -> str:
        failures = [rule.as_row() for rule in self.failures.rules]
        content = [[rule.as_row() for rule in self.rules], self.managers, self.actors, self.disruptions, failures]
        content += [self.appliers, self.sources, self.status_fields, self.parts]
        return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]


def _count(text: str | None) -> int:
    # A longer number is not a count of replicas, and would not fit into a column.
    return int(text) if text and len(text) < 10 else -1
