"""The other effects of a root cause: the occurrences of its trace in groups."""

from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import BigInteger, Boolean, Connection, Select, and_, case, cast, column, func, or_, select, table

from kspan.graph.rules.patterns import COMBINED
from kspan.model import SpanRow
from kspan.query import spans as reading
from kspan.query.explain.as_of import as_of
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.times import LATEST

occurrences: Final = table(
    "occurrences",
    *map(column, ("cluster", "trace_id", "span_id", "kind", "reason", "object", "uid", "message", "start_time")),
    column("times", BigInteger),
    column("error", Boolean),
)
"""The view, which counts repeats."""

PROBES: Final = ("Liveness", "Readiness", "Startup")
"""How messages of the Event Unhealthy begin (pkg/kubelet/prober/prober.go)."""


class Effect(msgspec.Struct, frozen=True):
    """A group of the root cause's other effects: occurrences of one kind and reason.

    There are ``count`` occurrences on ``objects`` objects; the earliest is at ``first`` (Unix ns). ``example`` is the
    name of its object, ``message`` its message, ``span_id`` its span. ``probe`` is the kind of probe that failed
    (Liveness, Readiness, Startup), or empty.
    """

    kind: str
    reason: str
    error: bool
    count: int
    objects: int
    first: int
    example: str
    message: str
    probe: str
    span_id: str = ""


_Key = tuple[str, str, bool, str]
"""Kind, reason, error and probe."""


def effects_in(
    connection: Connection, cluster: str, trace_id: str, chain: list[str], *, until: int = LATEST
) -> list[Effect]:
    """Return the occurrences in a trace up to a time (Unix ns), but for some spans (``chain``): errors first, then by
    time."""
    found = [Effect(*row) for row in connection.execute(_grouped(cluster, trace_id, chain, until))]
    if until == LATEST:
        return found
    later = _repeated_later(connection, cluster, trace_id, chain, until)
    return [replace(each, count=each.count - later.get(_key(each), 0)) for each in found]


def _grouped(cluster: str, trace_id: str, chain: list[str], until: int) -> Select[Any]:
    here = occurrences.c
    # An expression instead of the column: otherwise SQLite walks through all spans in the order of the index by kind
    # instead of sorting the few of this trace.
    kind = func.coalesce(here.kind, "").label("kind")
    of_probe = [(or_(*(here.message.startswith(f"{c}{name} probe") for c in ("", COMBINED))), name) for name in PROBES]
    probe = case(*[(and_(here.reason == "Unhealthy", of), name) for of, name in of_probe], else_="").label("probe")
    # The kubelet reports an image that cannot be pulled twice at once; only one of the Events has the reason.
    order = (here.start_time, case((here.message.startswith("Error: "), 1), else_=0), here.span_id)
    number = func.row_number().over(partition_by=(kind, here.reason, here.error, probe), order_by=order)
    each = (
        select(
            kind,
            here.reason,
            here.error,
            probe,
            here.times,
            here.uid,
            here.start_time,
            here.object,
            here.message,
            here.span_id,
            number.label("number"),
        )
        .where(
            here.cluster == cluster,
            here.trace_id == trace_id,
            here.span_id.not_in(chain),
            reading.not_after(here.start_time, until),
        )
        .subquery()
    )
    one = each.c

    def of_first(value: Any) -> Any:
        return func.max(case((one.number == 1, value)))

    first = func.min(one.start_time)
    return (
        select(
            one.kind,
            one.reason,
            one.error,
            cast(func.sum(one.times), BigInteger),
            func.count(one.uid.distinct()),
            first,
            of_first(one.object),
            of_first(one.message),
            one.probe,
            of_first(one.span_id),
        )
        .group_by(one.kind, one.reason, one.error, one.probe)
        .order_by(one.error.desc(), first, one.kind, one.reason, one.probe)
    )


def _repeated_later(
    connection: Connection, cluster: str, trace_id: str, chain: list[str], until: int
) -> dict[_Key, int]:
    """Return how often the occurrences of each group were repeated after a time."""
    here, spans = occurrences.c, schema.spans
    of_trace = (here.cluster == cluster, here.trace_id == trace_id, reading.not_after(here.start_time, until))
    repeated = connection.execute(select(here.span_id).where(*of_trace, here.times > 1)).scalars().all()
    later: dict[_Key, int] = {}
    for run in rows.chunks([each for each in repeated if each not in set(chain)]):
        where = (spans.c.cluster == cluster, spans.c.trace_id == trace_id, spans.c.span_id.in_(run))
        for span in reading.fetch(connection, cluster, rows.select_rows(spans, SpanRow).where(*where)):
            key = (span.object_kind, span.reason, span.error, probe_of(span.reason, span.message))
            later[key] = later.get(key, 0) + reading.times(span) - reading.times(as_of(span, until))
    return later


def _key(effect: Effect) -> _Key:
    return (effect.kind, effect.reason, effect.error, effect.probe)


def probe_of(reason: str, message: str) -> str:
    """Return the probe that an Event reports to have failed (Liveness, Readiness, Startup); empty for other Events."""
    own = message.removeprefix(COMBINED) if reason == "Unhealthy" else ""
    return next((name for name in PROBES if own.startswith(f"{name} probe")), "")
