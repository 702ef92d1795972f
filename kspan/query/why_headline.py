"""The first lines of ``kspan why``: what happened or failed, why, and the state of the object now."""

from typing import Final

from kspan import vocabulary
from kspan.model import ObjectRow, Outcome, SpanRow
from kspan.query import spans as reading
from kspan.query.explain.as_of import as_of
from kspan.query.explain.effects import Effect
from kspan.query.explain.own import RESTARTED, end_in_words, is_end, killed_in_words, own_error, own_message
from kspan.query.explain.reasons.reason import Reason
from kspan.query.explain.wording import (
    VERBS,
    change_of,
    cordon_of,
    cut,
    deletion_in_words,
    outcome_in_words,
    who_of,
    with_names,
)
from kspan.query.span_text import held_of, object_text, repeats_text
from kspan.query.why import CERTAIN, Why
from kspan.terminal.screen import Piece, clock
from kspan.terminal.text import duration, harmless
from kspan.terminal.zone import zone_label
from kspan.times import MILLISECOND, SECOND

INFERRED: Final = 0.85
"""Confidence below which the cause of an occurrence is inferred, and not recorded."""

_PROBABLY = "probably "

_STARTING = frozenset(["Scheduled", "Pulling", "Pulled", "Created", "Started"])
"""Events of a Pod that starts: what follows them is not their effect in a sense that explains anything."""


def headline(answer: Why) -> list[list[Piece]]:
    """The event or failure, its cause, the state now, and the outcome of the trace."""
    here = answer.found.object
    name: Piece = (object_text(here.kind, here.namespace, here.name), "bold")
    shown = answer.shown
    if shown is None:
        return [[name, (f"  {_lifetime(here, answer.at)}", "dim")]]
    chain = [link.span for link in answer.links]
    since, effect = shown.since, shown.effect
    if answer.message is not None and chain[shown.number].error and effect is None:
        since = answer.message.start_time
    what = _effect(effect) if effect is not None else _what(answer, chain, shown.number, since)
    first: list[Piece] = [name, (f", {clock(since, day=True).removesuffix('.000')} {zone_label(since)}: ", "")]
    lines = [[*first, *what], _because(answer, chain, shown.number, since), _now(answer, chain, shown.number, since)]
    lines += _history(answer, since)
    lines += [[(_resumed(span), "")] for span in answer.resumed]
    lines += [[(held, "bold")]] if (held := held_of(chain[0])) else []
    return lines + _outcome(answer, lines)


# What


def _effect(effect: Effect) -> list[Piece]:
    what = f"{effect.kind} {effect.example}: {cut(effect.message) or effect.reason}"
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
        last = max(time for time in reading.all_times(problem) if time <= since)
        begun, ended = _clock(answer.problem_since, since), _clock(last, since)
        several = f"errors from {begun} to {ended}" if begun != ended else f"errors at {begun}"
        times = several if last > answer.problem_since else f"an error at {begun}"
        pieces += [(f", after {times}: ", ""), (_event(problem), "red")]
    return pieces


def _event(span: SpanRow) -> str:
    """An occurrence in words: how a container ended, why a Pod was deleted, an Event or condition with its message."""
    message = cut(end_in_words(span) if is_end(span) else own_message(span))
    said = str(span.attributes.get(vocabulary.TERMINATION_MESSAGE, "")) if is_end(span) else ""
    if said and said not in message:
        return f"{message}: {cut(said)}"
    if is_end(span) or (span.object_kind == "Pod" and span.reason == RESTARTED and not span.event_uid):
        return message
    if span.reason == "Delete":
        return deletion_in_words(span)
    if span.reason in VERBS:
        return VERBS[span.reason]
    return _reason_and_message(span.reason, message)


def _reason_and_message(reason: str, message: str) -> str:
    """``Reason: message``; only the message if it begins with the reason, as ``Preempted by pod …``."""
    if message.lower().startswith(reason.lower()):
        return message
    return f"{harmless(reason)}: {message}" if message else harmless(reason)


# Why


def _because(answer: Why, chain: list[SpanRow], number: int, since: int) -> list[Piece]:
    """``because REASON, after WHO changed OBJECT …``, ``because of EVENT; ERROR, after …``, or ``because WHO …``."""
    here, root, reason, asked = chain[number], chain[-1], answer.reason, answer.found.object
    said = _Said(since, asked)
    if reason is not None and reason.kind == "drain":
        return [("probably because of a drain: ", ""), *said.change(root)]
    clauses: list[tuple[str, list[Piece]]] = []  # Each with the word that has to stand before it if it comes first.
    if reason is not None:
        word = "probably because " if reason.likely else "because "
        clauses.append((word, [(cut(reason.text), "bold"), (_measured(reason, since), "")]))
        said.mention(reason.happened if reason.happened <= since else 0)
    elif events := _events_between(chain[number + 1 : -1], here, since):
        clauses.append(("because of ", [(events, "bold")]))
    if not clauses and root.span_id == here.span_id and (not is_root(answer) or root.reason not in VERBS):
        known = is_root(answer)
        return [(f"reported by {who_of(root)}; nothing else is its cause" if known else "cause unknown", "")]
    if not (clauses and root.span_id == here.span_id) and not _is_history(answer):
        clauses += _behind(answer, chain, number, said)
    word, first = clauses[0]
    pieces: list[Piece] = [
        (word, ""),
        *(first[1:] if word.startswith(_PROBABLY) and first[0][0] == _PROBABLY else first),
    ]
    for _, clause in clauses[1:]:
        pieces += [(", after ", ""), *clause]
    return pieces


def _behind(answer: Why, chain: list[SpanRow], number: int, said: "_Said") -> list[tuple[str, list[Piece]]]:
    """The root cause, and the change that a controller made because of it."""
    root = chain[-1]
    if not is_root(answer):
        return [("cause unknown, after ", said.first_known(root))]
    if root.reason in VERBS:
        return [(_word(chain[number:-1], root), said.change(root))]
    changes = [i for i, span in enumerate(chain) if number < i < len(chain) - 1 and reading.summary_of(span)]
    last = chain[changes[-1]] if changes else root
    known = [(_word(chain[number : changes[-1]], last), said.change(last))] if changes else []
    return [*known, ("because of ", said.root_event(root))]


def _word(links: list[SpanRow], change: SpanRow) -> str:
    """``because``, unless a cause on the way to a change is inferred, or who made the change."""
    inferred = any(span.confidence < INFERRED for span in links) and not any(is_end(span) for span in links)
    return "probably because " if inferred or change.attributes.get(vocabulary.PROBABLE_MANAGER) else "because "


def _is_history(answer: Why) -> bool:
    """True if the chain ends with a creation, which explains less than the reason: history begins with it."""
    if answer.reason is None or answer.reason.kind in ("preemption", "dependent"):
        return False
    return answer.links[-1].span.reason == "Create" or not is_root(answer)


def _history(answer: Why, since: int) -> list[list[Piece]]:
    root = answer.links[-1].span
    if not _is_history(answer) or not is_root(answer):
        return []
    return [[("history: ", ""), *_Said(since, answer.found.object).change(root)]]


def _measured(reason: Reason, since: int) -> str:
    """How often, since when, and how long, as far as that is known."""
    if reason.kind in ("memory", "exit"):
        return _runs(reason, since)
    if reason.kind == "flapping":
        return f" since {_clock(reason.first, since)}"
    if reason.kind == "probe":
        count = f"{reason.alike} times" if reason.alike > 1 else "once"
        return f" ({count}, from {_clock(reason.first, since)})"
    if reason.started:
        return f" (it started at {_clock(reason.started, since)})"
    if reason.happened > since:
        return f" (it was created {duration(reason.happened - since)} later)"
    if reason.happened:
        waited = f", after {duration(reason.waited)} of waiting" if reason.waited else ""
        return f" {duration(since - reason.happened)} earlier{waited}"
    return ""


def _runs(reason: Reason, since: int) -> str:
    # The kubelet has these times in whole seconds.
    lasted = duration(reason.lasted).replace(".0s", "s")
    long = f"after {'about ' if reason.alike > 1 else ''}{lasted}" if reason.lasted else ""
    if reason.alike < 2:
        return f" {long}" if long else ""
    every = "each" if reason.alike == reason.runs else f"{'at least ' if reason.unseen else ''}{reason.alike}"
    return f" in {every} of {reason.runs} runs since {_clock(reason.first, since)}{f', {long} each' if long else ''}"


def _clock(time: int, near: int) -> str:
    """A time of day; with the date if that is another one than that of the first line."""
    text = clock(time, day=True)[:19]
    return text if text[:10] != clock(near, day=True)[:10] else text[11:]


def _events_between(chain: list[SpanRow], shown: SpanRow, since: int) -> str:
    """An Event just before an occurrence, and the nearest error behind it, on the way to the root cause."""
    found = {}
    # A controller may report the same as an Event and as a condition.
    chain = [span for span in chain if own_message(span) != own_message(shown) or not own_message(span)]
    if (
        len(chain) > 1
        and chain[0].reason == "Killing"
        and chain[1].event_uid
        and chain[1].object_uid == shown.object_uid
    ):
        chain = chain[1:]  # It says why its Pod is stopped (Evicted), and not only that it is.
    if chain and chain[0].event_uid and chain[0].object_uid == shown.object_uid and chain[0].reason not in _STARTING:
        found[chain[0].span_id] = chain[0]
    error = next((span for span in chain if own_error(span) and not is_end(span)), None)
    if error is not None:
        found[error.span_id] = error
    text = "; ".join(
        f"{_event(span)}{repeats_text(as_of(span, _until(shown, since)))}{_of(span, shown)}" for span in found.values()
    )
    return with_names(text, (span for span in chain if span.object_uid != shown.object_uid))


def _of(span: SpanRow, shown: SpanRow) -> str:
    return "" if span.object_uid == shown.object_uid else f" on {_object(span)}"


class _Said:
    """Words for the causes of a sentence, one after the other: when each was.

    The first is so long before the time in the first line (``since``, Unix ns), each other one before the one that is
    named before it. Two durations up to one time would read as if they had to be added, or as if time ran backwards.
    """

    def __init__(self, since: int, asked: ObjectRow) -> None:
        self._since, self._asked = since, asked
        self._last = 0

    def mention(self, time: int) -> None:
        """Note that the sentence names a time (Unix ns; 0: none)."""
        self._last = time or self._last

    def change(self, span: SpanRow) -> list[Piece]:
        """``WHO changed OBJECT 3.4s earlier: FIELDS``; ``probably WHO`` if the field manager is not certain."""
        what = "it" if span.object_uid == self._asked.uid else _object(span)
        cordon = cordon_of(span)
        change = "" if cordon else change_of(span)
        verb = f" {cordon or VERBS[span.reason]} "
        probably = _PROBABLY if span.attributes.get(vocabulary.PROBABLE_MANAGER) else ""
        pieces: list[Piece] = [(who_of(span), "bold"), (verb, ""), (what, "bold"), (self._when(span), "")]
        return [(probably, ""), *pieces, *([(": ", ""), (change, "bold")] if change else [])]

    def root_event(self, root: SpanRow) -> list[Piece]:
        """``REASON on OBJECT by WHO 3.4s earlier: MESSAGE``."""
        message = cut(own_message(root))
        pieces: list[Piece] = [(harmless(root.reason), "bold"), (" on ", ""), (_object(root), "bold")]
        return [*pieces, (f" by {who_of(root)}{self._when(root)}", ""), (f": {message}" if message else "", "bold")]

    def first_known(self, span: SpanRow) -> list[Piece]:
        """``OBJECT created 3.4s earlier``."""
        what = VERBS.get(span.reason, harmless(span.reason))
        return [(f"{_object(span)} {what}{self._when(span)}", "")]

    def _when(self, cause: SpanRow) -> str:
        """How long before the time in the first line a cause was, or before the cause that was named last."""
        time, last, self._last = cause.start_time, self._last, cause.start_time
        if last and time > last:
            return f" at {clock(time)}"
        apart = (last or self._since) - time
        return f" {duration(apart)} {'before that' if last else 'earlier'}" if apart >= MILLISECOND else ""


def _until(shown: SpanRow, since: int) -> int:
    """Up to when a cause can have happened. The end of a container is known in whole seconds."""
    return since + SECOND - 1 if is_end(shown) and since % SECOND == 0 else since


def _object(span: SpanRow) -> str:
    name = vocabulary.with_container(span.object_name, span.attributes)
    return object_text(span.object_kind, span.object_namespace, name)


def _resumed(span: SpanRow) -> str:
    """A change that was made while a rollout was paused, which the root cause resumed."""
    before = f"{clock(span.start_time)}: {harmless(reading.summary_of(span)) or harmless(span.reason)}"
    return f"rolls out what {who_of(span)} changed while it was paused at {before}"


def is_root(answer: Why) -> bool:
    """Return whether the chain ends at a root cause, and not at an occurrence whose cause is unknown."""
    last = answer.links[-1].span
    return answer.remote is None and not answer.lost and last.confidence >= CERTAIN


# Now


def _now(answer: Why, chain: list[SpanRow], number: int, since: int) -> list[Piece]:
    here, word = answer.found.object, "then" if answer.at else "now"
    replaced = f"; replacement {harmless(answer.replacement)}" if answer.replacement else ""
    if here.deleted_at and (not answer.at or here.deleted_at <= answer.at):
        at = f"{clock(here.deleted_at, day=True)[:19]} {zone_label(here.deleted_at)}"
        return [(f"{word}: gone since {at}", ""), (f" ({_born(here)})", "dim"), (replaced, "")]
    # The first line has the message.
    message = own_message(chain[number])
    state = harmless(answer.state.removesuffix(f": {message}") if message else answer.state)
    again = ""
    if answer.reason is not None and answer.reason.again:
        again = f"; {cut(answer.reason.text)} again at {_clock(answer.reason.again, since)}"
    serving = f"; {harmless(answer.serving)}" if answer.serving else ""
    what = f"{word}: {state or 'state unknown'}{serving}"
    return [(what, ""), (f" ({_born(here)})", "dim"), (f"{again}{replaced}", "")]


def _lifetime(here: ObjectRow, at: int) -> str:
    born = _born(here)
    gone = here.deleted_at and (not at or here.deleted_at <= at)
    return f"{born}, deleted {clock(here.deleted_at, day=True)[:19]}" if gone else born


def _born(here: ObjectRow) -> str:
    """When an object was created. Of one that was only mentioned, nobody knows."""
    seen = here.created_at and here.resource_version
    return f"created {clock(here.created_at, day=True)[:19]}" if seen else "known from Events only"


def _outcome(answer: Why, lines: list[list[Piece]]) -> list[list[Piece]]:
    """The line that says how the whole trace ended, unless the lines above say it. It is not known how it was then."""
    trace = answer.trace
    if trace is None or (not trace.reason and trace.outcome in ("", Outcome.OK)):
        return []
    said = outcome_in_words(", ".join(trace.verdicts), harmless(trace.reason))
    if not answer.at:
        above = " ".join(text for pieces in lines for text, _ in pieces)
        words = said.removesuffix(" failed").removeprefix(f"{trace.outcome}: ").split(": ")
        if all(word in above or word.split(" ")[-1] in above for word in words):
            return []
    label = "outcome (as of now)" if answer.at else "outcome"
    return [[(f"{label}: {said}", "red" if trace.error else "")]]
