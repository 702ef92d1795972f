"""Kubernetes Events become occurrences. Pure.

Each delta of an Event counts, not the Event object: its count can grow for several causes, and an aggregated Event
changes its message with every count.
"""

import zlib

from msgspec.structs import replace

from kspan.graph.observe.failures import FailureObserver
from kspan.graph.observe.timing import MAX_LAG, clock_error
from kspan.graph.rules.patterns import COMBINED
from kspan.graph.rules.rules import Rules, Subject
from kspan.graph.state.records import EventTrack, News, ObjectState, Occurrence, Refusal
from kspan.graph.state.state import State
from kspan.ids import span_id, unnamed
from kspan.k8s.objects import Event, ObjectReference, decode_event
from kspan.k8s.resource_version import version_number
from kspan.model import LogRecord, RecordType
from kspan.times import SECOND, parse_time_or_zero

_FLUX_1_KINDS = {
    kind.lower(): kind for kind in ("CronJob", "DaemonSet", "Deployment", "HelmRelease", "Job", "Pod", "StatefulSet")
}
"""Kinds by the lower-case names that Flux 1 writes into its Events."""


class EventObserver:
    """Creates the occurrences of Events."""

    def __init__(self, state: State, rules: Rules, failures: FailureObserver) -> None:
        self.state = state
        self.rules = rules
        self.failures = failures

    def observe(self, record: LogRecord) -> None:
        """Add the occurrence of a delta of an Event to the state.

        DELETED means that the Event expired. An Event that does not match the schema is ignored.
        """
        if record.type is not RecordType.DELETED and (event := decode_event(record.payload)) is not None:
            if record.type is RecordType.LISTED:
                self.state.clock.note_listed_event(record.recorded_at)
            self._observe(record, event)

    def _observe(self, record: LogRecord, event: Event) -> None:
        ref = event.involvedObject
        ref.kind = _FLUX_1_KINDS.get(ref.kind, ref.kind)
        obj = self._involved_object(event)
        count = (event.series.count if event.series else 0) or event.count or 1
        track = self.state.event_track(obj, event.metadata.uid)
        if track is not None and count <= track.count and event.message == track.message:
            return  # The Event was written again, but did not occur again.
        occ = self._occurrence(record, event, obj, count, track)
        if track is None and count > 1 and (began := self._missed_beginning(record, event, occ, obj)):
            first = self._first_occurrence(record, event, occ, began)
            self._interpret(first, event, obj)
            self.state.add_occurrence(first)
            occ = replace(occ, time=max(occ.time, began), arrival=self.state.clock.next_arrival())
        self._interpret(occ, event, obj)
        if record.type is not RecordType.LISTED and 0 <= (lag := record.recorded_at - occ.time) < MAX_LAG:
            self.state.clock.note_event_lag(lag)
        self.state.add_occurrence(occ)
        if self.failures.concerns(occ, obj):
            waiting = (other for span in self.state.pending_of(obj.uid) if (other := self.state.occurrence(span)))
            self.state.objects.set_failures(obj, self.failures.after_event(occ, obj, self.state.clock.now, waiting))

    def _occurrence(
        self, record: LogRecord, event: Event, obj: ObjectState, count: int, track: EventTrack | None
    ) -> Occurrence:
        ref, first, name_time = event.involvedObject, track is None and count == 1, _name_time(event)
        annotations = event.metadata.annotations
        time, latest, uncertainty = _received_by(record, *_event_time(record, event, name_time, first=first))
        return Occurrence(
            # By position as far as possible: most occurrences are Events, and keywords take twice the time.
            span_id(self.state.cluster, event.metadata.uid, *_count_identity(track, count, event.message)),
            obj.uid,
            ref.kind,
            ref.namespace,
            ref.name,
            event.reason or "Event",
            self.state.clock.next_arrival(),
            self.state.clock.now,
            time,
            latest,
            uncertainty,
            reported_uid=obj.uid,
            rv=version_number(event.metadata.resourceVersion, record.epoch),
            # A repeat keeps the resourceVersion of the first occurrence. In a series it is that of each repeat, because
            # it is part of the key of the series (client-go tools/events/event_broadcaster.go, getKey).
            seen_rv=version_number(ref.resourceVersion, record.epoch) if first or event.series else 0,
            api_version=ref.apiVersion,
            resource_version=ref.resourceVersion,
            field_path=ref.fieldPath,
            actor=event.source.component or event.reportingComponent or "unknown",
            instance=event.source.host or event.reportingInstance,
            warning=event.type == "Warning",
            message=event.message,
            event_uid=event.metadata.uid,
            event_name=event.metadata.name,
            event_action=event.action,
            event_count=count,
            event_start=name_time or parse_time_or_zero(event.eventTime) or parse_time_or_zero(event.firstTimestamp),
            revision=_revision(event),
            top_level=annotations is not None and annotations.get("topLevelSpan") == "true",
        )

    def _missed_beginning(self, record: LogRecord, event: Event, last: Occurrence, obj: ObjectState) -> int:
        """When an Event occurred first (ns) that is seen for the first time when it has been repeated already.

        0 if that is not known, or its message is not, or if it may have been seen: an Event that expired is created
        again with its count.
        """
        began = parse_time_or_zero(event.eventTime) or _name_time(event) or parse_time_or_zero(event.firstTimestamp)
        repeated = event.lastTimestamp or (event.series is not None and event.series.lastObservedTime)
        # A burst within a second is one occurrence with a count.
        known = began and repeated and began + SECOND < last.latest and not is_combined(event.message)
        return began if known and self._was_missed(record, event.message, obj, began) else 0

    def _first_occurrence(self, record: LogRecord, event: Event, last: Occurrence, began: int) -> Occurrence:
        """The first occurrence of an Event, from its last one. Those between them are only counted."""
        return replace(
            last,
            id=span_id(self.state.cluster, event.metadata.uid, *_count_identity(None, 1, event.message)),
            time=began,
            latest=began if began % SECOND else began + SECOND,
            uncertainty=0,
            # Only the last occurrence wrote this version of the Event: by versions, nothing is known of the first.
            rv=0,
            inferred_from=str(last.rv),
            seen_rv=version_number(event.involvedObject.resourceVersion, record.epoch),
            event_count=1,
            repeats=(),
            notes=(),
        )

    def _was_missed(self, record: LogRecord, message: str, obj: ObjectState, began: int) -> bool:
        """True if nobody saw an Event when it occurred first, at ``began`` (ns)."""
        clock = self.state.clock
        if record.type is RecordType.LISTED:
            return began > clock.events_listed_before
        gap = clock.gap(record.resource)
        if gap.until and version_number(record.resource_version, record.epoch) <= gap.end and began >= gap.since:
            return True
        remembered = obj.seen <= began or clock.now < clock.began + self.state.memory
        return remembered and message not in self.state.messages_about(obj)

    def _interpret(self, occ: Occurrence, event: Event, obj: ObjectState) -> None:
        """Find out what an Event reports, about which object."""
        occ.subject = self._subject(occ, event, obj)
        if occ.subject is not None:
            occ.others = self.rules.others(occ.subject, occ.namespace, occ.message)
            self._note_meaning(occ, occ.subject, obj)
        if occ.revision and occ.kind in self.rules.sources:
            self._note_revision(occ, obj)

    def _subject(self, occ: Occurrence, event: Event, obj: ObjectState) -> Subject | None:
        """Return the other object that an Event is about, if a rule reads one."""
        subject = self.rules.subject(occ.actor, occ.kind, event.reason, occ.namespace, event.message)
        if subject is None and occ.top_level:
            subject = Subject("applies", source="self", starts=True)
        return _with_reference(subject, event, obj) if subject is not None else None

    def set_scale_target(self, obj: ObjectState) -> None:
        """Set the subject of Events that were received before their object, whose spec names the subject."""
        for span in sorted(self.state.pending_of(obj.uid)):
            occ = self.state.occurrence(span)
            subject = occ.subject if occ is not None else None
            if occ is not None and subject is not None and subject.source == "scaleTargetRef" and not subject.name:
                self.state.set_subject(occ, _scale_target(subject, obj))

    def _involved_object(self, event: Event) -> ObjectState:
        ref = event.involvedObject
        # Some reporters (the taint manager) omit the uid, and the kubelet writes the node's name there. The uid is
        # found when the cause is decided, and all objects with the name are known.
        uid = ref.uid if ref.uid != ref.name else ""
        if ref.kind == "Node" and uid and self.state.object(uid) is None and self._is_known(ref):
            uid = ""  # The uid of an earlier Node with this name: the history keeps what is known of that.
        uid = uid or unnamed(ref.kind, ref.namespace, ref.name)
        return self.state.objects.reference(uid, ref.kind, ref.namespace, ref.name, ref.apiVersion)

    def _is_known(self, ref: ObjectReference) -> bool:
        return any(obj.rv for obj in self.state.objects.named(ref.kind, ref.namespace, ref.name))

    def _note_meaning(self, occ: Occurrence, subject: Subject, obj: ObjectState) -> None:
        """Note on the object what an Event says that may be the cause of what happens later to others."""
        if subject.means == "waits":
            self._note_refusal(occ, subject, obj)
            for other in self.rules.obstacles(occ.actor, occ.kind, occ.reason, occ.namespace, occ.message):
                if other.rule != subject.rule:
                    self._note_refusal(occ, other, obj)
        elif subject.means == "awaits":
            self.state.objects.await_use(obj, subject.kind)
        elif subject.means in ("publishes", "requests"):
            wanted = subject.kind if subject.means == "requests" else ""
            self.state.objects.add_news(obj, News(occ.id, occ.rv, occ.time, occ.revision or subject.by, wanted))

    def _note_revision(self, occ: Occurrence, obj: ObjectState) -> None:
        """Note that an object does something for a revision of its source."""
        routine = occ.subject is not None and occ.subject.means in ("publishes", "routine")
        if not routine and occ.kind not in self.rules.status_fields:
            self.state.objects.note_revision(obj, News(occ.id, occ.rv, occ.time, occ.revision))

    def _note_refusal(self, occ: Occurrence, subject: Subject, obj: ObjectState) -> None:
        """Note from when until when an object, or its controller, could not act because of the subject."""
        name = (subject.kind, subject.namespace, subject.name)
        old = next((r for r in obj.refusals if (r.kind, r.namespace, r.name) == name), None)
        first, last = occ.event_start or occ.time, occ.latest
        if old is not None:
            first, last = min(first, old.first), max(last, old.last)
        self.state.objects.refuse(obj, Refusal(*name, first, last, subject.after))


def _event_time(record: LogRecord, event: Event, name_time: int, *, first: bool) -> tuple[int, int]:
    """Return the best estimate of when an Event occurred, and the latest possible time (ns).

    Args:
        record: the record of the Event.
        event: the Event.
        name_time: the time in its name (ns; 0: none).
        first: true for its first occurrence. eventTime and the name have the time of that.
    """
    if event.series and event.series.lastObservedTime:
        exact = parse_time_or_zero(event.series.lastObservedTime)
    elif first:
        exact = parse_time_or_zero(event.eventTime) or name_time
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


def _received_by(record: LogRecord, time: int, latest: int) -> tuple[int, int, int]:
    """Return time, latest time and uncertainty (ns) of an Event: it did not happen after its receipt.

    The clock of a node may be ahead. A list shows Events long after they happened, so its receipt says nothing.
    """
    received = record.recorded_at
    if latest <= received or record.type is RecordType.LISTED:
        return time, latest, 0
    return min(time, received), received, clock_error(record, time)


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


def _revision(event: Event) -> str:
    """Return the revision that an Event is about (Flux: an annotation of the API group of its object)."""
    if event.metadata.annotations:
        for key, value in event.metadata.annotations.items():
            if key.endswith("/revision"):
                return value
    return ""


def _count_identity(track: EventTrack | None, count: int, message: str) -> tuple[str, ...]:
    """Return what identifies an occurrence among those of its Event: the count.

    Some third parties change the message of an Event but not its count; then the message identifies it too.
    """
    if track is not None and count <= track.count:
        return (str(count), str(zlib.crc32(message.encode())))
    return (str(count),)


def _with_reference(subject: Subject, event: Event, obj: ObjectState) -> Subject:
    """Complete a subject that the rule finds in the Event or in the reporting object.

    The node of a Pod is looked up when the cause is chosen, because it may not be known yet.
    """
    if subject.by:
        named = "" if subject.by == "related" else subject.by
        subject = replace(subject, by=event.related.uid if event.related is not None else named)
    if subject.source == "self":
        ref = event.involvedObject
        return replace(subject, kind=ref.kind, namespace=ref.namespace, name=ref.name)
    if subject.source == "namespace":
        return replace(subject, kind="Namespace", namespace="", name=event.involvedObject.namespace)
    return _scale_target(subject, obj) if subject.source == "scaleTargetRef" else subject


def _scale_target(subject: Subject, obj: ObjectState) -> Subject:
    return replace(subject, kind=obj.target_kind, namespace=obj.namespace, name=obj.target_name)


def is_combined(message: str) -> bool:
    """True for an aggregated Event, which changes its message with every count (client-go events_cache.go)."""
    return message.startswith(COMBINED)
