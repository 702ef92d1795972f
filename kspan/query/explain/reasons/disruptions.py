"""Why others ended a Pod or container (a probe, a Pod of higher priority, a drain), and what replaced the Pod."""

import re
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from kspan import vocabulary
from kspan.graph.rules.patterns import COMBINED
from kspan.model import ObjectRow, SpanRow
from kspan.query import spans as reading
from kspan.query.explain import manifests
from kspan.query.explain.effects import probe_of
from kspan.query.explain.own import disruption_of, own_message
from kspan.query.explain.reasons.reason import Reason
from kspan.query.objects.status import state_of
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.times import LATEST, SECOND

CORDONED: Final = "unschedulable: true"
"""The summary of the change that ``kubectl cordon`` and the first step of ``kubectl drain`` make."""

_READ: Final = 100

_STOPPED_FOR: Final = re.compile(r"failed (liveness|startup) probe", re.IGNORECASE)
"""In a message of Killing (pkg/kubelet/kuberuntime, computePodActions)."""

_NODES: Final = re.compile(r"^\d+/\d+ nodes are available: (.*?)\.(?: |$)", re.DOTALL)
"""pkg/scheduler/framework FitError.Error(): why no node fits, then what preemption would do."""


def failed_probe(shown: SpanRow, behind: Sequence[SpanRow]) -> Reason | None:
    """Return the probe because of which the kubelet stopped a container."""
    if not behind or behind[0].reason != "Killing":
        return None
    failure = next((span for span in behind if span.reason == "Unhealthy" and span.event_uid), None)
    if failure is None:
        return None
    named = _STOPPED_FOR.search(own_message(behind[0]))
    probe = named[1].capitalize() if named is not None else probe_of(failure.reason, own_message(failure))
    # The end of a container is known in whole seconds.
    until = shown.start_time + (SECOND - 1 if shown.start_time % SECOND == 0 else 0)
    repeats = [event for event in failure.events if vocabulary.is_repeat(event.attributes)]
    reports = [(failure.start_time, own_message(failure))]
    reports += [(each.time, str(each.attributes.get(vocabulary.EVENT_MESSAGE, ""))) for each in repeats]
    # One combined Event can report several probes.
    alike = [(time, message) for time, message in reports if probe_of(failure.reason, message) == probe]
    before = [event.attributes for event in repeats if event.time <= until]
    last = max((time for time, _ in alike[1:]), default=0)
    first, message = alike[0] if alike else reports[0]
    detail = message.removeprefix(COMBINED).partition(":")[2].strip()
    mixed = 0 < len(alike) < len(reports)
    return Reason(
        kind="probe",
        text=f"its {f'{probe.lower()} ' if probe else ''}probe failed{f': {detail}' if detail else ''}",
        alike=sum(time <= until for time, _ in alike)
        if mixed
        else vocabulary.count_occurrences(failure.attributes, before),
        first=first,
        again=last if last > until else 0,
    )


def reason(
    connection: Connection, cluster: str, pod: ObjectRow, shown: SpanRow, behind: Sequence[SpanRow]
) -> Reason | None:
    """Return why a Pod was evicted or preempted; None if it was deleted for another reason, or nothing shows which."""
    why = disruption_of(shown)[0]
    if why == "EvictionByEvictionAPI" and behind and reading.summary_of(behind[-1]) == CORDONED:
        return Reason(kind="drain", text="a drain", likely=True)
    preemptor = next((span for span in behind if span.object_kind == "Pod" and span.object_uid != pod.uid), None)
    if why == "PreemptionByScheduler" and preemptor is not None:
        return _preempted(connection, cluster, pod, shown, preemptor)
    return None


def _preempted(connection: Connection, cluster: str, pod: ObjectRow, shown: SpanRow, by: SpanRow) -> Reason | None:
    here = schema.objects.c
    query = rows.select_rows(schema.objects, ObjectRow).where(here.cluster == cluster, here.uid == by.object_uid)
    other = next(iter(rows.fetch(connection, query, ObjectRow)), None)
    if other is None:
        return None
    ours, theirs = (_priority(connection, cluster, each, shown.start_time) for each in (pod, other))
    known = f" (priority {theirs}, this one {ours})" if ours is not None and theirs is not None else ""
    fits = _why_not_scheduled(connection, cluster, other, shown.start_time)
    text = f"Pod {other.namespace}/{other.name}{known} did not fit{f': {fits}' if fits else ''}"
    return Reason(kind="preemption", text=text)


def _priority(connection: Connection, cluster: str, pod: ObjectRow, until: int) -> int | None:
    """The priority of a Pod, which is never changed. It may be received after what it led to."""
    found = manifests.manifest(connection, cluster, pod, until) or manifests.manifest(connection, cluster, pod, LATEST)
    return manifests.number(manifests.mapping(found.get("spec")), "priority")


def _why_not_scheduled(connection: Connection, cluster: str, pod: ObjectRow, until: int) -> str:
    spans = schema.spans.c
    query = reading.of_object(cluster, pod).where(spans.reason == "FailedScheduling", spans.start_time <= until)
    last = next(reading.fetch(connection, cluster, query.limit(1)), None)
    found = _NODES.match(own_message(last)) if last is not None else None
    return found[1] if found else ""


def replacement_of(connection: Connection, cluster: str, deletion: SpanRow, at: int) -> str:
    """Return the Pod that was created because of a deletion, and its state at a time (Unix ns; 0: now); empty if none
    was."""
    spans, parents = schema.spans.c, [deletion.span_id]
    for _ in range(2):  # The Event of the controller may stand between.
        until = reading.not_after(spans.start_time, at or LATEST)
        below = (spans.cluster == cluster, spans.trace_id == deletion.trace_id, until)
        query = rows.select_rows(schema.spans, SpanRow).where(*below, spans.parent_span_id.in_(parents))
        found = list(
            reading.fetch(connection, cluster, query.order_by(reading.unindexed(spans.start_time)).limit(_READ))
        )
        created = next((each for each in found if (each.object_kind, each.reason) == ("Pod", "Create")), None)
        if created is not None:
            return _with_state(connection, cluster, created, at)
        parents = [each.span_id for each in found if each.reason == "SuccessfulCreate"]
    return ""


def _with_state(connection: Connection, cluster: str, created: SpanRow, at: int) -> str:
    namesakes = manifests.named(connection, cluster, "Pod", created.object_namespace, created.object_name)
    pod = next((each for each in namesakes if each.uid == created.object_uid), None)
    state = state_of(connection, cluster, pod, at=at) if pod is not None else ""
    gone = pod is not None and 0 < pod.deleted_at <= (at or LATEST)
    return f"{created.object_name}: {'gone' if gone else state}" if gone or state else created.object_name
