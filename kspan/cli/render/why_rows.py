"""The rows of a chain of causes, and of effects: two records of one act are one row. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from kspan.model import SpanRow
from kspan.query.explain.effects import Effect
from kspan.query.explain.wording import row_of_chain, with_names
from kspan.query.why import Link

REPORTS: Final = frozenset(["SuccessfulCreate", "SuccessfulDelete", "ScalingReplicaSet"])
"""Events by which a controller reports a change that it has just made (pkg/controller/controller_utils.go,
pkg/controller/deployment/sync.go). A chain has them as the causes of these changes: they name the controller."""

_ADDED: Final = frozenset(["ScalingReplicaSet"])
"""The ones with a message that says more than the change: from how many replicas to how many."""

_STARTED: Final = ("Scheduled", "Pulling", "Pulled", "Created", "Started", "Ready")
"""The occurrences of a Pod that starts, in order."""


class ChainRow(NamedTuple):
    """A row of the chain."""

    link: Link
    note: str
    confidence: float
    """The confidence in its cause, which is the next row."""
    continues: str
    """The id of the trace of the next row, if that is another one."""


def chain_rows(links: Sequence[Link]) -> list[ChainRow]:
    """Return the rows of a chain, the nearest first: a change and the controller's Event about it are one."""
    spans = [link.span for link in links]
    rows: list[ChainRow] = []
    number = 0
    while number < len(links):
        link = links[number]
        note, confidence, continues = with_names(row_of_chain(link.span), spans), link.span.confidence, link.continues
        report = links[number + 1] if number + 2 < len(links) else None
        if report is not None and not link.continues and _reports(report.span, link.span):
            note = note or (with_names(row_of_chain(report.span), spans) if report.span.reason in _ADDED else "")
            confidence, continues = min(confidence, report.span.confidence), report.continues
            number += 1
        rows.append(ChainRow(link, note, confidence, continues))
        number += 1
    return rows


def _reports(event: SpanRow, change: SpanRow) -> bool:
    """Return whether an Event is the report of a controller about a change that it made."""
    made = change.reason in ("Create", "Update", "Delete") and not change.event_uid and change.service == event.service
    return made and bool(event.event_uid) and event.reason in REPORTS and event.object_uid != change.object_uid


class EffectRow(NamedTuple):
    """A row of effects: one group, or the groups of a Pod that started."""

    effect: Effect
    started: str
    """The reasons of these, in words; empty for one group."""


def effect_rows(effects: Sequence[Effect]) -> list[EffectRow]:
    """Return the rows of effects in their order.

    The steps of Pods that started are one row, and so are the creation of Pods and the Events about it.
    """
    pods = [each for each in effects if each.kind == "Pod" and not each.error]
    created = {each.count for each in pods if each.reason == "Create"}
    starts = [each for each in pods if each.reason in _STARTED and each.count == each.objects]
    same = {(each.count, each.example if each.count == 1 else "") for each in starts}
    folded = starts if len(same) == 1 and any(each.reason == "Started" for each in starts) else []
    rows: list[EffectRow] = []
    for each in effects:
        if each.reason == "SuccessfulCreate" and not each.error and each.count in created:
            continue
        if each not in folded:
            rows.append(EffectRow(each, ""))
        elif each is folded[0]:
            reasons = [reason for reason in _STARTED if any(one.reason == reason for one in folded)]
            rows.append(EffectRow(each, ", ".join(reasons)))
    return rows
