"""The text of one span in a terminal: its object, its message and how often it happened."""

from kspan import vocabulary
from kspan.model import SpanRow
from kspan.query.spans import summary_of, times
from kspan.terminal.screen import clock
from kspan.terminal.text import harmless


def named(kind: str, namespace: str, name: str) -> str:
    """``Pod shop/web-0``, harmless."""
    return harmless(f"{kind} {f'{namespace}/' if namespace else ''}{name}")


def note_of(span: SpanRow) -> str:
    """What changed, or what was said, on one line."""
    change = harmless(summary_of(span))
    if not span.error or span.event_uid or span.reason not in ("Create", "Update", "Delete"):
        return change or harmless(span.message)
    # A change is no failure: the root of a trace tells how the whole of it ended.
    outcome = f"failed in the end: {harmless(span.message)}"
    return f"{change}; {outcome}" if change else outcome


def again(span: SpanRow) -> str:
    """How often it happened, and when last; empty for what happened once."""
    count = times(span)
    if count < 2:
        return ""
    repeats = [event.time for event in span.events if vocabulary.is_repeat(event.attributes)]
    last = f" until {clock(max(repeats))[:8]}" if repeats else ""
    return f" \u00d7{count}{last}"
