"""Shorter words for texts of components and tools: nothing that decides is left out. Pure."""

import re
from collections.abc import Iterable
from typing import Final

from kspan.model import Outcome, SpanRow
from kspan.query import spans as reading
from kspan.query.explain.own import disruption_of, own_message
from kspan.query.span_text import held_of
from kspan.terminal.text import harmless

WIDEST: Final = 300

VERBS: Final = {"Create": "created", "Update": "changed", "Delete": "deleted"}
"""Changes in words."""

_RPC: Final = re.compile(r"rpc error: code = \w+ desc = ")
_PULL: Final = re.compile(r'^Failed to pull image "([^"]+)": (.+)$', re.DOTALL)
_IMAGES: Final = re.compile(r"(?P<name>[^\s:]+(?::\d+/[^\s:]+)?):(?P<old>[\w.-]+) → (?P=name):(?P<new>[\w.-]+)")

_DISRUPTIONS: Final = {
    "EvictionByEvictionAPI": "evicted (Eviction API)",
    "PreemptionByScheduler": "preempted",
    "DeletionByTaintManager": "evicted because of a taint",
    "DeletionByPodGC": "deleted by the Pod garbage collector",
    "TerminationByKubelet": "ended by the kubelet",
}
"""Reasons of DisruptionTarget (k8s.io/api core/v1 PodReason…). The message of the first two says the same again."""

_CORDON: Final = {
    "unschedulable: true": "cordoned",
    "unschedulable removed": "uncordoned",
    "unschedulable: true → false": "uncordoned",
}


def cut(message: str) -> str:
    """Return a message on one line, safe to print, without what it repeats."""
    text = pull_error(harmless(message)).rstrip(" :")
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def pull_error(message: str) -> str:
    """Return a failure to pull an image with its name once: the kubelet, the runtime and its resolver each add it."""
    found = _PULL.match(message)
    if found is None:
        return message
    image, rest = found[1], _RPC.sub("", found[2])
    for before in (
        f'failed to pull and unpack image "{image}": ',
        f'failed to resolve reference "{image}": ',
        f"{image}: ",
    ):
        rest = rest.replace(before, "")
    return f'Failed to pull image "{image}": {rest}'


def row_of_chain(span: SpanRow) -> str:
    """Return the change of a link of a chain, or its message, and what a deletion waited for.

    The verdict about its trace has a line of its own.
    """
    own = harmless(reading.summary_of(span)) or harmless(own_message(span)).removesuffix(":")
    return "; ".join(filter(None, [own, held_of(span)]))


def with_names(text: str, chain: Iterable[SpanRow]) -> str:
    """Return a text in which objects of a chain that it names by their uids have their names: the scheduler names the
    Pod that needs the room by its uid."""
    for span in chain:
        if span.object_uid and span.object_uid in text:
            text = text.replace(span.object_uid, harmless(f"{span.object_namespace}/{span.object_name}".lstrip("/")))
    return text


def change_of(span: SpanRow) -> str:
    """Return what a change changed, with the name of an image once: ``app.image: …/shop/web: v1 → v2``."""
    return _IMAGES.sub(_once, harmless(reading.summary_of(span)))


def _once(found: re.Match[str]) -> str:
    return f"{found['name']}: {found['old']} → {found['new']}"


def cordon_of(span: SpanRow) -> str:
    """Return ``cordoned`` or ``uncordoned`` for such a change of a Node; otherwise an empty string."""
    return _CORDON.get(reading.summary_of(span), "") if span.object_kind == "Node" else ""


def deletion_in_words(span: SpanRow) -> str:
    """Return how an object was deleted, as the condition DisruptionTarget of a Pod says it."""
    reason, message = disruption_of(span)
    if not reason:
        return "deleted"
    known = _DISRUPTIONS.get(reason)
    if known is None:
        return f"deleted: {cut(': '.join(filter(None, (reason, message))))}"
    own = reason in ("EvictionByEvictionAPI", "PreemptionByScheduler")
    return known if own or not message else f"{known}: {cut(message)}"


def who_of(span: SpanRow) -> str:
    """Return who acted: a command of kubectl (``kubectl set``), or the service, and its field manager if longer."""
    service, manager = span.service, reading.manager_of(span)
    if service in ("", "unknown"):
        return "someone"
    if service == "kubectl":
        command = manager.removeprefix("kubectl-").removeprefix("client-side-")
        return harmless(f"kubectl {command}") if manager.startswith("kubectl-") else "kubectl"
    return harmless(f"{service} ({manager})" if manager.startswith(f"{service}-") else service)


_FAILING: Final = re.compile(r"^(\S+ \S+) is failing: (.+) \((.+)\)$")
_SUPERSEDED: Final = re.compile(r"^superseded by (\w+)\.(\w+) (\S+)(?: by (\S+))?(?:, when (.+))?$")
_DELETED: Final = re.compile(r"^(\w+ \S+ was deleted(?: by \S+)?), when (.+)$")


def outcome_in_words(outcome: str, reason: str) -> str:
    """Return how a trace ended: ``failing: Pod web: CrashLoopBackOff``."""
    if (failing := _FAILING.match(reason)) is not None:
        what = "CrashLoopBackOff" if failing[3] == "crash-loop" and failing[2] == "BackOff" else failing[2]
        return f"{outcome}: {failing[1]}: {what}"
    if (superseded := _SUPERSEDED.match(reason)) is not None:
        kind, verb, name, by, reached = superseded.groups()
        done = VERBS.get(verb, verb)
        who = f" by {by}" if by else ""
        label = "" if verb == "Delete" else "superseded: "  # Nothing replaced it. Older histories have the word.
        return f"{label}{kind} {name} was {done}{who}{f'; before that, {reached}' if reached else ''}"
    if (deleted := _DELETED.match(reason)) is not None:
        return f"{deleted[1]}; before that, {deleted[2]}"
    if outcome == Outcome.SUPERSEDED and reason:
        return reason
    if not reason:
        return outcome
    return reason if reason.startswith(outcome) else f"{outcome}: {reason}"
