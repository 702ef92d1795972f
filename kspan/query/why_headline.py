"""The first lines of ``kspan why``: what happened or failed, why, and the state of the object now."""

from typing import Final

from kspan import vocabulary
from kspan.model import ObjectRow, Outcome, SpanRow, TraceRow
from kspan.query import spans as reading
from kspan.query.explain.effects import Effect
from kspan.query.explain.own import RESTARTED, end_in_words, is_end, is_verdict, killed_in_words, own_message
from kspan.query.explain.shown import shown_of
from kspan.query.span_text import held_of, object_text, repeats_text
from kspan.query.why import CERTAIN, Why
from kspan.terminal.screen import Piece, clock
from kspan.terminal.text import duration, harmless
from kspan.terminal.zone import zone_label
from kspan.times import SECOND

WIDEST: Final = 300

_VERBS = {"Create": "created", "Update": "changed", "Delete": "deleted"}

_STARTING = frozenset(["Scheduled", "Pulling", "Pulled", "Created", "Started"])
"""Events of a Pod that starts: what follows them is not their effect in a sense that explains anything."""


def headline(answer: Why) -> list[list[Piece]]:
    """The event or failure, its cause, the state now, and the outcome of the trace."""
    here = answer.found.object
    name: Piece = (object_text(here.kind, here.namespace, here.name), "bold")
    if not answer.links:
        return [[name, (f"  {_lifetime(here)}", "dim")]]
    chain = [link.span for link in answer.links]
    shown = shown_of(here.uid, chain, answer.effects, answer.trace)
    since, effect = shown.since, shown.effect
    if answer.message is not None and chain[shown.number].error and effect is None:
        since = answer.message.start_time
    what = _effect(effect) if effect is not None else _what(answer, chain, shown.number, since)
    first: list[Piece] = [name, (f", {clock(since, day=True)} {zone_label(since)}: ", "")]
    lines = [[*first, *what], _because(answer, chain, shown.number, since), _now(answer)]
    lines += [[(_resumed(span), "")] for span in answer.resumed]
    lines += [[(held, "bold")]] if (held := held_of(chain[0])) else []
    return lines + (_outcome(answer.trace, then=bool(answer.at)) if answer.trace is not None else [])


# What


def _effect(effect: Effect) -> list[Piece]:
    what = f"{effect.kind} {effect.example}: {_cut(effect.message) or effect.reason}"
    return [("failing: ", ""), (harmless(what), "bold red")]


def _what(answer: Why, chain: list[SpanRow], number: int, since: int) -> list[Piece]:
    shown = chain[number]
    killed = is_end(shown) and number + 1 < len(chain) and chain[number + 1].reason == "Killing"
    reported = answer.message if answer.message is not None and shown.error else shown
    text = killed_in_words(shown) if killed else _event(reported)
    pieces: list[Piece] = [
        (text, "bold red" if shown.error else "bold"),
        (repeats_text(shown) if reported is shown else "", ""),
    ]
    problem = answer.problem
    if problem is not None and not shown.error and shown.reason != "Delete":
        last = max(time for time in (problem.start_time, *_repeats(problem)) if time <= since)
        until = f" until {clock(last)[:8]}" if last > answer.problem_since else ""
        pieces += [(f", after (from {clock(answer.problem_since)[:8]}{until}) ", ""), (_event(problem), "red")]
    return pieces


def _repeats(span: SpanRow) -> list[int]:
    return [event.time for event in span.events if vocabulary.is_repeat(event.attributes)]


def _event(span: SpanRow) -> str:
    """An occurrence in words: how a container ended, why a Pod was deleted, an Event or condition with its message."""
    message = _cut(end_in_words(span) if is_end(span) else own_message(span))
    said = str(span.attributes.get(vocabulary.TERMINATION_MESSAGE, "")) if is_end(span) else ""
    if said and said not in message:
        return f"{message}: {_cut(said)}"
    if is_end(span) or (span.object_kind == "Pod" and span.reason == RESTARTED and not span.event_uid):
        return message
    if span.reason == "Delete":
        announced = _announced(span)
        return f"deleted: {announced}" if announced else "deleted"
    if span.reason in _VERBS:
        return _VERBS[span.reason]
    return _reason_and_message(span.reason, message)


def _reason_and_message(reason: str, message: str) -> str:
    """``Reason: message``; only the message if it begins with the reason, as ``Preempted by pod …``."""
    if message.lower().startswith(reason.lower()):
        return message
    return f"{harmless(reason)}: {message}" if message else harmless(reason)


def _announced(span: SpanRow) -> str:
    """Why a Pod was deleted, as its condition DisruptionTarget says."""
    for event in span.events:
        if event.attributes.get(vocabulary.CONDITION_TYPE) == "DisruptionTarget":
            parts = (
                event.attributes.get(key, "") for key in (vocabulary.CONDITION_REASON, vocabulary.CONDITION_MESSAGE)
            )
            return _cut(": ".join(str(part) for part in parts if part))
    return ""


def _cut(message: str) -> str:
    text = harmless(message).rstrip(" :")
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


# Why


def _because(answer: Why, chain: list[SpanRow], shown: int, since: int) -> list[Piece]:
    """``because of EVENT; ERROR, after WHO changed OBJECT …`` or ``because WHO changed OBJECT …``."""
    here, root, asked = chain[shown], chain[-1], answer.found.object
    between = chain[shown + 1 : -1]
    change = next((span for span in reversed(between) if reading.summary_of(span)), None)
    clauses: list[tuple[str, list[Piece]]] = []  # Each with the word that has to stand before it if it comes first.
    if events := _events_between(between, here, since):
        clauses.append(("because of ", [(events, "bold")]))
    if not is_root(answer):
        if shown == len(chain) - 1:
            return [("cause unknown", "")]
        clauses.append(("cause unknown, after ", _first_known(root, since)))
    elif root.reason in _VERBS:
        clauses.append(("because ", _change(root, since, asked)))
    elif root.span_id == here.span_id:
        return [(f"reported by {_who(root)}; nothing else is its cause", "")]
    else:
        clauses += [("because ", _change(change, since, asked))] if change is not None else []
        clauses.append(("because of ", _root_event(root, since)))
    pieces: list[Piece] = [(clauses[0][0], "")]
    for number, (_, clause) in enumerate(clauses):
        pieces += [(", after ", ""), *clause] if number else clause
    return pieces


def _events_between(chain: list[SpanRow], shown: SpanRow, since: int) -> str:
    """An Event just before an occurrence, and the nearest error behind it, on the way to the root cause."""
    found = {}
    if chain and chain[0].event_uid and chain[0].object_uid == shown.object_uid and chain[0].reason not in _STARTING:
        found[chain[0].span_id] = chain[0]
    error = next((span for span in chain if span.error and not is_verdict(span) and not is_end(span)), None)
    if error is not None:
        found[error.span_id] = error
    text = "; ".join(
        f"{_event(span)}{repeats_text(span, _until(shown, since))}{_of(span, shown)}" for span in found.values()
    )
    for span in chain:  # The scheduler names the Pod that needs the room by its uid.
        if span.object_uid != shown.object_uid and span.object_uid in text:
            text = text.replace(span.object_uid, harmless(f"{span.object_namespace}/{span.object_name}".lstrip("/")))
    return text


def _of(span: SpanRow, shown: SpanRow) -> str:
    return "" if span.object_uid == shown.object_uid else f" on {_object(span)}"


def _change(root: SpanRow, since: int, asked: ObjectRow) -> list[Piece]:
    what = "it" if root.object_uid == asked.uid else _object(root)
    change = harmless(reading.summary_of(root))
    verb = f" {_VERBS[root.reason]} "
    pieces: list[Piece] = [(_who(root), "bold"), (verb, ""), (what, "bold"), (_earlier(root, since), "")]
    return [*pieces, *([(": ", ""), (change, "bold")] if change else [])]


def _root_event(root: SpanRow, since: int) -> list[Piece]:
    message = _cut(own_message(root))
    pieces: list[Piece] = [(harmless(root.reason), "bold"), (" on ", ""), (_object(root), "bold")]
    return [*pieces, (f" by {_who(root)}{_earlier(root, since)}", ""), (f": {message}" if message else "", "bold")]


def _first_known(first_known: SpanRow, since: int) -> list[Piece]:
    what = _VERBS.get(first_known.reason, harmless(first_known.reason))
    return [(f"{_object(first_known)} {what}{_earlier(first_known, since)}", "")]


def _until(shown: SpanRow, since: int) -> int:
    """Up to when a cause can have happened. The end of a container is known in whole seconds."""
    return since + SECOND - 1 if is_end(shown) and since % SECOND == 0 else since


def _earlier(cause: SpanRow, since: int) -> str:
    """How long before the first line's time a cause was."""
    apart = since - cause.start_time
    return f" {duration(apart)} earlier" if apart > 0 else ""


def _object(span: SpanRow) -> str:
    name = vocabulary.with_container(span.object_name, span.attributes)
    return object_text(span.object_kind, span.object_namespace, name)


def _resumed(span: SpanRow) -> str:
    """A change that was made while a rollout was paused, which the root cause resumed."""
    before = f"{clock(span.start_time)}: {harmless(reading.summary_of(span)) or harmless(span.reason)}"
    return f"  rolls out what {_who(span)} changed while it was paused at {before}"


def _who(span: SpanRow) -> str:
    """The service that acted, and its field manager if that says more: ``kubectl (kubectl-set)``."""
    if span.service in ("", "unknown"):
        return "someone"
    manager = reading.manager_of(span)
    return harmless(f"{span.service} ({manager})" if manager.startswith(f"{span.service}-") else span.service)


def is_root(answer: Why) -> bool:
    """Return whether the chain ends at a root cause, and not at an occurrence whose cause is unknown."""
    last = answer.links[-1].span
    return answer.remote is None and not answer.lost and last.confidence >= CERTAIN


# Now


def _now(answer: Why) -> list[Piece]:
    here = answer.found.object
    if here.deleted_at and (not answer.at or here.deleted_at <= answer.at):
        at = f"{clock(here.deleted_at, day=True)[:19]} {zone_label(here.deleted_at)}"
        return [(f"now: deleted at {at}", ""), (f" ({_born(here)})", "dim")]
    word = "then" if answer.at else "now"
    return [(f"{word}: {harmless(answer.state) or 'state unknown'}", ""), (f" ({_born(here)})", "dim")]


def _lifetime(here: ObjectRow) -> str:
    born = _born(here)
    return f"{born}, deleted {clock(here.deleted_at, day=True)[:19]}" if here.deleted_at else born


def _born(here: ObjectRow) -> str:
    """When an object was created. Of one that was only mentioned, nobody knows."""
    seen = here.created_at and here.resource_version
    return f"created {clock(here.created_at, day=True)[:19]}" if seen else "known from Events only"


def _outcome(trace: TraceRow, *, then: bool) -> list[list[Piece]]:
    """The line that says how the whole trace ended, unless that is obvious. It is not known how it was ``then``."""
    verdict, label = ", ".join(trace.verdicts), "outcome (as of now)" if then else "outcome"
    if not trace.reason:
        return [] if trace.outcome in ("", Outcome.OK) else [[(f"{label}: {verdict}", "")]]
    said = trace.reason if trace.reason.startswith(verdict) else f"{verdict}: {trace.reason}"
    return [[(f"{label}: {harmless(said)}", "red" if trace.error else "")]]
