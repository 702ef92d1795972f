"""One span of a trace in full: its attributes, its change with the values before and after, and what it links to."""

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from kspan import vocabulary
from kspan.errors import QueryError
from kspan.k8s.redact import mask_values
from kspan.model import LogRecord, SpanEvent, SpanRow
from kspan.query import spans as reading
from kspan.query.objects.manifest import decode
from kspan.query.visible import Visible
from kspan.store.schema import tables as schema
from kspan.store.tables.rows import select_rows
from kspan.terminal.deletions import held_text

MOST_LINKS: Final = 20
"""Links whose spans are read; a resume of a rollout can have many."""

MOST_VERSIONS: Final = 2_000
"""Versions of an object among which the one before a change is looked for, the newest. A Node has one a minute."""

_MISSING: Final = object()


class Operation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A difference between two versions of an object.

    ``path`` is a JSON pointer. ``before`` and ``after`` are texts: JSON, or a string as it is. Null: there was no
    value, or (of ``before``) the journal does not have that version any more.
    """

    path: str
    before: str | None = None
    after: str | None = None


class Linked(msgspec.Struct, frozen=True):
    """A span that a span links to. ``relation`` is a value of ``kspan.link``; the last four are empty if it is unknown.

    ``start`` is in milliseconds since 1970.
    """

    trace_id: str
    span_id: str
    relation: str
    name: str
    namespace: str
    object: str
    start: float


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """A span in full. ``begin`` and ``end`` are in milliseconds since 1970, like the times of ``events``.

    Args:
        instance, uid, message, attributes: as in ``SpanRow``.
        manager: the field manager of a change, if it is known.
        held: what a deletion waited for.
        events: pairs of a time, and name and attributes as in ``SpanRow``.
        changes: the change.
        links: what it links to.
    """

    span_id: str
    begin: float
    end: float
    instance: str
    uid: str
    manager: str
    message: str
    held: str
    attributes: dict[str, Any]
    events: list[tuple[float, str, dict[str, Any]]]
    changes: list[Operation]
    links: list[Linked]


def read_detail(connection: Connection, cluster: str, visible: Visible, trace_id: str, span_id: str) -> Detail:
    """Return a span in full, without links into traces that the asker may not see.

    Raises QueryError if there is no such span.
    """
    found = reading.one(connection, cluster, trace_id, span_id)
    span = next(iter(visible.spans(connection, cluster, [found] if found is not None else [])), None)
    if span is None:
        raise QueryError(f"trace {trace_id} has no span {span_id[:64]!r}")
    return Detail(
        span_id=span.span_id,
        begin=_ms(span.start_time),
        end=_ms(max(span.end_time, span.start_time)),
        instance=span.instance,
        uid=span.object_uid,
        manager=reading.manager_of(span),
        message=span.message,
        held=held_text(span),
        attributes={key: value for key, value in span.attributes.items() if key != vocabulary.CHANGE},
        events=[_event(event) for event in span.events],
        changes=changes_of(connection, cluster, span),
        links=[
            _linked(connection, cluster, link.trace_id, link.span_id, str(link.attributes.get(vocabulary.LINK, "")))
            for link in span.links[:MOST_LINKS]
        ],
    )


def changes_of(connection: Connection, cluster: str, span: SpanRow) -> list[Operation]:
    """Return what a change changed, with the values before from the journal, as far as it still has them."""
    patch = span.attributes.get(vocabulary.CHANGE)
    if not isinstance(patch, str) or not patch:
        return []
    try:
        operations = msgspec.json.decode(patch, type=list[dict[str, Any]])
    except msgspec.MsgspecError:
        return []
    manifest = _version_before(connection, cluster, span)
    if manifest is not None and "spec" in manifest:
        manifest["spec"] = mask_values(manifest["spec"])
    return [_operation(each, manifest) for each in operations]


def _ms(time: int) -> float:
    return time / 1_000_000


def _event(event: SpanEvent) -> tuple[float, str, dict[str, Any]]:
    return _ms(event.time), event.name, event.attributes


def _linked(connection: Connection, cluster: str, trace_id: str, span_id: str, relation: str) -> Linked:
    span = reading.one(connection, cluster, trace_id, span_id)
    if span is None:
        return Linked(trace_id, span_id, relation, "", "", "", 0)
    name, place = span.object_name, span.object_namespace
    return Linked(trace_id, span_id, relation, span.name, place, name, _ms(span.start_time))


def _version_before(connection: Connection, cluster: str, span: SpanRow) -> dict[str, Any] | None:
    """Return the manifest that a change changed; None if the journal does not have it."""
    journal, version = schema.journal, span.attributes.get(vocabulary.OBJECT_RESOURCE_VERSION)
    # The numbers are read from the index alone. In one statement, SQLite would walk through the whole journal instead.
    numbers = (
        select(journal.c.seq)
        .where(
            journal.c.cluster == cluster,
            journal.c.kind == span.object_kind,
            journal.c.namespace == span.object_namespace,
            journal.c.name == span.object_name,
            journal.c.uid == span.object_uid,
            schema.HAS_UID,
        )
        .order_by(journal.c.seq.desc())
    )
    own = (journal.c.cluster == cluster, journal.c.seq.in_(numbers.limit(MOST_VERSIONS).scalar_subquery()))
    changed = connection.execute(select(journal.c.seq).where(*own, journal.c.resource_version == str(version))).first()
    if changed is None:
        return None
    earlier = connection.execute(numbers.where(journal.c.seq < changed[0]).limit(1)).first()
    if earlier is None:
        return None
    query = select_rows(journal, LogRecord).where(journal.c.cluster == cluster, journal.c.seq == earlier[0])
    payload = LogRecord(*connection.execute(query).one()).payload
    return decode(payload) if payload else None


# JSON patches


def _operation(operation: dict[str, Any], manifest: Any) -> Operation:
    """Return an operation with the value before, and apply it to the manifest: later operations follow it."""
    path, added = str(operation.get("path", "")), operation.get("value", _MISSING)
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in path.split("/")[1:]]
    holder = manifest
    for token in tokens[:-1]:
        holder = _member(holder, token)
    before = _member(holder, tokens[-1]) if tokens and operation.get("op") != "add" else _MISSING
    if tokens:
        _set(holder, tokens[-1], added, insert=operation.get("op") == "add")
    return Operation(path, _text(before), _text(added))


def _member(holder: Any, token: str) -> Any:
    if isinstance(holder, dict):
        return holder.get(token, _MISSING)
    if isinstance(holder, list) and token.isdecimal() and int(token) < len(holder):
        return holder[int(token)]
    return _MISSING


def _set(holder: Any, token: str, value: Any, *, insert: bool) -> None:
    if isinstance(holder, dict):
        if value is _MISSING:
            holder.pop(token, None)
        else:
            holder[token] = value
    elif isinstance(holder, list):
        place = int(token) if token.isdecimal() else len(holder)
        if insert:
            holder.insert(place, value)
        elif place < len(holder):
            holder[place : place + 1] = [] if value is _MISSING else [value]


def _text(value: Any) -> str | None:
    if value is _MISSING:
        return None
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
