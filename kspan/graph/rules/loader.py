"""Reads rules files (TOML). Pure, except for reading the built-in file of the package.

A rules file adds to the built-in rules. A rule replaces the built-in rule with the same name.
"""

import re
import tomllib
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from itertools import product
from typing import Any

from kspan.errors import RulesError
from kspan.graph.rules.checks import Checks, Mistake, suggestion, type_of
from kspan.graph.rules.failure_entry import KEYS, read_failure
from kspan.graph.rules.failures import FailureRule, FailureRules
from kspan.graph.rules.rule_entry import read_pattern, read_rule
from kspan.graph.rules.rules import Applier, Disruption, Managers, Part, Rule, Rules, Source, StatusFields
from kspan.toml_positions import Path

TABLES = ("rule", "failure", "managers", "actors", "disruptions", "appliers", "sources", "status_fields", "parts")
NODE_CHANGES = ("evicts", "closed", "deleted", "opened", "labelled")
"""Values of ``node`` in ``[disruptions]``."""

NO_RULES = Rules((), Managers(), {}, {})

_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)$")


def check_rules(text: str, base: Rules) -> tuple[Rules, list[Mistake]]:
    """Read a rules file and return the valid rules and all mistakes, by line.

    Args:
        text: the file.
        base: the rules that the file adds to.
    """
    reader = _FileReader(text, base)
    rules = reader.read()
    return rules, sorted(reader.checks.mistakes)


def parse_rules(source: str, text: str, base: Rules | None = None) -> Rules:
    """Read a rules file without mistakes.

    Args:
        source: the name of the file, for errors.
        text: the file.
        base: the rules that the file adds to (default: the built-in rules).

    Raises:
        RulesError: the first mistake, with its line.
    """
    rules, mistakes = check_rules(text, built_in_rules() if base is None else base)
    if mistakes:
        first, more = mistakes[0], len(mistakes) - 1
        others = f" ({more} more: see 'kspan rules check {source}')" if more else ""
        raise RulesError(f"{source}:{first.line}: {first.problem}{others}")
    return rules


@lru_cache(maxsize=1)
def built_in_rules() -> Rules:
    """Return the built-in rules."""
    text = resources.files("kspan.graph.rules").joinpath("rules.toml").read_text(encoding="utf-8")
    return parse_rules("rules.toml", text, NO_RULES)


class _FileReader:
    """Reads one rules file."""

    def __init__(self, text: str, base: Rules) -> None:
        self.checks = Checks(text)
        self._text = text
        self._base = base
        self._added: dict[str, tuple[Rule, Path]] = {}
        self._failures: dict[str, FailureRule] = {}
        self._disabled: dict[str, set[str]] = {"rule": set(), "failure": set()}

    def read(self) -> Rules:
        """Read all tables. If the file is not valid TOML, only the base remains."""
        try:
            data = tomllib.loads(self._text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            self.checks.mistakes.append(_syntax_mistake(str(error), self._text))
            return self._base
        self.checks.keys((), data, TABLES, "table")
        self._read_entries("rule", data.get("rule", []))
        self._read_entries("failure", data.get("failure", []))
        managers, actors, disruptions = self._managers(data), self._actors(data), self._disruptions(data)
        self._check_shadowing()
        kept = [r for r in self._base.rules if r.name not in {*self._added, *self._disabled["rule"]}]
        others = [f for f in self._base.failures.rules if f.name not in {*self._failures, *self._disabled["failure"]}]
        failures = FailureRules([*self._failures.values(), *others])
        rules = [*(rule for rule, _ in self._added.values()), *kept]
        references = self._appliers(data), self._sources(data), self._status_fields(data), self._parts(data)
        return Rules(rules, managers, actors, disruptions, failures, *references)

    # [[rule]] and [[failure]] -----------------------------------------------------------------------------------------

    def _read_entries(self, table: str, entries: Any) -> None:
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self.checks.wrong((table,), f"{table} must be a list of tables: write [[{table}]]")
            return
        taken: dict[str, Path] = {}
        for number, entry in enumerate(entries):
            path: Path = (table, number)
            name = entry.get("name")
            if isinstance(name, str) and name in taken:
                line = self.checks.line(taken[name])
                self.checks.wrong((*path, "name"), f"duplicate name {name!r}: the {table} on line {line} has it")
                continue
            if isinstance(name, str):
                taken[name] = (*path, "name")
            self._read_entry(table, path, entry)

    def _read_entry(self, table: str, path: Path, entry: dict[str, Any]) -> None:
        before = len(self.checks.mistakes)
        self.checks.keys(path, entry, (*(KEYS if table == "failure" else Rule.__struct_fields__), "enabled"))
        name = self.checks.string(path, entry, "name", missing=f"name is missing: every {table} needs one")
        if not self.checks.boolean(path, entry, "enabled", default=True):
            self._disable(table, path, entry, name)
        elif table == "failure":
            failure = read_failure(self.checks, path, entry)
            if failure is not None and len(self.checks.mistakes) == before:
                self._failures[name] = failure
        else:
            rule = read_rule(self.checks, path, entry)
            if rule is not None and len(self.checks.mistakes) == before:
                self._added[name] = (rule, path)

    def _disable(self, table: str, path: Path, entry: dict[str, Any], name: str) -> None:
        for key in entry:
            if key not in ("name", "enabled"):
                self.checks.wrong((*path, key), f"{key} is not allowed in a {table} with enabled = false")
        base = self._base.failures.rules if table == "failure" else self._base.rules
        known = [rule.name for rule in base]
        if name and name not in known:
            self.checks.wrong((*path, "name"), f"unknown built-in {table} {name!r}{suggestion(name, known)}")
        self._disabled[table].add(name)

    def _check_shadowing(self) -> None:
        """Find rules that can never match, because earlier rules of the file match the same Events."""
        rules = list(self._added.values())
        for at, (rule, path) in enumerate(rules):
            earlier = [other for other, _ in rules[:at]]
            if rule.means == "waits":
                continue  # All of them count.
            cases = product(rule.component, rule.kind or ("",), rule.reason)
            found = [_shadowing(rule, *case, earlier) for case in cases]
            if found and all(other is not None for other in found):
                names = ", ".join(dict.fromkeys(other.name for other in found if other is not None))
                self.checks.wrong(
                    path, f"rule {rule.name!r} can never match: earlier rules match the same Events ({names})"
                )

    # tables ----------------------------------------------------------------------------------------------------------

    def _managers(self, data: dict[str, Any]) -> Managers:
        path, table = ("managers",), self.checks.table(data, "managers")
        self.checks.keys(path, table, Managers.__struct_fields__)
        base, new = (
            self._base.managers,
            Managers(self.checks.names(path, table, "controllers"), self.checks.names(path, table, "people")),
        )
        for name in sorted(set(new.controllers) & set(new.people)):
            self.checks.wrong((*path, "people"), f"{name!r} is in controllers and in people: remove one")
        return Managers(
            _joined(base.controllers, new.controllers, new.people), _joined(base.people, new.people, new.controllers)
        )

    def _actors(self, data: dict[str, Any]) -> dict[str, str]:
        table = self.checks.table(data, "actors")
        merged = self._base.actors | {kind: self.checks.string(("actors",), table, kind) for kind in table}
        return {kind: actor for kind, actor in merged.items() if actor}

    def _disruptions(self, data: dict[str, Any]) -> dict[str, Disruption]:
        merged = dict(self._base.disruptions)
        for reason, entry in self.checks.table(data, "disruptions").items():
            path: Path = ("disruptions", reason)
            if isinstance(entry, dict):
                merged[reason] = self._disruption(path, entry)
            elif entry is not False:
                self.checks.wrong(path, f"{reason} must be a table, or false to remove it, not {type_of(entry)}")
            elif merged.pop(reason, None) is None:
                self.checks.wrong(path, f"unknown built-in reason {reason!r}{suggestion(reason, merged)}")
        return merged

    def _appliers(self, data: dict[str, Any]) -> dict[str, Applier]:
        merged = dict(self._base.appliers)
        for mark, entry in self.checks.table(data, "appliers").items():
            path: Path = ("appliers", mark)
            if isinstance(entry, dict):
                self.checks.keys(path, entry, Applier.__struct_fields__)
                kind = self.checks.string(path, entry, "kind", missing="kind is missing")
                namespace = self.checks.string(path, entry, "namespace")
                shared = self.checks.boolean(path, entry, "shared", default=False)
                merged[mark] = Applier(kind, self.checks.names(path, entry, "manager", needed=True), namespace, shared)
            elif entry is not False:
                self.checks.wrong(path, f"{mark} must be a table, or false to remove it, not {type_of(entry)}")
            elif merged.pop(mark, None) is None:
                self.checks.wrong(path, f"unknown built-in mark {mark!r}{suggestion(mark, merged)}")
        return merged

    def _sources(self, data: dict[str, Any]) -> dict[str, Source]:
        merged = dict(self._base.sources)
        for kind, entry in self.checks.table(data, "sources").items():
            path: Path = ("sources", kind)
            if isinstance(entry, dict):
                self.checks.keys(path, entry, Source.__struct_fields__)
                reference = self.checks.names(path, entry, "reference", needed=True)
                revision, message = self.checks.names(path, entry, "revision"), entry.get("message", "")
                pattern = read_pattern(self.checks, path, entry, ("revision",))
                if pattern is not None:
                    kinds, waiting = (self.checks.names(path, entry, key) for key in ("kind", "waiting"))
                    merged[kind] = Source(reference, kinds, revision, str(message), waiting)
            elif entry is not False:
                self.checks.wrong(path, f"{kind} must be a table, or false to remove it, not {type_of(entry)}")
            elif merged.pop(kind, None) is None:
                self.checks.wrong(path, f"unknown built-in kind {kind!r}{suggestion(kind, merged)}")
        return merged

    def _status_fields(self, data: dict[str, Any]) -> dict[str, StatusFields]:
        merged = dict(self._base.status_fields)
        for kind, entry in self.checks.table(data, "status_fields").items():
            path: Path = ("status_fields", kind)
            if isinstance(entry, dict):
                self.checks.keys(path, entry, StatusFields.__struct_fields__)
                fields = self.checks.names(path, entry, "field", needed=True)
                cancels = self.checks.names(path, entry, "cancels")
                self.checks.keys((*path, "cancels"), cancels, fields, "field")
                publishes = self.checks.boolean(path, entry, "publishes", default=False)
                merged[kind] = StatusFields(fields, cancels, publishes)
            elif entry is not False:
                self.checks.wrong(path, f"{kind} must be a table, or false to remove it, not {type_of(entry)}")
            elif merged.pop(kind, None) is None:
                self.checks.wrong(path, f"unknown built-in kind {kind!r}{suggestion(kind, merged)}")
        return merged

    def _parts(self, data: dict[str, Any]) -> dict[str, Part]:
        merged = dict(self._base.parts)
        for mark, entry in self.checks.table(data, "parts").items():
            path: Path = ("parts", mark)
            if isinstance(entry, dict):
                self.checks.keys(path, entry, Part.__struct_fields__)
                merged[mark] = Part(self.checks.string(path, entry, "kind", missing="kind is missing"))
            elif entry is not False:
                self.checks.wrong(path, f"{mark} must be a table, or false to remove it, not {type_of(entry)}")
            elif merged.pop(mark, None) is None:
                self.checks.wrong(path, f"unknown built-in mark {mark!r}{suggestion(mark, merged)}")
        return merged

    def _disruption(self, path: Path, entry: dict[str, Any]) -> Disruption:
        self.checks.keys(path, entry, Disruption.__struct_fields__)
        actor, node = self.checks.string(path, entry, "actor"), self.checks.names(path, entry, "node")
        self.checks.keys((*path, "node"), node, NODE_CHANGES, "change of a Node")
        return Disruption(actor, node)


def _shadowing(rule: Rule, component: str, kind: str, reason: str, earlier: Iterable[Rule]) -> Rule | None:
    """Return the first earlier rule that certainly matches every such Event that ``rule`` matches."""
    for other in earlier:
        if reason in other.reason and other.applies_to(component, kind) and other.message.covers(rule.message):
            return other
    return None


def _joined(base: tuple[str, ...], added: tuple[str, ...], removed: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted((set(base) - set(removed)) | set(added)))


def _syntax_mistake(message: str, text: str) -> Mistake:
    found = _AT_LINE.search(message)
    line = int(found[1]) if found else text.count("\n") + 1
    return Mistake(line, f"invalid TOML: {_AT_LINE.sub('', message).strip()}")
