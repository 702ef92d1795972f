"""Formats one span as text: its object, its message, its repeats."""

from kspan import vocabulary
from kspan.model import Outcome, SpanRow
from kspan.query.spans import summary_of, times
from kspan.terminal.deletions import held_text
from kspan.terminal.screen import clock
from kspan.terminal.text import harmless


def object_text(kind: str, namespace: str, name: str) -> str:
    """Return kind, namespace and name, such as ``Pod shop/web-0``, safe to print."""
    return harmless(f"{kind} {f'{namespace}/' if namespace else ''}{name}")


def note_of(span: SpanRow) -> str:
    """Return the summary of the change or the message, on one line; of a deletion also what it waited for, and of a
    root how its trace ended."""
    change = harmless(summary_of(span))
    own = change or ("" if _tells_outcome(span) else harmless(span.message))
    return "; ".join(filter(None, [own, held_of(span), _outcome_of(span)]))


def held_of(span: SpanRow) -> str:
    """Return what a deletion waited for; empty if the outcome of its trace says the same."""
    unfinished = f"{span.object_kind} {span.object_name} is still being deleted"
    known = str(span.attributes.get(vocabulary.OUTCOME_REASON, "")).startswith(unfinished)
    return "" if known else held_text(span)


def _tells_outcome(span: SpanRow) -> bool:
    """True if the message of a root span is what failed in its trace."""
    return bool(span.error and span.attributes.get(vocabulary.OUTCOME_REASON) == span.message)


def _outcome_of(span: SpanRow) -> str:
    outcome = str(span.attributes.get(vocabulary.OUTCOME, ""))
    if outcome in ("", Outcome.OK):
        return ""
    reason = harmless(str(span.attributes.get(vocabulary.OUTCOME_REASON, "")))
    return reason if reason.startswith(outcome) else f"{outcome}: {reason}" if reason else outcome


def repeats_text(span: SpanRow) -> str:
    """Return the number of occurrences and the time of the last one; empty for a single one."""
    count = times(span)
    if count < 2:
        return ""
    repeats = [event.time for event in span.events if vocabulary.is_repeat(event.attributes)]
    last = f" until {clock(max(repeats))[:8]}" if repeats else ""
    return f" \u00d7{count}{last}"
