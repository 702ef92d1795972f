"""Formats one span as text: its object, its message, its repeats."""

from kspan import vocabulary
from kspan.model import SpanRow
from kspan.query.spans import summary_of, times
from kspan.terminal.screen import clock
from kspan.terminal.text import harmless


def object_text(kind: str, namespace: str, name: str) -> str:
    """Return kind, namespace and name, such as ``Pod shop/web-0``, safe to print."""
    return harmless(f"{kind} {f'{namespace}/' if namespace else ''}{name}")


def note_of(span: SpanRow) -> str:
    """Return the summary of the change or the message, on one line."""
    change = harmless(summary_of(span))
    if not span.error or span.event_uid or span.reason not in ("Create", "Update", "Delete"):
        return change or harmless(span.message)
    # The change itself did not fail: the message of a root span is the outcome of the whole trace.
    outcome = f"led to a failure: {harmless(span.message)}"
    return f"{change}; {outcome}" if change else outcome


def repeats_text(span: SpanRow) -> str:
    """Return the number of occurrences and the time of the last one; empty for a single one."""
    count = times(span)
    if count < 2:
        return ""
    repeats = [event.time for event in span.events if vocabulary.is_repeat(event.attributes)]
    last = f" until {clock(max(repeats))[:8]}" if repeats else ""
    return f" \u00d7{count}{last}"
