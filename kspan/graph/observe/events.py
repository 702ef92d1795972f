"""From a Kubernetes Event's delta to an occurrence: what it is about, when it happened, and whether it says more. Pure.

What counts is each delta, not the Event object: its count can grow across causes, and a combined Event changes its
message with every count.
"""

import zlib

import msgspec

from kspan.graph.rules.rules import COMBINED, Rules, Subject
from kspan.graph.state.records import EventTrack, ObjectState, Occurrence, Refusal
from kspan.graph.state.state import State
from kspan.ids import span_id, unnamed
from kspan.k8s.objects import Event, decode_event
from kspan.k8s.resource_version import version_number
from kspan.model import LogRecord, RecordType
from kspan.settings import FoldSettings
from kspan.times import SECOND, parse_time_or_zero

MOST_LAG = 300 * SECOND
"""An Event that is later was not slow on its way: nobody was watching, or a clock is wrong."""

_KINDS = {
    kind.lower(): kind for kind in ("CronJob", "DaemonSet", "Deployment", "HelmRelease", "Job", "Pod", "StatefulSet")
}
"""Kinds by the names that Flux 1 has for them in its Events, which are those of resources."""


class EventObserver:
    """Turns the deltas of Events into occurrences."""

    def __init__(self, state: State, rules: Rules, settings: FoldSettings) -> None:
        self.state = state
        self.rules = rules
        self.settings = settings

    def observe(self, record: LogRecord) -> None:
        """Takes in one delta of an Event. Its DELETED is its expiry; one that is off-schema leaves no trace."""
        if record.type is not RecordType.DELETED and (event := decode_event(record.payload)) is not None:
            self._event(record, event)

    def _event(self, record: LogRecord, event: Event) -> None:
        ref = event.involvedObject
        ref.kind = _KINDS.get(ref.kind, ref.kind)
        obj = self._involved(event)
        count = (event.series.count if event.series else 0) or event.count or 1
        track = self.state.event_track(obj, event.metadata.uid)
        if track is not None and count <= track.count and event.message == track.message:
            return  # Written again, but nothing happened again.
        time, latest = self._event_time(record, event, first=track is None and count == 1)
        component = event.source.component or event.reportingComponent or "unknown"
        first = track is None and count == 1
        occ = Occurrence(
            id=span_id(self.state.cluster, event.metadata.uid, *_count_identity(track, count, event.message)),
            uid=obj.uid,
            kind=ref.kind,
            namespace=ref.namespace,
            name=ref.name,
            reason=event.reason or "Event",
            reported_uid=obj.uid,
            arrival=self.state.clock.next_arrival(),
            received=self.state.clock.now,
            time=time,
            latest=latest,
            rv=version_number(event.metadata.resourceVersion, record.epoch),
            # Another count keeps the version of the first; a series is told apart by the version that was looked at
            # (client-go tools/events/event_broadcaster.go, getKey), so that its repeats saw that very one.
            seen_rv=version_number(ref.resourceVersion, record.epoch) if first or event.series else 0,
            api_version=ref.apiVersion,
            resource_version=ref.resourceVersion,
            field_path=ref.fieldPath,
            actor=component,
            instance=event.source.host or event.reportingInstance,
            listed=record.type is RecordType.LISTED,
            warning=event.type == "Warning",
            message=event.message,
            event_uid=event.metadata.uid,
            event_name=event.metadata.name,
            event_action=event.action,
            event_count=count,
            event_start=_event_start(event),
            top_level=(event.metadata.annotations or {}).get("topLevelSpan") == "true",
            subject=self.rules.subject(component, ref.kind, event.reason, ref.namespace, event.message),
        )
        if occ.top_level and occ.subject is None:
            occ.subject = Subject("applies", source="self", starts=True)
        if occ.subject is not None:
            occ.subject = _aim(occ.subject, event, obj)
            self._note_refusal(occ, obj)
        self._measure_lag(occ, record)
        self.state.add_occurrence(occ)

    def aim_again(self, obj: ObjectState) -> None:
        """Tells the Events that came before their object what it targets."""
        for span in sorted(self.state.pending_of(obj.uid)):
            occ = self.state.occurrence(span)
            told = occ.subject if occ is not None else None
            if occ is not None and told is not None and told.source == "scaleTargetRef" and not told.name:
                self.state.set_subject(occ, _at_target(told, obj))

    def _involved(self, event: Event) -> ObjectState:
        ref = event.involvedObject
        # Some reporters (the taint manager) tell only the name, and the kubelet puts its node's name for the uid. Whose
        # it is gets decided with the cause, when all that may bear it is known.
        uid = ref.uid if ref.uid != ref.name else ""
        uid = uid or unnamed(ref.kind, ref.namespace, ref.name)
        return self.state.objects.reference(uid, ref.kind, ref.namespace, ref.name, ref.apiVersion)

    def _event_time(self, record: LogRecord, event: Event, *, first: bool) -> tuple[int, int]:
        """(best estimate, latest possible) of this occurrence: the most precise that the Event tells."""
        if event.series and event.series.lastObservedTime:
            exact = parse_time_or_zero(event.series.lastObservedTime)
        elif first:
            exact = parse_time_or_zero(event.eventTime) or _name_time(event)
        else:
            exact = 0
        if exact:
            return exact, exact
        floor = parse_time_or_zero(event.lastTimestamp) or parse_time_or_zero(event.firstTimestamp)
        floor = floor or parse_time_or_zero(event.eventTime) or parse_time_or_zero(event.metadata.creationTimestamp)
        if not floor:
            return record.recorded_at, record.recorded_at
        if record.type is not RecordType.LISTED and 0 <= record.recorded_at - floor < SECOND:
            return record.recorded_at, record.recorded_at
        return floor, floor + SECOND

    def _note_refusal(self, occ: Occurrence, obj: ObjectState) -> None:
        told, old = occ.subject, obj.refused
        if told is None or told.means != "waits":
            return
        first, last = occ.event_start or occ.time, occ.latest
        if old is not None and (old.kind, old.namespace, old.name) == (told.kind, told.namespace, told.name):
            first = min(first, old.first)
            last = max(last, old.last)
        self.state.objects.refuse(obj, Refusal(told.kind, told.namespace, told.name, first, last))

    def _measure_lag(self, occ: Occurrence, record: LogRecord) -> None:
        if record.type is not RecordType.LISTED and 0 <= (lag := record.recorded_at - occ.time) < MOST_LAG:
            self.state.clock.note_event_lag(lag)


def _count_identity(track: EventTrack | None, count: int, message: str) -> tuple[str, ...]:
    # An Event object that changes its message but not its count (some third parties) is told apart by its message.
    if track is not None and count <= track.count:
        return (str(count), str(zlib.crc32(message.encode())))
    return (str(count),)


def _name_time(event: Event) -> int:
    """Return the time in the name of an Event (ns); 0 if there is none.

    client-go names an Event ``object.%x`` of the time in ns (tools/record/event.go). Other clients put other
    hexadecimal numbers there, so the time must be within the second of firstTimestamp.
    """
    first = parse_time_or_zero(event.firstTimestamp)
    _, dot, suffix = event.metadata.name.rpartition(".")
    if not dot or not first or not 14 <= len(suffix) <= 16:
        return 0
    try:
        named = int(suffix, 16)
    except ValueError:
        return 0
    return named if first <= named < first + SECOND else 0


def _event_start(event: Event) -> int:
    return _name_time(event) or parse_time_or_zero(event.eventTime) or parse_time_or_zero(event.firstTimestamp)


def _aim(told: Subject, event: Event, obj: ObjectState) -> Subject:
    """The subject, where the rule leaves it to the reporting object.

    The node of a Pod is looked up when the cause is chosen: it may not be known yet.
    """
    if told.by:
        named = "" if told.by == "related" else told.by
        told = msgspec.structs.replace(told, by=event.related.uid if event.related is not None else named)
    if told.source == "self":
        ref = event.involvedObject
        return msgspec.structs.replace(told, kind=ref.kind, namespace=ref.namespace, name=ref.name)
    if told.source == "namespace":
        return msgspec.structs.replace(told, kind="Namespace", namespace="", name=event.involvedObject.namespace)
    return _at_target(told, obj) if told.source == "scaleTargetRef" else told


def _at_target(told: Subject, obj: ObjectState) -> Subject:
    return msgspec.structs.replace(told, kind=obj.target_kind, namespace=obj.namespace, name=obj.target_name)


def is_combined(message: str) -> bool:
    """Whether the Event is an aggregate that changes its message with every count (client-go events_cache.go)."""
    return message.startswith(COMBINED)
