"""Formats one span as text: its object, its message, its repeats."""

from typing import TYPE_CHECKING

from kspan.model import Outcome, SpanRow
from kspan.query.spans import last_repeat, outcome_of, outcome_reason_of, summary_of, times
from kspan.terminal.deletions import held_text
from kspan.terminal.screen import clock
from kspan.terminal.text import harmless
from kspan.times import parse_time

if TYPE_CHECKING:
    from kspan.query.answers.occurrence import LineAnswer
    from kspan.query.answers.trace import TraceItem


def object_text(kind: str, namespace: str, name: str) -> str:
    """Return kind, namespace and name, such as ``Pod shop/web-0``, safe to print."""
    return harmless(f"{kind} {f'{namespace}/' if namespace else ''}{name}")


def note_of(span: SpanRow) -> str:
    """Return the summary of the change or the message, on one line; of a deletion also what it waited for, and of a
    root how its trace ended."""
    return _note(summary_of(span), span.message, span.error, held_of(span), outcome_of(span), outcome_reason_of(span))


def note_of_answer(answer: "LineAnswer | TraceItem") -> str:
    """Return the same for an answer (see ``note_of``)."""
    held = _held(answer.kind, answer.name, answer.held, answer.outcome_reason)
    return _note(answer.change, answer.message, answer.error, held, answer.outcome, answer.outcome_reason)


def held_of(span: SpanRow) -> str:
    """Return what a deletion waited for; empty if the outcome of its trace says the same."""
    return _held(span.object_kind, span.object_name, held_text(span), outcome_reason_of(span))


def _held(kind: str, name: str, held: str, reason: str) -> str:
    return "" if reason.startswith(f"{kind} {name} is still being deleted") else held


def _note(change: str, message: str, error: bool, held: str, outcome: str, reason: str) -> str:
    # The message of a root whose trace failed is what failed in it.
    own = harmless(change) or ("" if error and reason == message else harmless(message))
    return "; ".join(filter(None, [own, held, _outcome(outcome, harmless(reason))]))


def _outcome(outcome: str, reason: str) -> str:
    if outcome in ("", Outcome.OK):
        return ""
    if outcome == Outcome.SUPERSEDED and reason:
        return reason  # It says by what, or that something was deleted.
    return reason if reason.startswith(outcome) else f"{outcome}: {reason}" if reason else outcome


def repeats_text(span: SpanRow) -> str:
    """Return the number of occurrences and the time of the last one; empty for a single one."""
    return _repeats(times(span), last_repeat(span))


def repeats_of_answer(count: int, last_time: str | None) -> str:
    """Return the same for an answer (see ``repeats_text``)."""
    return _repeats(count, parse_time(last_time) if last_time else 0)


def _repeats(count: int, last: int) -> str:
    if count < 2:
        return ""
    return f" \u00d7{count}{f' until {clock(last)[:8]}' if last else ''}"
