"""Formats one span as text: its object, its message, its repeats."""

from kspan import vocabulary
from kspan.model import Outcome, SpanRow
from kspan.query.explain.own import own_message
from kspan.query.spans import summary_of
from kspan.terminal.deletions import held_text
from kspan.terminal.screen import clock
from kspan.terminal.text import harmless
from kspan.times import LATEST


def object_text(kind: str, namespace: str, name: str) -> str:
    """Return kind, namespace and name, such as ``Pod shop/web-0``, safe to print."""
    return harmless(f"{kind} {f'{namespace}/' if namespace else ''}{name}")


def note_of(span: SpanRow, *, outcome: bool = True) -> str:
    """Return the summary of the change or the message, on one line; of a deletion also what it waited for, and of a
    root how its trace ended (not without ``outcome``)."""
    own = harmless(summary_of(span)) or harmless(own_message(span)).removesuffix(":")
    verdict = _outcome_of(span) if outcome else ""
    return "; ".join(filter(None, ["" if own in verdict else own, held_of(span), verdict]))


def held_of(span: SpanRow) -> str:
    """Return what a deletion waited for; empty if the outcome of its trace says the same."""
    unfinished = f"{span.object_kind} {span.object_name} is still being deleted"
    known = str(span.attributes.get(vocabulary.OUTCOME_REASON, "")).startswith(unfinished)
    return "" if known else held_text(span)


def _outcome_of(span: SpanRow) -> str:
    outcome = str(span.attributes.get(vocabulary.OUTCOME, ""))
    if outcome in ("", Outcome.OK):
        return ""
    reason = harmless(str(span.attributes.get(vocabulary.OUTCOME_REASON, "")))
    return reason if reason.startswith(outcome) else f"{outcome}: {reason}" if reason else outcome


def repeats_text(span: SpanRow, until: int = LATEST) -> str:
    """Return the number of occurrences up to a time (Unix ns) and the time of the last one; empty for a single one."""
    repeats = [event for event in span.events if vocabulary.is_repeat(event.attributes) and event.time <= until]
    count = vocabulary.count_occurrences(span.attributes, (event.attributes for event in repeats))
    if count < 2:
        return ""
    last = f" until {clock(max(event.time for event in repeats))[:8]}" if repeats else ""
    return f" \u00d7{count}{last}"
