"""A Pod that becomes ready and not ready again and again, and the probe because of which it does."""

from typing import Final

from sqlalchemy import Connection

from kspan.model import ObjectRow, SpanRow
from kspan.query import spans as reading
from kspan.query.explain.effects import probe_of
from kspan.query.explain.own import own_message
from kspan.query.explain.reasons.reason import Reason
from kspan.store.schema import tables as schema
from kspan.terminal.counted import counted
from kspan.times import SECOND

FLAPS: Final = 3
"""Number of times from which on a Pod that was not ready flaps. A Pod that is rolled out or restarted is not ready once
or twice."""

WITHIN: Final = 900 * SECOND
"""For how long before an occurrence the transitions are counted (the default of ``--max-trace-age``)."""

_BEFORE: Final = 4 * WITHIN
"""For how long before that a span may have begun of which a transition is a repeat."""

_READ: Final = 200
"""Maximum number of spans that are read."""

_NOT_READY: Final = "Ready=False"
_READINESS: Final = "Readiness"


def reason(connection: Connection, cluster: str, pod: ObjectRow, shown: SpanRow, until: int) -> Reason | None:
    """Return that a Pod flaps, if an occurrence is about its readiness; None if it does not.

    Args:
        connection, cluster: where to read.
        pod: the Pod.
        shown: its occurrence: that its readiness probe failed, or that it became ready or not ready.
        until: the time that is asked about (Unix ns).
    """
    failed = probe_of(shown.reason, own_message(shown)) == _READINESS
    if pod.kind != "Pod" or shown.object_uid != pod.uid or not (failed or shown.reason in ("Ready", _NOT_READY)):
        return None
    since = max(shown.start_time, reading.last_repeat(shown)) - WITHIN
    spans = schema.spans.c
    query = reading.of_object(cluster, pod).where(
        spans.start_time.between(since - _BEFORE, until), spans.reason.in_((_NOT_READY, "Unhealthy"))
    )
    found = list(reading.fetch(connection, cluster, query.limit(_READ)))
    unready = [
        time
        for span in found
        if span.reason == _NOT_READY
        for time in reading.all_times(span)
        if since <= time <= until
    ]
    if len(unready) < FLAPS:
        return None
    failures = [each for each in found if probe_of(each.reason, own_message(each)) == _READINESS]
    probed = [time for span in failures for time in reading.all_times(span) if since <= time <= until]
    detail = own_message(failures[0]).partition(":")[2].strip() if failures else ""
    how = f" ({detail})" if detail and detail not in own_message(shown) else ""
    probe = f"its readiness probe failed {_often(len(probed))}{how} and " if probed else ""
    return Reason(
        kind="flapping",
        text=f"it flaps: {probe}it was not ready {_often(len(unready))}",
        alike=len(unready),
        first=min(unready + probed),
    )


def _often(count: int) -> str:
    return counted(count, "time") if count > 1 else "once"
