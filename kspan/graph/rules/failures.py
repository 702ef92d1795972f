"""Rules for failures that waiting does not fix: their signs, and how long to wait for a recovery. Pure.

``loader`` reads them from TOML; docs/rules.md describes the keys.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from kspan.graph.rules.patterns import COMBINED, Pattern


class FailureRule(msgspec.Struct, frozen=True):
    """A ``[[failure]]`` of a rules file."""

    name: str
    patience: int
    """How long to wait for a recovery after the first sign (ns)."""
    message: Pattern
    """The beginning of the message of the Event."""
    kind: tuple[str, ...] = ()
    """Empty: any kind."""
    status: tuple[str, ...] = ()
    """Reasons in the status: of a waiting container, or of a condition that is bad."""
    event: tuple[str, ...] = ()
    """Reasons of Events."""
    until: tuple[str, ...] = ()
    """Reasons of Events that end a failure which only Events show."""
    final: bool = False
    """The object does not try again."""

    def applies_to(self, kind: str) -> bool:
        """True if objects of this kind can have this failure."""
        return not self.kind or kind in self.kind

    def as_row(self) -> dict[str, Any]:
        """Return all keys of the rule, as in a rules file, except that the patience is in nanoseconds."""
        return {name: getattr(self, name) for name in self.__struct_fields__} | {"message": self.message.text}


class FailureRules:
    """All rules for failures: those of the user before the built-in ones. The first that matches counts."""

    def __init__(self, rules: Iterable[FailureRule] = ()) -> None:
        self.rules = tuple(rules)
        self._by_name = {rule.name: rule for rule in self.rules}
        self._by_status: dict[str, list[FailureRule]] = {}
        self._by_event: dict[str, list[FailureRule]] = {}
        for rule in self.rules:
            for reason in rule.status:
                self._by_status.setdefault(reason, []).append(rule)
            for reason in rule.event:
                self._by_event.setdefault(reason, []).append(rule)

    def in_status(self, kind: str, reason: str) -> FailureRule | None:
        """Return the failure that a reason in the status of an object shows; None if it shows none."""
        return next((rule for rule in self._by_status.get(reason, ()) if rule.applies_to(kind)), None)

    def in_event(self, kind: str, reason: str, message: str) -> FailureRule | None:
        """Return the failure that an Event about an object of this kind shows; None if it shows none."""
        for rule in self._by_event.get(reason, ()):
            if rule.applies_to(kind) and rule.message.match(message.removeprefix(COMBINED)) is not None:
                return rule
        return None

    def ends(self, name: str, reason: str) -> bool:
        """True if an Event with this reason ends the failure with the rule ``name``."""
        rule = self._by_name.get(name)
        return rule is not None and reason in rule.until
