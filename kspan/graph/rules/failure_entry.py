"""Reads one ``[[failure]]`` of a rules file. Pure."""

from typing import Any, Final

from kspan.graph.rules.checks import Checks
from kspan.graph.rules.failures import FailureRule
from kspan.graph.rules.rule_entry import read_pattern
from kspan.times import parse_duration
from kspan.toml_positions import Path

KEYS: Final = FailureRule.__struct_fields__


def read_failure(checks: Checks, path: Path, entry: dict[str, Any]) -> FailureRule | None:
    """Read a rule for a failure; None if it has a mistake. Arguments as for ``read_rule``."""
    before = len(checks.mistakes)
    message = read_pattern(checks, path, entry, ())
    names = {key: checks.names(path, entry, key) for key in ("kind", "status", "event", "until")}
    patience, final = _patience(checks, path, entry), checks.boolean(path, entry, "final", default=False)
    if len(checks.mistakes) == before:
        _check_signs(checks, path, entry, names)
    if message is None or len(checks.mistakes) > before:
        return None
    return FailureRule(name=entry.get("name", ""), patience=patience, message=message, final=final, **names)


def _check_signs(checks: Checks, path: Path, entry: dict[str, Any], names: dict[str, tuple[str, ...]]) -> None:
    if not names["status"] and not names["event"]:
        checks.wrong(path, "status and event are missing: set the reasons by which the failure is known")
    for key in ("message", "until"):
        if entry.get(key) and not names["event"]:
            checks.wrong((*path, key), f"{key} is only allowed together with event")


def _patience(checks: Checks, path: Path, entry: dict[str, Any]) -> int:
    text = checks.string(path, entry, "patience", missing="patience is missing: set a duration such as 30s")
    if not text:
        return 0
    try:
        patience = parse_duration(text)
    except ValueError:
        patience = 0
    if not patience:
        checks.wrong((*path, "patience"), f"invalid patience {text!r}: use a duration such as 30s or 1m")
    return patience
