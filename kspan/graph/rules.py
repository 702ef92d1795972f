"""The subject rules: data, read from TOML, compiled once. Pure but for reading the file that the caller names."""

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

import msgspec

from kspan.errors import RulesError

MEANINGS = ("creates", "deletes", "scales", "turns", "observes", "waits", "explains")
SOURCES = ("scaleTargetRef", "nodeName", "self")
COMBINED = "(combined from similar events): "


class Subject(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an Event says about another object: ``means`` it, to whom, and the replicas around it (-1: not said).

    For ``explains`` only ``after`` is set. An empty ``kind`` asks to look where ``source`` says. ``by`` is the uid of
    the object for whose sake it happened.
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


class Disruption(msgspec.Struct, frozen=True):
    """Who disrupts Pods for a reason, and which turns of a Node lead to it (see ``change.turn_of_node``)."""

    actor: str = ""
    node: tuple[str, ...] = ()


class Rule(msgspec.Struct, frozen=True):
    """One entry of a rules file (the fields are described at its head)."""

    component: str
    reason: str
    message: re.Pattern[str]
    means: str
    kind: str = ""
    subject: str = ""
    subject_from: str = ""
    after: str = ""
    starts: bool = False
    by: str = ""

    def read(self, namespace: str, message: str) -> Subject | None:
        """What the message says, or None where it is not of this rule's form."""
        match = self.message.match(message)
        if match is None:
            return None
        found = match.groupdict()
        return Subject(
            means=self.means,
            kind=self.subject,
            namespace=found.get("namespace") or namespace,
            name=found.get("name") or "",
            replicas_from=_count(found.get("from")),
            replicas_to=_count(found.get("to")),
            starts=self.starts,
            after=self.after,
            source=self.subject_from,
            by=self.by,
        )


class Rules:
    """The compiled rules, with what they know about field managers and controllers."""

    def __init__(
        self,
        rules: list[Rule],
        controllers: frozenset[str],
        actors: Mapping[str, str],
        disruptions: Mapping[str, Disruption],
    ) -> None:
        self.rules = rules
        self.controllers = controllers
        self.actors = actors
        self.disruptions = disruptions
        self._index: dict[tuple[str, str], list[Rule]] = {}
        for rule in rules:
            self._index.setdefault((rule.component, rule.reason), []).append(rule)

    def subject(self, component: str, kind: str, reason: str, namespace: str, message: str) -> Subject | None:
        """What an Event says about another object; None where no rule understands it."""
        for rule in self._index.get((component, reason), ()):
            if rule.kind in ("", kind) and (found := rule.read(namespace, message)) is not None:
                return found
        return None

    def is_controller(self, manager: str) -> bool:
        """Whether a field manager is a known controller."""
        return manager in self.controllers or manager.startswith("system:")


def _count(text: str | None) -> int:
    # More digits than any replica count has would only be there to overflow a column.
    return int(text) if text and len(text) < 10 else -1


def _compile(source: str, number: int, entry: Any) -> Rule:
    def fail(problem: str) -> RulesError:
        return RulesError(f"{source}: rule {number}: {problem}")

    if not isinstance(entry, dict):
        raise fail("is not a table")
    entry = dict(entry)
    try:
        entry["message"] = re.compile(entry.get("message", ""), re.IGNORECASE)
    except (re.error, TypeError) as error:
        raise fail(f"message is no regular expression ({error})") from error
    unknown = set(entry) - set(Rule.__struct_fields__)
    if unknown:
        raise fail(f"unknown key {min(unknown)!r} (known: {', '.join(Rule.__struct_fields__)})")
    for key in ("component", "reason", "means"):
        if not isinstance(entry.get(key), str):
            raise fail(f"{key} is missing")
    if entry.get("by", "related") != "related":
        raise fail("by can only be related")
    if entry["means"] not in MEANINGS:
        raise fail(f"means must be one of {', '.join(MEANINGS)}, not {entry['means']!r}")
    if entry["means"] == "explains":
        if entry.get("after") not in ("Create", "Update", "Delete"):
            raise fail("after must be Create, Update or Delete where means is explains")
    elif entry.get("subject_from", "self") not in SOURCES:
        raise fail(f"subject_from can only be {', '.join(SOURCES)}")
    elif "subject_from" not in entry and ("subject" not in entry or "name" not in entry["message"].groupindex):
        raise fail("needs subject and a group (?P<name>…) in message")
    return Rule(**entry)


def parse_rules(source: str, text: str) -> Rules:
    """Rules from TOML text; ``source`` names it in errors. Raises RulesError."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesError(f"{source}: {error}") from error
    rules = [_compile(source, i, entry) for i, entry in enumerate(data.get("rule", []), 1)]
    controllers = frozenset(data.get("managers", {}).get("controllers", []))
    try:
        disruptions = msgspec.convert(data.get("disruptions", {}), dict[str, Disruption])
    except msgspec.ValidationError as error:
        raise RulesError(f"{source}: disruptions: {error}") from error
    return Rules(rules, controllers, data.get("actors", {}), disruptions)


def built_in_rules() -> Rules:
    """The rules that the package carries."""
    text = resources.files("kspan.graph").joinpath("rules.toml").read_text(encoding="utf-8")
    return parse_rules("rules.toml", text)
