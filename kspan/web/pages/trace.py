"""``/traces/{trace_id}``: a trace, its data for the script of the page, and its exports."""

import hashlib
from typing import Any, Final

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from kspan.model import SpanRow, TraceRow, TraceState
from kspan.query import spans as reading
from kspan.query.explain.wording import VERBS
from kspan.query.span_text import note_of
from kspan.query.traces import whole_trace
from kspan.query.visible import Visible
from kspan.query.waterfall.columns import ERROR, columns, encode, flags
from kspan.query.waterfall.detail import Detail, read_detail
from kspan.query.waterfall.head import Head, count_spans, read_head, visible_trace
from kspan.query.waterfall.perfetto import trace_events
from kspan.terminal.text import harmless
from kspan.times import format_time
from kspan.web.pages.asking import Frame
from kspan.web.pages.html import trace_url

FIRST: Final = 500
"""Spans that are part of the page; the script fetches the others."""

DEEPEST: Final = 40
"""Levels of the list; browsers limit how deep elements are nested."""

_ID: Final = 32
"""Digits of a trace id."""

_SHORT_REASON: Final = 60
"""Characters of a reason that have room beside the outcome."""


class Line(msgspec.Struct, frozen=True):
    """A span in the nested list.

    Args:
        span, note, time: the span, what changed or its message, and its start.
        error: true if it failed.
        opens: true if it is the first below the line before it.
        closes: number of lists that end behind it.
    """

    span: SpanRow
    note: str
    time: str
    error: bool
    opens: bool
    closes: int


def routes(frame: Frame) -> list[Route]:
    """Return the routes."""

    async def page(request: Request) -> Response:
        given = request.path_params["trace_id"]

        def question(connection: Connection, cluster: str, visible: Visible) -> tuple[Head, int] | str:
            trace = visible_trace(connection, cluster, visible, given)
            if trace.trace_id != given:
                return trace.trace_id
            head = read_head(connection, cluster, visible, trace, FIRST)
            return head, count_spans(connection, cluster, trace.trace_id)

        found = await frame.ask(question)
        if isinstance(found, str):
            return RedirectResponse(trace_url(found), 307)
        return frame.render("trace.html", here="Traces", **_values(*found))

    async def rows(request: Request) -> Response:
        given = request.path_params["trace_id"]
        seen = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}

        def question(connection: Connection, cluster: str, visible: Visible) -> tuple[bytes | None, str]:
            trace = visible_trace(connection, cluster, visible, given)
            # A closed trace is final: its tag is known without its spans.
            tag = f'"{trace.trace_id}-{trace.closed_at}"'
            if trace.state is TraceState.CLOSED and tag in seen:
                return None, tag
            trace, spans = whole_trace(connection, cluster, trace)
            body = encode(columns(trace, spans, len(spans)))
            if trace.state is TraceState.OPEN:
                tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            return (None if tag in seen else body), tag

        body, tag = await frame.ask(question)
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        if body is None:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    async def span(request: Request) -> Response:
        given = request.path_params

        def question(connection: Connection, cluster: str, visible: Visible) -> Detail:
            trace = visible_trace(connection, cluster, visible, given["trace_id"])
            return read_detail(connection, cluster, visible, trace.trace_id, given["span_id"])

        return Response(encode(await frame.ask(question)), media_type="application/json")

    async def otlp(request: Request) -> Response:
        # Imported here: the OpenTelemetry SDK takes a tenth of a second, and no other page needs it.
        from kspan.emit.otlp_json_file import encode_trace

        given = request.path_params["trace_id"]

        def question(connection: Connection, cluster: str, visible: Visible) -> tuple[str, bytes]:
            trace_id, spans = _all_spans(connection, cluster, visible, given)
            return trace_id, encode_trace(spans, cluster)

        return _download(*await frame.ask(question), "otlp")

    async def perfetto(request: Request) -> Response:
        given = request.path_params["trace_id"]

        def question(connection: Connection, cluster: str, visible: Visible) -> tuple[str, bytes]:
            trace_id, spans = _all_spans(connection, cluster, visible, given)
            return trace_id, encode(trace_events(spans))

        return _download(*await frame.ask(question), "perfetto")

    return [
        frame.route("/traces/{trace_id}", page),
        frame.route("/traces/{trace_id}/rows.json", rows),
        frame.route("/traces/{trace_id}/spans/{span_id}.json", span),
        frame.route("/traces/{trace_id}/otlp.json", otlp),
        frame.route("/traces/{trace_id}/perfetto.json", perfetto),
    ]


def _all_spans(connection: Connection, cluster: str, visible: Visible, given: str) -> tuple[str, list[SpanRow]]:
    trace, spans = whole_trace(connection, cluster, visible_trace(connection, cluster, visible, given))
    return trace.trace_id, visible.spans(connection, cluster, spans)


def _download(trace_id: str, body: bytes, what: str) -> Response:
    name = f"trace-{trace_id[:12]}.{what}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, media_type="application/json", headers=headers)


def _values(head: Head, total: int) -> dict[str, Any]:
    trace, root = head.trace, head.root
    begin = min([trace.start_time, *(span.start_time for span in head.first[:1])])
    return {
        "trace": trace,
        "root": root,
        "verb": VERBS.get(root.reason, "") if root else "",
        "who": _who(root) if root else "",
        "begin": format_time(begin),
        "length": max(trace.end_time - begin, 0),
        "total": total,
        "warnings": trace.warnings,
        "open": trace.state is TraceState.OPEN,
        "outcome": _outcome(trace),
        "reason": _reason(trace),
        "short_reason": len(trace.reason) <= _SHORT_REASON,
        "previous": _episode(head.previous) if head.previous else None,
        "lost": head.lost,
        "following": [_episode(each) for each in head.following],
        "lines": nested(head.first),
        "data": msgspec.to_builtins(columns(trace, head.first, total)),
    }


def _who(root: SpanRow) -> str:
    """The component, and its field manager if that says more: ``kubectl · kubectl-set``; empty if it is unknown."""
    manager = reading.manager_of(root)
    if root.service in ("", "unknown") and not manager:
        return ""
    return f"{root.service} · {manager}" if manager and manager != root.service else root.service


def _outcome(trace: TraceRow) -> str:
    return trace.verdicts[0]


def _reason(trace: TraceRow) -> str:
    """Why the trace has its outcome, without the word of the outcome."""
    outcome = _outcome(trace)
    reason = harmless(trace.reason)
    return reason[len(outcome) :].lstrip(": ") if reason.lower().startswith(outcome) else reason


def _episode(trace: TraceRow) -> dict[str, Any]:
    return {
        "url": trace_url(trace.trace_id),
        "start": format_time(trace.start_time or trace.opened_at),
        "outcome": _outcome(trace),
        "reason": _reason(trace)[:_SHORT_REASON],
    }


def nested(spans: list[SpanRow]) -> list[Line]:
    """Return spans as lines of a nested list: each below its cause, in order of start."""
    known = {span.span_id for span in spans}
    below: dict[str, list[SpanRow]] = {}
    for span in spans:
        below.setdefault(span.parent_span_id if span.parent_span_id in known else "", []).append(span)
    ordered: list[tuple[SpanRow, int]] = []
    seen: set[str] = set()
    # A damaged database can contain a cycle of parents, which no root reaches.
    for start in [below.get("", []), *([span] for span in spans)]:
        stack = [(span, 0) for span in reversed(start)]
        while stack:
            span, depth = stack.pop()
            if span.span_id in seen:
                continue
            seen.add(span.span_id)
            ordered.append((span, min(depth, DEEPEST)))
            stack += [(each, depth + 1) for each in reversed(below.get(span.span_id, []))]
    depths = [*(depth for _, depth in ordered), 0]
    return [
        Line(
            span,
            note_of(span),
            format_time(span.start_time),
            bool(flags(span) & ERROR),
            opens=number > 0 and depth > depths[number - 1],
            closes=max(depth - depths[number + 1], 0),
        )
        for number, (span, depth) in enumerate(ordered)
    ]
