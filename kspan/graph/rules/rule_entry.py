"""Reads one ``[[rule]]`` of a rules file. Pure."""

from collections.abc import Collection
from typing import Any

from kspan.graph.rules.checks import Checks, suggestion
from kspan.graph.rules.patterns import Pattern, PatternError
from kspan.graph.rules.rules import MEANINGS, OF_ITS_OWN, SOURCES, Rule
from kspan.toml_positions import Path

GROUPS = ("name", "namespace", "kind", "from", "to", "by")
"""Named groups that ``message`` may have."""

LISTED = ("creates", "deletes", "applies")
"""Values of ``means`` of a rule whose message can list several subjects."""

VERBS = ("Create", "Update", "Delete")
_VERBS = "Create, Update or Delete"


def read_rule(checks: Checks, path: Path, entry: dict[str, Any]) -> Rule | None:
    """Read a rule; None if it has a mistake.

    Args:
        checks: collects the mistakes.
        path: where the rule is in the file.
        entry: the table, whose keys are known.
    """
    before = len(checks.mistakes)
    message = read_pattern(checks, path, entry, GROUPS)
    others = read_pattern(checks, path, entry, ("kind", "namespace", "name"), key="others")
    fields: dict[str, Any] = {
        "name": entry.get("name", ""),
        "component": checks.names(path, entry, "component", needed=True),
        "kind": checks.names(path, entry, "kind"),
        "reason": checks.names(path, entry, "reason", needed=True),
        "means": checks.string(path, entry, "means", missing="means is missing"),
        "starts": checks.boolean(path, entry, "starts", default=False),
    }
    for key in ("subject", "scope", "subject_from", "after", "by"):
        fields[key] = checks.string(path, entry, key)
    _check_values(checks, path, fields)
    _check_subject(checks, path, entry, message)
    if others is not None and others.text:
        _check_others(checks, path, entry, others)
        fields["others"] = others
    return Rule(message=message, **fields) if message is not None and len(checks.mistakes) == before else None


def read_pattern(
    checks: Checks, path: Path, entry: dict[str, Any], groups: Collection[str], key: str = "message"
) -> Pattern | None:
    """Read the regular expression ``key``, which may have these named groups; None if it has a mistake."""
    text, path = checks.string(path, entry, key), (*path, key)
    try:
        pattern = Pattern(text)
    except PatternError as error:
        checks.wrong(path, f"invalid regular expression in {key}: {error}")
        return None
    for group in dict.fromkeys(pattern.groups):
        if group not in groups:
            known = suggestion(group, groups) if groups else ": groups have no meaning here"
            checks.wrong(path, f"unknown group {group!r}{known}")
        if pattern.groups.count(group) > 1:
            checks.wrong(path, f"duplicate group {group!r}")
    return pattern


def _check_values(checks: Checks, path: Path, fields: dict[str, Any]) -> None:
    """Check the keys that take only certain values."""
    means, after = fields["means"], fields["after"]
    for key, known in (("means", MEANINGS), ("subject_from", SOURCES), ("scope", ("cluster",)), ("by", ("related",))):
        value = fields[key]
        if value and value not in known:
            checks.wrong((*path, key), f"invalid {key} {value!r}{suggestion(value, known)}")
    if means in ("observes", "waits") and after not in ("", *VERBS):
        checks.wrong((*path, "after"), f'with means = "{means}", after must be {_VERBS}, or omitted')
    if means == "explains" and (not after or after.capitalize() in VERBS) and after not in VERBS:
        checks.wrong((*path, "after"), f'with means = "explains", after must be {_VERBS}, or the reason of an Event')


def _check_subject(checks: Checks, path: Path, entry: dict[str, Any], message: Pattern | None) -> None:
    """Check that exactly one place names the subject."""
    subject, source, means = entry.get("subject"), entry.get("subject_from"), entry.get("means")
    if means in OF_ITS_OWN:
        for key in ("subject", "subject_from"):
            if entry.get(key):
                checks.wrong((*path, key), f'with means = "{means}", {key} must be omitted: there is no other object')
    elif source:
        if subject:
            checks.wrong((*path, "subject"), "subject and subject_from cannot be used together")
    elif message is not None:
        if "name" not in message.groups and means not in ("observes", "waits", "awaits", "requests"):
            checks.wrong((*path, "message"), "message needs a group (?P<name>...) for the name of the subject")
        if not subject and "kind" not in message.groups:
            checks.wrong(path, "subject is missing: set it to the kind of the object that the message names")


def _check_others(checks: Checks, path: Path, entry: dict[str, Any], others: Pattern) -> None:
    """Check that the expression for other subjects names them, and that what happens to them has a verb."""
    if entry.get("means") not in LISTED:
        checks.wrong((*path, "others"), f"others needs a means that changes the subjects: {', '.join(LISTED)}")
    if "name" not in others.groups:
        checks.wrong((*path, "others"), "others needs a group (?P<name>...) for the name of the subject")
