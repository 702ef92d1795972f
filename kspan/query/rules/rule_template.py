"""Writes a rule for one Event, as a template to edit. Pure."""

import re

import msgspec

from kspan.graph.rules.patterns import escaped

MESSAGE_LIMIT = 200
"""Length of the part of a message that a template without a subject matches, in characters."""

_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_SCALING = re.compile(r"(?i)scal|replicas?\b|\bsize\b")
_NOT_IN_NAME = re.compile(r"[^a-z0-9]+")

# Names as the API server allows them (RFC 1123).
_NAME = "(?P<name>[a-z0-9]([a-z0-9.-]*[a-z0-9])?)"
_NAMESPACE = "(?P<namespace>[a-z0-9-]+)/"
_MEANS = {"Create": "creates", "Delete": "deletes", "Update": "applies", "": "observes"}


def rule_template(
    component: str, kind: str, reason: str, message: str, subject: tuple[str, str, str] | None, verb: str
) -> str:
    """Return a rule (TOML) that matches an Event.

    Args:
        component: the reporting component.
        kind: the kind of the reporting object.
        reason: the reason of the Event.
        message: its message.
        subject: kind, namespace and name of the object that the message names. Without it, the rule explains the
            Event by the latest change of its own object.
        verb: what happened to the subject (Create, Update, Delete, or empty).
    """
    lines = [
        "[[rule]]",
        f"name = {_quoted(rule_name(component, kind, reason))}",
        f"component = {_quoted(component)}",
        *([f"kind = {_quoted(kind)}"] if kind else []),
        f"reason = {_quoted(reason)}",
    ]
    if subject is None:
        beginning = _pattern(re.split(r"[:\n]", message[:MESSAGE_LIMIT], maxsplit=1)[0])
        return "\n".join([*lines, f"message = {_quoted(beginning)}", 'means = "explains"', 'after = "Update"']) + "\n"
    means = "scales" if verb == "Update" and _SCALING.search(message) else _MEANS[verb]
    lines += [f"message = {_quoted(_pattern_up_to(message, subject))}", f"subject = {_quoted(subject[0])}"]
    if not subject[1]:
        lines.append('scope = "cluster"')
    return "\n".join([*lines, f"means = {_quoted(means)}"]) + "\n"


def rule_name(component: str, kind: str, reason: str) -> str:
    """Return a name for a rule: ``widget-controller-widget-created``."""
    return _NOT_IN_NAME.sub("-", f"{component}-{kind}-{reason}".lower()).strip("-")[:100] or "rule"


def _pattern_up_to(message: str, subject: tuple[str, str, str]) -> str:
    """Return an expression for a message up to the name of the subject."""
    _, namespace, name = subject
    at = next(found.start() for found in _WORD.finditer(message) if found[0] == name)
    before = message[:at]
    if namespace and before.endswith(f"{namespace}/"):
        return _pattern(before[: -len(namespace) - 1]) + _NAMESPACE + _NAME
    return _pattern(before) + _NAME


def _pattern(text: str) -> str:
    r"""Return an expression for a text, in which words with digits are replaced by ``\S+?``."""
    pattern, at = "", 0
    for word in _WORD.finditer(text):
        pattern += _spaces(text[at : word.start()])
        pattern += r"\S+?" if any(c.isdigit() for c in word[0]) else escaped(word[0])
        at = word.end()
    return pattern + _spaces(text[at:])


def _spaces(text: str) -> str:
    return re.sub(r"\s+", lambda found: r"\s+" if found[0] != " " else " ", escaped(text))


def _quoted(text: str) -> str:
    """Return a TOML string, without escapes if possible."""
    if "'" not in text and text.isprintable():
        return f"'{text}'" if "\\" in text or '"' in text else f'"{text}"'
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")
