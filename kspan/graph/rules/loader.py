"""Rules files: TOML in, compiled rules out, or every mistake with its line. Pure but for the package's own file.

A file adds to a base (the built-in rules): what has the name of something in the base takes its place.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable
from functools import lru_cache
from importlib import resources
from itertools import product
from typing import Any

import msgspec

from kspan.errors import RulesError
from kspan.graph.rules.patterns import Pattern, PatternError
from kspan.graph.rules.rules import MEANINGS, SOURCES, Disruption, Managers, Rule, Rules
from kspan.toml_positions import Path, Positions

GROUPS = ("name", "namespace", "kind", "from", "to", "by")
TURNS = ("evicts", "closed", "deleted", "opened", "labelled")
VERBS = ("Create", "Update", "Delete")
SEVERAL = ("component", "kind", "reason")
"""Keys that hold a name or a list of names."""

LISTED_HERE = 3
"""Names that a message offers at most."""

NO_RULES = Rules((), Managers(), {}, {})

_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)$")


class Mistake(msgspec.Struct, frozen=True, order=True):
    """Something in a rules file that is not right. ``line`` counts from 1."""

    line: int
    problem: str


class _Reader:
    """Reads one file and collects what is wrong with it."""

    def __init__(self, text: str, base: Rules) -> None:
        self.base = base
        self.mistakes: list[Mistake] = []
        self._text = text
        self._positions: Positions | None = None
        self.added: dict[str, tuple[Rule, Path]] = {}
        self.disabled: set[str] = set()

    def wrong(self, path: Path, problem: str) -> None:
        """Notes a mistake at a key (or where it should be)."""
        self.mistakes.append(Mistake(self._line(path), problem))

    def _line(self, path: Path) -> int:
        if self._positions is None:
            self._positions = Positions(self._text)
        return self._positions.line(path)

    def read(self) -> Rules:
        """The rules, as far as they are right."""
        try:
            data = tomllib.loads(self._text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            self.mistakes.append(_syntax(str(error), self._text))
            return self.base
        self._unknown((), data, ("rule", "managers", "actors", "disruptions"), "table")
        self._rules(data.get("rule", []))
        managers, actors = self._managers(data), self._actors(data)
        disruptions = self._disruptions(data)
        kept = [r for r in self.base.rules if r.name not in self.added and r.name not in self.disabled]
        return Rules([*(rule for rule, _ in self.added.values()), *kept], managers, actors, disruptions)

    def _unknown(self, path: Path, found: Iterable[str], known: Collection[str], what: str) -> None:
        for key in found:
            if key not in known:
                self.wrong((*path, key), f"unknown {what} {key!r}{_suggestion(key, known)}")

    # rules -----------------------------------------------------------------------------------------------------------

    def _rules(self, entries: Any) -> None:
        if not isinstance(entries, list):
            self.wrong(("rule",), "rule is a list of tables: write [[rule]] with double brackets")
            return
        lines: dict[str, Path] = {}
        for number, entry in enumerate(entries):
            path: Path = ("rule", number)
            if not isinstance(entry, dict):
                self.wrong(path, "rule is a list of tables: write [[rule]] with double brackets")
                continue
            name = entry.get("name")
            if isinstance(name, str) and name in lines:
                taken = self._line(lines[name])
                self.wrong((*path, "name"), f"the name {name!r} is taken by the rule on line {taken}")
                continue
            if isinstance(name, str):
                lines[name] = (*path, "name")
            self._rule(path, entry)

    def _rule(self, path: Path, entry: dict[str, Any]) -> None:
        before = len(self.mistakes)
        entry = dict(entry)
        self._unknown(path, entry, (*Rule.__struct_fields__, "enabled"), "key")
        name = self._text_of(path, entry, "name", needed="every rule needs a name of its own")
        enabled = entry.pop("enabled", True)
        if not isinstance(enabled, bool):
            self.wrong((*path, "enabled"), "enabled is true or false")
        elif not enabled:
            self._disable(path, entry, name)
            return
        compiled = self._compiled(path, entry)
        if len(self.mistakes) == before and compiled is not None:
            self.added[name] = (compiled, path)

    def _disable(self, path: Path, entry: dict[str, Any], name: str) -> None:
        for key in entry:
            if key != "name":
                self.wrong((*path, key), "a rule with enabled = false has nothing else but its name")
        known = [rule.name for rule in self.base.rules]
        if name and name not in known:
            self.wrong((*path, "name"), f"there is no built-in rule {name!r} to disable{_suggestion(name, known)}")
        self.disabled.add(name)

    def _compiled(self, path: Path, entry: dict[str, Any]) -> Rule | None:
        fields: dict[str, Any] = {"name": entry.get("name", "")}
        for key in SEVERAL:
            fields[key] = self._names(path, entry, key, needed=key != "kind")
        for key in ("means", "subject", "scope", "subject_from", "after", "by"):
            fields[key] = self._text_of(path, entry, key, needed="means is missing" if key == "means" else "")
        fields["starts"] = entry.get("starts", False)
        if not isinstance(fields["starts"], bool):
            self.wrong((*path, "starts"), "starts is true or false")
        fields["message"] = self._pattern(path, entry)
        self._check_meaning(path, entry, fields)
        return Rule(**fields) if fields["message"] is not None else None

    def _text_of(self, path: Path, entry: dict[str, Any], key: str, needed: str = "") -> str:
        value: object = entry.get(key, "")
        if not isinstance(value, str):
            self.wrong((*path, key), f"{key} is a text, not {_type(value)}")
            return ""
        if needed and not value:
            self.wrong((*path, key), needed)
        return value

    def _names(self, path: Path, entry: dict[str, Any], key: str, *, needed: bool) -> tuple[str, ...]:
        value = entry.get(key, ())
        names = (value,) if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
            self.wrong((*path, key), f"{key} is a name or a list of names, not {_type(value)}")
            return ()
        if needed and not names:
            self.wrong((*path, key), f"{key} is missing")
        return tuple(names)

    def _pattern(self, path: Path, entry: dict[str, Any]) -> Pattern | None:
        text = self._text_of(path, entry, "message")
        path = (*path, "message")
        try:
            pattern = Pattern(text)
        except PatternError as error:
            self.wrong(path, f"message is no regular expression: {error}")
            return None
        for group in pattern.groups:
            if group not in GROUPS:
                self.wrong(path, f"unknown group {group!r}{_suggestion(group, GROUPS)}")
        for group in {group for group in pattern.groups if pattern.groups.count(group) > 1}:
            self.wrong(path, f"the group {group!r} is there twice")
        return pattern

    def _check_meaning(self, path: Path, entry: dict[str, Any], fields: dict[str, Any]) -> None:
        means, source, groups = fields["means"], fields["subject_from"], fields["message"] and fields["message"].groups
        if means and means not in MEANINGS:
            self.wrong((*path, "means"), f"unknown meaning {means!r}{_suggestion(means, MEANINGS)}")
        if fields["scope"] not in ("", "cluster"):
            self.wrong((*path, "scope"), f"scope can only be cluster, not {fields['scope']!r}")
        if fields["by"] not in ("", "related"):
            self.wrong((*path, "by"), f"by can only be related, not {fields['by']!r}")
        if means == "observes" and fields["after"] not in ("", *VERBS):
            self.wrong((*path, "after"), f"where means is observes, after is one of {', '.join(VERBS)}, or left out")
        if means == "explains":
            if fields["after"] not in VERBS:
                self.wrong((*path, "after"), f"where means is explains, after is one of {', '.join(VERBS)}")
            for key in ("subject", "subject_from"):
                if entry.get(key):
                    self.wrong((*path, key), f"{key} says nothing where means is explains: it is about the own object")
        elif source:
            if source not in SOURCES:
                self.wrong((*path, "subject_from"), f"unknown place {source!r}{_suggestion(source, SOURCES)}")
            if fields["subject"]:
                self.wrong((*path, "subject"), "subject and subject_from exclude each other")
        elif groups is not None:
            if "name" not in groups and means != "waits":
                self.wrong((*path, "message"), "message lacks a group (?P<name>...) for the subject's name")
            if not entry.get("subject") and "kind" not in groups:
                self.wrong(path, "subject is missing: the kind of the object that the message names")

    # tables ----------------------------------------------------------------------------------------------------------

    def _managers(self, data: dict[str, Any]) -> Managers:
        table = self._table(data, "managers")
        self._unknown(("managers",), table, Managers.__struct_fields__, "key")
        found = {key: self._names(("managers",), table, key, needed=False) for key in Managers.__struct_fields__}
        for name in sorted(set(found["controllers"]) & set(found["people"])):
            self.wrong(("managers", "people"), f"{name!r} cannot be a controller and act for people")
        base, new = self.base.managers, Managers(**found)
        return Managers(
            _joined(base.controllers, new.controllers, new.people), _joined(base.people, new.people, new.controllers)
        )

    def _actors(self, data: dict[str, Any]) -> dict[str, str]:
        table = self._table(data, "actors")
        added = {kind: self._text_of(("actors",), table, kind) for kind in table}
        merged = self.base.actors | added
        return {kind: actor for kind, actor in merged.items() if actor}

    def _disruptions(self, data: dict[str, Any]) -> dict[str, Disruption]:
        merged = dict(self.base.disruptions)
        for reason, entry in self._table(data, "disruptions").items():
            path: Path = ("disruptions", reason)
            if entry is False:
                if merged.pop(reason, None) is None:
                    self.wrong(path, f"there is no built-in reason {reason!r} to disable")
                continue
            if not isinstance(entry, dict):
                self.wrong(path, f"{reason} is a table (or false, to disable a built-in one), not {_type(entry)}")
                continue
            self._unknown(path, entry, Disruption.__struct_fields__, "key")
            actor, node = self._text_of(path, entry, "actor"), self._names(path, entry, "node", needed=False)
            for turn in node:
                if turn not in TURNS:
                    self.wrong((*path, "node"), f"unknown turn of a Node {turn!r}{_suggestion(turn, TURNS)}")
            merged[reason] = Disruption(actor, node)
        return merged

    def _table(self, data: dict[str, Any], key: str) -> dict[str, Any]:
        table = data.get(key, {})
        if isinstance(table, dict):
            return table
        self.wrong((key,), f"{key} is a table: write [{key}]")
        return {}

    # between rules ---------------------------------------------------------------------------------------------------

    def check_shadows(self) -> None:
        """Finds rules that can never match, because those before them take all that they would."""
        rules = list(self.added.values())
        for at, (rule, path) in enumerate(rules):
            earlier = [before for before, _ in rules[:at]]
            cases = product(rule.component, rule.kind or ("",), rule.reason)
            takers = [shadowing(rule, *case, earlier) for case in cases]
            if takers and all(taker is not None for taker in takers):
                names = ", ".join(sorted({taker.name for taker in takers if taker is not None}))
                self.wrong(path, f"the rule {rule.name!r} can never match: {names} before it takes all that it would")


def shadowing(rule: Rule, component: str, kind: str, reason: str, earlier: Iterable[Rule]) -> Rule | None:
    """The first of the earlier rules that takes every such Event that ``rule`` would; None where none surely does."""
    for before in earlier:
        if reason in before.reason and before.is_about(component, kind) and before.message.covers(rule.message):
            return before
    return None


def _joined(base: tuple[str, ...], added: tuple[str, ...], removed: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted((set(base) - set(removed)) | set(added)))


def _syntax(message: str, text: str) -> Mistake:
    found = _AT_LINE.search(message)
    line = int(found[1]) if found else text.count("\n") + 1
    return Mistake(line, f"is no TOML: {_AT_LINE.sub('', message).strip()}")


def _type(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "a table"}
    return names.get(type(value), type(value).__name__)


def _suggestion(given: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(given, known, n=1)
    if near:
        return f": did you mean {near[0]}?"
    return f" (known: {', '.join(known)})" if len(known) <= len(MEANINGS) + LISTED_HERE else ""


def check_rules(text: str, base: Rules) -> tuple[Rules, list[Mistake]]:
    """The rules of a TOML text over ``base``, and everything that is wrong with it, by line."""
    reader = _Reader(text, base)
    rules = reader.read()
    reader.check_shadows()
    return rules, sorted(reader.mistakes)


def parse_rules(source: str, text: str, base: Rules | None = None) -> Rules:
    """The rules of a TOML text over ``base`` (the built-in ones); ``source`` names it in errors. Raises RulesError."""
    rules, mistakes = check_rules(text, built_in_rules() if base is None else base)
    if mistakes:
        first, more = mistakes[0], len(mistakes) - 1
        others = f" ({more} more: see 'kspan rules check {source}')" if more else ""
        raise RulesError(f"{source}:{first.line}: {first.problem}{others}")
    return rules


@lru_cache(maxsize=1)
def built_in_rules() -> Rules:
    """The rules that the package carries."""
    text = resources.files("kspan.graph.rules").joinpath("rules.toml").read_text(encoding="utf-8")
    return parse_rules("rules.toml", text, NO_RULES)
