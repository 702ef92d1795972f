"""Turns rows of the projection into spans of the OpenTelemetry SDK, with the ids that the rows have."""

from collections.abc import Sequence
from functools import cached_property, lru_cache

import msgspec
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

import kspan
from kspan import vocabulary
from kspan.model import SpanEvent, SpanLink, SpanRow

SCOPE = InstrumentationScope("kspan", kspan.__version__)
_UNSET = Status(StatusCode.UNSET)


class ClusterIdentity(msgspec.Struct, frozen=True):
    """The cluster that spans come from. An empty ``uid`` or ``name`` is unknown and not sent."""

    uid: str = ""
    name: str = ""


def readable_span(row: SpanRow, cluster: ClusterIdentity) -> ReadableSpan:
    """The row as a span. Raises ValueError if one of its ids is not hexadecimal.

    The span shares the row's attributes: neither may be changed afterwards.
    """
    trace_id = int(row.trace_id, 16)
    parent = None
    if row.parent_span_id:
        parent = SpanContext(trace_id, int(row.parent_span_id, 16), is_remote=row.remote_parent)
    return ReadableSpan(
        name=valid_text(row.name),
        context=SpanContext(trace_id, int(row.span_id, 16), is_remote=False),
        parent=parent,
        resource=_resource(row.service, row.instance, cluster.uid, cluster.name),
        attributes=row.attributes,
        events=_events(row.events) if row.events else (),
        links=_links(row.links) if row.links else (),
        kind=SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, valid_text(row.message)) if row.error else _UNSET,
        # Times are unsigned in OTLP: a single negative one would make the whole request unencodable.
        start_time=max(row.start_time, 0),
        end_time=max(row.end_time, 0),
        instrumentation_scope=SCOPE,
    )


def _events(events: Sequence[SpanEvent]) -> list[Event]:
    return [Event(valid_text(event.name), event.attributes, max(event.time, 0)) for event in events]


def _links(links: Sequence[SpanLink]) -> list[Link]:
    return [
        Link(SpanContext(int(link.trace_id, 16), int(link.span_id, 16), is_remote=False), link.attributes)
        for link in links
    ]


class _HashedOnce(Resource):
    """A resource whose hash is computed once. The SDK serializes all attributes for it, for every span."""

    @cached_property
    def _hash(self) -> int:
        return super().__hash__()

    def __hash__(self) -> int:
        return self._hash


@lru_cache(maxsize=4096)
def _resource(service: str, instance: str, cluster_uid: str, cluster_name: str) -> Resource:
    attributes = {"service.name": valid_text(service)}
    if instance:
        attributes["service.instance.id"] = valid_text(instance)
    if cluster_uid:
        attributes[vocabulary.CLUSTER_UID] = valid_text(cluster_uid)
    if cluster_name:
        attributes[vocabulary.CLUSTER_NAME] = valid_text(cluster_name)
    # Resource.create() would describe the process that sends, not the component that acted.
    return _HashedOnce(attributes)


def valid_text(text: str) -> str:
    """Replace lone surrogates by ``?``. UTF-8 cannot encode them, and one would fail a whole request."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
