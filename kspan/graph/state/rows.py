"""From the live state to rows of the projection. Pure."""

import re
from collections.abc import Container
from typing import Any, Final

import msgspec

from kspan import vocabulary as words
from kspan.graph.state.records import ObjectState, Occurrence, Trace
from kspan.graph.trace.durations import end_so_far, last_addition, lasts
from kspan.graph.trace.trace_context import read_context
from kspan.k8s.containers import Ended, Restarted, image_facts, image_name
from kspan.model import (
    ObjectRow,
    Outcome,
    PendingRow,
    SpanEvent,
    SpanLink,
    SpanRow,
    SpanState,
    TraceRow,
    TraceState,
    Verdict,
)
from kspan.times import SECOND, format_time

_CONTAINER = re.compile(r"spec\.(?:initContainers|containers|ephemeralContainers)\{(.+)\}")
# Of the rows of open spans, which are written most: rows never change.
_NO_ATTRIBUTES: Final[dict[str, Any]] = {}
_NO_EVENTS: Final[list[SpanEvent]] = []
_NO_LINKS: Final[list[SpanLink]] = []

_encode = msgspec.msgpack.Encoder().encode
decode_occurrence: Final = msgspec.msgpack.Decoder(Occurrence).decode
"""Decodes the column ``fold`` of a span that is not closed, or of a waiting occurrence."""


def object_row(obj: ObjectState, *, live: bool) -> ObjectRow:
    """A row of ``objects``; without the fold's state if the object is forgotten."""
    # By position, as in ``_span_row``.
    return ObjectRow(
        obj.uid,
        obj.resource,
        obj.api_version,
        obj.kind,
        obj.namespace,
        obj.name,
        obj.resource_version,
        obj.generation,
        obj.owner,
        obj.node,
        obj.created if obj.rv else 0,
        obj.seen,
        obj.deleted,
        live,
        _encode(obj) if live else b"",
    )


def pending_row(occ: Occurrence) -> PendingRow:
    """A row of ``pending``, for an occurrence that waits for its cause."""
    return PendingRow(occ.arrival, occ.kind, occ.namespace, occ.name, occ.time, _encode(occ))


def open_span_row(occ: Occurrence) -> SpanRow:
    """A row of ``spans`` for an occurrence whose trace is open."""
    return _span_row(occ, SpanState.OPEN, occ.time, occ.time, _NO_ATTRIBUTES, _encode(occ))


def occurrence_of(row: SpanRow) -> Occurrence:
    """The occurrence of an open span."""
    return decode_occurrence(row.fold)


def span_so_far(row: SpanRow, end: int = 0) -> SpanRow:
    """The row of an open span with the attributes and repeats so far. Its node is not known yet.

    Args:
        row: the row.
        end: its end so far (ns), if the other spans of its trace are known.
    """
    return _so_far(decode_occurrence(row.fold), row.state, end) if row.fold else row


def pending_span_so_far(row: PendingRow) -> SpanRow:
    """The row of the span that a waiting occurrence will become, with all that is known so far."""
    return _so_far(decode_occurrence(row.fold), SpanState.PENDING)


def open_span_so_far(occ: Occurrence, end: int) -> SpanRow:
    """The row of the open span of an occurrence, as ``span_so_far`` returns it. ``end``: its end so far (ns)."""
    return _so_far(occ, SpanState.OPEN, end)


def _so_far(occ: Occurrence, state: SpanState, end: int = 0) -> SpanRow:
    return _span_row(occ, state, occ.time, end or end_so_far(occ), _attributes(occ, {}), b"")


def closed_span_row(occ: Occurrence, start: int, end: int, where: dict[str, Any]) -> SpanRow:
    """The final row of a span that is not the root of its trace.

    ``where`` has the attributes of its object that other objects determine: the node, the owners.
    """
    return _span_row(occ, SpanState.CLOSED, start, end, _attributes(occ, where), b"")


def closed_root_row(
    occ: Occurrence,
    start: int,
    end: int,
    where: dict[str, Any],
    verdict: Verdict,
    *,
    incomplete: bool,
    continues: Container[str] = (),
) -> SpanRow:
    """The final row of a root span, with how the whole trace ended. The trace continues the closed ones in
    ``continues``."""
    row = closed_span_row(occ, start, end, where)
    found = {
        words.OUTCOME: str(verdict.outcome),
        words.OUTCOME_REASON: verdict.reason,
        words.SUPERSEDED_BY: verdict.superseded_by,
    }
    attributes = row.attributes | {key: value for key, value in found.items() if value}
    if incomplete:
        attributes[words.INCOMPLETE] = True
    links = row.links
    if links and occ.place.link_trace in continues:
        links = [SpanLink(links[0].trace_id, links[0].span_id, {words.LINK: words.CONTINUES}), *links[1:]]
    if verdict.superseding_trace:
        links = [*links, SpanLink(verdict.superseding_trace, verdict.superseded_by, {words.LINK: words.SUPERSEDED})]
    failed, message = occ.warning or bool(verdict.error), verdict.error or occ.message
    return msgspec.structs.replace(row, error=failed, message=message, attributes=attributes, links=links)


def _span_row(
    occ: Occurrence, state: SpanState, start: int, end: int, attributes: dict[str, Any], fold: bytes
) -> SpanRow:
    place = occ.place
    # By position, which takes a third of the time: a span has a row in nearly every batch while its trace is open.
    return SpanRow(
        place.trace,
        occ.id,
        place.remote_parent or place.parent,
        bool(place.remote_parent),
        state,
        f"{occ.kind}.{occ.reason}",
        place.rule,
        place.confidence,
        start,
        end,
        occ.actor,
        occ.instance,
        occ.uid,
        occ.kind,
        occ.namespace,
        occ.name,
        occ.reason,
        occ.warning,
        occ.message,
        occ.event_uid,
        occ.event_count,
        attributes,
        _span_events(occ) if attributes and (occ.repeats or occ.notes or occ.finalizers) else _NO_EVENTS,
        _links(occ) if place.link_trace or occ.related else _NO_LINKS,
        fold,
    )


def _links(occ: Occurrence) -> list[SpanLink]:
    place, related = occ.place, read_context(occ.related)
    links = [SpanLink(place.link_trace, place.link_span, {words.LINK: place.link})] if place.link_trace else []
    if related is not None and related[0] not in (place.trace, place.link_trace):
        links.append(SpanLink(*related, {words.LINK: words.RELATES}))
    return links


def last_event(occ: Occurrence) -> int:
    """The time of the last event of the span of an occurrence (ns); 0 if it has none."""
    removed = (finalizer.removed for finalizer in occ.finalizers)
    return max(last_addition(occ), *removed, 0) if occ.repeats or occ.notes or occ.finalizers else 0


def _span_events(occ: Occurrence) -> list[SpanEvent]:
    found = [_span_event(occ, r.time, r.count, r.message) for r in occ.repeats]
    if not occ.notes and not occ.finalizers:
        return found
    removed = (finalizer for finalizer in occ.finalizers if finalizer.removed)
    found += [SpanEvent(f.removed, words.FINALIZER_REMOVED, {words.FINALIZER: f.name}) for f in removed]
    for n in occ.notes:
        condition = {words.CONDITION_TYPE: n.type, words.CONDITION_STATUS: n.status}
        optional = {words.CONDITION_REASON: n.reason, words.CONDITION_MESSAGE: n.message}
        found.append(SpanEvent(n.time, n.name, condition | {key: text for key, text in optional.items() if text}))
    return sorted(found, key=lambda event: (event.time, event.name))


def _span_event(occ: Occurrence, time: int, count: int, message: str) -> SpanEvent:
    if occ.condition:
        optional = {words.CONDITION_MESSAGE: message} if message else {}
        return SpanEvent(time, occ.reason, {words.CONDITION_COUNT: count, **optional})
    return SpanEvent(time, occ.reason, {words.EVENT_COUNT: count, words.EVENT_MESSAGE: message})


def _attributes(occ: Occurrence, where: dict[str, Any]) -> dict[str, Any]:
    container = _CONTAINER.fullmatch(occ.field_path)
    found: dict[str, Any] = {
        words.OBJECT_KIND: occ.kind,
        words.OBJECT_NAME: occ.name,
        words.OBJECT_UID: occ.uid,
        words.OBJECT_API_VERSION: occ.api_version,
        words.OBJECT_RESOURCE_VERSION: occ.resource_version,
        words.OBJECT_FIELDPATH: occ.field_path,
        words.NAMESPACE_NAME: occ.namespace,
        words.CONTAINER_NAME: container[1] if container else "",
        **where,
        **words.object_attributes(occ.kind, occ.name, occ.uid),
        words.CHANGE: occ.patch,
        words.CHANGE_SUMMARY: occ.summary,
        words.FIELD_MANAGER: occ.manager,
    }
    if occ.condition:
        found[words.CONDITION_TYPE] = occ.condition
        found[words.CONDITION_STATUS] = occ.condition_status
        found[words.CONDITION_REASON] = occ.condition_reason
        found[words.CONDITION_MESSAGE] = occ.message
    if occ.event_uid:
        found[words.EVENT_UID] = occ.event_uid
        found[words.EVENT_NAME] = occ.event_name
        found[words.EVENT_REASON] = occ.reason
        found[words.EVENT_ACTION] = occ.event_action
        found[words.EVENT_START_TIME] = format_time(occ.event_start) if occ.event_start else ""
        found[words.EVENT_MESSAGE] = occ.message
    kept = {key: value for key, value in found.items() if value != "" or key in where}
    if occ.run is not None:
        kept |= _run_attributes(occ.run)
    elif occ.field_path:
        kept |= _image_attributes(occ.message)
    elif not occ.until and lasts(occ):
        kept[words.UNFINISHED] = True
    if occ.repeats:
        kept |= _repeat_attributes(occ)
    if occ.finalizers:
        kept[words.FINALIZERS] = [finalizer.name for finalizer in occ.finalizers]
    if occ.probable_manager:
        kept[words.PROBABLE_MANAGER] = True
    if occ.uncertainty:
        kept[words.TIME_UNCERTAINTY] = occ.uncertainty / SECOND
    if occ.event_uid:
        kept[words.EVENT_COUNT] = occ.event_count
    if occ.subject is not None:
        kept[words.EVENT_RULE] = occ.subject.rule
    kept[words.RULE] = occ.place.rule
    kept[words.CONFIDENCE] = occ.place.confidence
    return kept


def _image_attributes(message: str) -> dict[str, Any]:
    """The attributes of the image that a message of the kubelet is about; empty if it is about none."""
    facts = image_facts(message)
    if facts is None:
        return {}
    found = _image_names(facts.image)
    if facts.size is not None:
        found[words.IMAGE_SIZE] = facts.size
    if facts.pulled_in:
        found[words.IMAGE_PULL_DURATION] = facts.pulled_in / SECOND
    if facts.waited:
        found[words.IMAGE_PULL_DURATION_WITH_WAITING] = facts.waited / SECOND
    if facts.present:
        found[words.IMAGE_PRESENT] = True
    return found


def _image_names(image: str) -> dict[str, Any]:
    name, tag, digest = image_name(image)
    found: dict[str, Any] = {words.IMAGE_NAME: name}
    if tag:
        found[words.IMAGE_TAGS] = [tag]
    if digest:
        found[words.IMAGE_DIGESTS] = [f"{name}@{digest}"]
    return found


def with_image(row: SpanRow, image: str) -> SpanRow:
    """The row of a span about a container with the name of its image, unless a message states another one."""
    if not image or words.IMAGE_NAME in row.attributes:
        return row
    return msgspec.structs.replace(row, attributes=row.attributes | _image_names(image))


def _repeat_attributes(occ: Occurrence) -> dict[str, Any]:
    counts = [repeat.count for repeat in occ.repeats]
    first = occ.event_count if occ.event_uid else 1
    return {
        # The counts of an Event can skip numbers, and those of routine Events are counted apart.
        words.REPEAT_COUNT: max(max(counts) - first + 1, 1 + len(counts)),
        words.REPEAT_LAST_TIME: format_time(max(repeat.time for repeat in occ.repeats)),
    }


def _run_attributes(run: Ended | Restarted) -> dict[str, Any]:
    found: dict[str, Any] = {
        words.CONTAINER_RESTART_COUNT: run.number,
        words.CONTAINER_ID: run.id.rpartition("//")[2],
        words.STARTED_AT: run.started,
    }
    if isinstance(run, Ended):
        found |= {
            words.CONTAINER_TERMINATED_REASON: run.reason,
            words.EXIT_CODE: run.exit_code,
            words.TERMINATION_MESSAGE: run.message,
            words.FINISHED_AT: run.finished,
        }
        if run.signal:
            found[words.SIGNAL] = run.signal
        if run.missed:
            found[words.MISSED_TERMINATIONS] = run.missed
    return {key: value for key, value in found.items() if value != ""}


def open_trace_row(trace: Trace, members: int) -> TraceRow:
    """A row of ``traces`` for a trace that is not closed: only its identity and its age are final."""
    return TraceRow(
        trace_id=trace.id,
        state=TraceState.OPEN,
        root_span_id="",
        previous_trace_id=trace.previous_trace,
        opened_at=trace.opened,
        closed_at=0,
        start_time=0,
        end_time=0,
        span_count=members,
        incomplete=False,
        error=trace.outcome == Outcome.FAILING,
        fold=_encode(trace),
        outcome=trace.outcome,
        reason=trace.reason,
    )
