"""A rule to start from, written for one Event. Pure."""

import re

import msgspec

from kspan.graph.rules.patterns import escaped

_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_SCALING = re.compile(r"(?i)scal|replicas?\b|\bsize\b")
_SLUG = re.compile(r"[^a-z0-9]+")

# Names as the API server has them (RFC 1123).
_NAME = "(?P<name>[a-z0-9]([a-z0-9.-]*[a-z0-9])?)"
_NAMESPACE = "(?P<namespace>[a-z0-9-]+)/"
_MEANS = {"Create": "creates", "Delete": "deletes", "Update": "applies", "": "observes"}

LENGTH = 200
"""Characters of a message that a starter looks at: what tells its form stands at the beginning."""


def starter(
    component: str, kind: str, reason: str, message: str, subject: tuple[str, str, str] | None, verb: str
) -> str:
    """TOML of a rule that understands this message; ``subject`` is the object that it names (kind, namespace, name).

    Where it names none, the rule says that the Event follows from what was last done to its own object.
    """
    lines = [
        "[[rule]]",
        f"name = {_quoted(rule_name(component, kind, reason))}",
        f"component = {_quoted(component)}",
        *([f"kind = {_quoted(kind)}"] if kind else []),
        f"reason = {_quoted(reason)}",
    ]
    if subject is None:
        form = _generalised(re.split(r"[:\n]", message[:LENGTH], maxsplit=1)[0])
        return "\n".join([*lines, f"message = {_quoted(form)}", 'means = "explains"', 'after = "Update"']) + "\n"
    means = "scales" if verb == "Update" and _SCALING.search(message) else _MEANS[verb]
    lines += [f"message = {_quoted(_form(message, subject))}", f"subject = {_quoted(subject[0])}"]
    if not subject[1]:
        lines.append('scope = "cluster"')
    return "\n".join([*lines, f"means = {_quoted(means)}"]) + "\n"


def rule_name(component: str, kind: str, reason: str) -> str:
    """A name for a rule: ``widget-controller-widget-created``."""
    return _SLUG.sub("-", f"{component}-{kind}-{reason}".lower()).strip("-")[:100] or "rule"


def _form(message: str, subject: tuple[str, str, str]) -> str:
    """The message up to the name, with what differs from time to time left open."""
    _, namespace, name = subject
    at = next(found.start() for found in _WORD.finditer(message) if found[0] == name)
    before = message[:at]
    if namespace and before.endswith(f"{namespace}/"):
        return _generalised(before[: -len(namespace) - 1]) + _NAMESPACE + _NAME
    return _generalised(before) + _NAME


def _generalised(text: str) -> str:
    form, at = "", 0
    for word in _WORD.finditer(text):
        form += _spaces(text[at : word.start()])
        form += r"\S+?" if any(c.isdigit() for c in word[0]) else escaped(word[0])
        at = word.end()
    return form + _spaces(text[at:])


def _spaces(text: str) -> str:
    return re.sub(r"\s+", lambda found: r"\s+" if found[0] != " " else " ", escaped(text))


def _quoted(text: str) -> str:
    """A TOML string; one without escapes where that can be."""
    if "'" not in text and text.isprintable():
        return f"'{text}'" if "\\" in text or '"' in text else f'"{text}"'
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")
