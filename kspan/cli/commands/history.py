"""``kspan why``, ``traces``, ``trace`` and ``timeline``: read one answer from the database and print it."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec
from sqlalchemy import Connection

from kspan.cli.common import open_existing, the_cluster
from kspan.cli.options import parse_duration
from kspan.cli.render.table import check_format, write_structs
from kspan.cli.render.values import encode_json
from kspan.errors import SettingsError
from kspan.model import TraceState
from kspan.query.objects.names import parse_kind, parse_object
from kspan.query.time_args import parse_moment
from kspan.store import Store
from kspan.terminal.screen import clock, screen
from kspan.terminal.stdout import silence_stdout
from kspan.terminal.text import duration
from kspan.terminal.zone import zone, zone_label
from kspan.times import SECOND, format_time

if TYPE_CHECKING:
    from kspan.query.timeline import TimelineFilter, TimelineLine
    from kspan.query.traces import TraceFilter, TraceSummary

POLL: Final = 1.0
"""Seconds between two reads of ``timeline --follow``. An occurrence waits five seconds for its cause anyway."""


@contextlib.contextmanager
def snapshot(db: str | None, cluster: str, action: str) -> Iterator[tuple[Connection, str]]:
    """Yield a read transaction of the database, and the uid of the cluster to read."""
    with open_existing(db, read_only=True) as store:
        name = the_cluster(store, cluster)
        with store.reading(action) as connection:
            yield connection, name


def run_why(
    words: Sequence[str], db: str | None, *, namespace: str, at: str, uid: str, cluster: str, output: str
) -> None:
    """Print the chain of causes of the latest occurrence of an object."""
    from kspan.cli.render import why as render_why
    from kspan.query.answers import why as answers
    from kspan.query.why import why

    check_format(output, ("table", "json"))
    wanted = parse_object(tuple(words), namespace)
    moment = parse_moment(at, time.time_ns(), "--at", zone()) if at else 0
    with snapshot(db, cluster, "look for the cause") as (connection, name):
        answer = why(connection, name, wanted, at=moment, uid=uid)
    if output == "json":
        print_json(answers.why(answer))
        return
    with screen() as out:
        render_why.as_text(answer, out)


def run_traces(db: str | None, *, limit: int, headers: bool, cluster: str, output: str, **filters: str) -> None:
    """Print the newest traces that match the filters (the option values as they were given)."""
    from kspan.cli.render import traces as render_traces
    from kspan.query.answers.trace import TraceItem, item
    from kspan.query.traces import TraceFilter, list_traces

    check_format(output, ("table", "json", "csv"))
    wanted = _trace_filter(**filters)
    with snapshot(db, cluster, "list the traces") as (connection, name):
        found = list_traces(connection, name, wanted, limit + 1 if limit else None)
        newest = [] if found else list_traces(connection, name, TraceFilter(), 1)
    shown = found[:limit] if limit else found
    if output == "table":
        with screen() as out:
            render_traces.traces_table(shown, out, headers=headers)
        if not found:
            print(f"kspan: no trace matches{_newest(newest)}", file=sys.stderr)
    else:
        write_structs(TraceItem, map(item, shown), output, headers=headers)
    if len(found) > len(shown):
        print(f"kspan: only the newest {limit} are shown; use --limit 0 for all", file=sys.stderr)


def _newest(found: "Sequence[TraceSummary]") -> str:
    """Say when the newest trace began: after a replay, nothing happened in the last hours."""
    if not found:
        return ": the history has no traces yet"
    start = found[0].trace.start_time
    at = f"{clock(start, day=True)[:19]} {zone_label(start)}"
    return f"; the newest began at {at}, {duration(time.time_ns() - start)} ago"


def _trace_filter(
    *, since: str, until: str, kind: str, namespace: str, name: str, actor: str, status: str, min_duration: str
) -> "TraceFilter":
    from kspan.query.traces import Status, TraceFilter

    if status and status not in list(Status):
        *first, last = Status
        raise SettingsError(f"--status: invalid status {status!r}: use {', '.join(first)} or {last}")
    now = time.time_ns()
    return TraceFilter(
        since=parse_moment(since, now, "--since", zone()) if since else 0,
        until=parse_moment(until, now, "--until", zone()) if until else 0,
        kind=parse_kind(kind) if kind else None,
        namespace=namespace,
        name=name,
        actor=actor,
        status=Status(status) if status else None,
        min_duration=int(parse_duration(min_duration, "--min-duration") * SECOND) if min_duration else 0,
    )


def run_trace(prefix: str, db: str | None, *, cluster: str, output: str) -> None:
    """Print one trace."""
    from kspan.cli.render import traces as render_traces
    from kspan.query.answers.trace import whole
    from kspan.query.traces import find_trace

    check_format(output, ("table", "json", "otlp"))
    with snapshot(db, cluster, "read the trace") as (connection, name):
        trace, spans = find_trace(connection, name, prefix)
    if trace.state is TraceState.OPEN:
        print("kspan: this trace is still open: it can get more spans, and times can change", file=sys.stderr)
    if output == "table":
        with screen() as out:
            render_traces.tree(trace, spans, out)
    elif output == "json":
        print_json(whole(trace, spans))
    else:
        from kspan.emit.otlp_json_file import encode_trace

        _write(encode_trace(spans, name))


def print_trees(db: str, cluster: str) -> None:
    """Print all traces of a cluster as trees, oldest first."""
    from kspan.cli.render import traces as render_traces
    from kspan.query.spans import of_trace
    from kspan.query.traces import TraceFilter, list_traces

    with snapshot(db, cluster, "read the traces") as (connection, name), screen() as out:
        for summary in reversed(list_traces(connection, name, TraceFilter(), None)):
            render_traces.tree(summary.trace, of_trace(connection, name, summary.trace.trace_id), out)
            out.line()


def run_timeline(
    db: str | None,
    *,
    follow: bool,
    errors: bool,
    limit: int,
    headers: bool,
    cluster: str,
    output: str,
    **filters: str,
) -> None:
    """Print occurrences, oldest first; with ``follow`` also new ones, until Ctrl-C (exit code 130)."""
    from kspan.cli.render import traces as render_traces
    from kspan.query.answers.occurrence import LineAnswer, line
    from kspan.query.timeline import timeline

    check_format(output, ("table", "json") if follow else ("table", "json", "csv"))
    if follow and filters["until"]:
        raise SettingsError("--follow and --until exclude each other: remove one of them")
    if follow and limit:
        raise SettingsError("--follow and --limit exclude each other: remove one of them")
    wanted = _timeline_filter(follow=follow, errors=errors, **filters)
    with open_existing(db, read_only=True) as store:
        name = the_cluster(store, cluster)
        if follow:
            _follow(store, name, wanted, output)
        lines = _Limited(timeline(store, name, wanted), limit)
        if output != "table":
            write_structs(LineAnswer, map(line, lines), output, headers=headers)
        else:
            with screen() as out:
                table = render_traces.Timeline(out)
                for each in lines:
                    table.show(each)
    if lines.next_time:
        at = format_time(lines.next_time)
        print(f"kspan: only the first {limit} are shown; the next is at --since {at}", file=sys.stderr)
    elif not lines.count and output == "table":
        print("kspan: no occurrence matches", file=sys.stderr)


class _Limited:
    """The first ``limit`` lines (0: all). ``next_time`` is the time of the first one beyond them; 0: there is none."""

    def __init__(self, lines: "Iterator[TimelineLine]", limit: int) -> None:
        self._lines = lines
        self._limit = limit
        self.count = 0
        self.next_time = 0

    def __iter__(self) -> "Iterator[TimelineLine]":
        for each in self._lines:
            if self._limit and self.count == self._limit:
                self.next_time = each.time
                return
            self.count += 1
            yield each


def _timeline_filter(
    *, follow: bool, errors: bool, since: str, until: str, kind: str, namespace: str, name: str
) -> "TimelineFilter":
    from kspan.query.timeline import TimelineFilter

    now = time.time_ns()
    return TimelineFilter(
        since=parse_moment(since or ("5m" if follow else "0"), now, "--since", zone()) if since or follow else 0,
        until=parse_moment(until, now, "--until", zone()) if until else 0,
        kind=parse_kind(kind) if kind else None,
        namespace=namespace,
        name=name,
        errors=errors,
    )


def _follow(store: Store, cluster: str, wanted: "TimelineFilter", output: str) -> NoReturn:
    """Print the timeline, then new occurrences until Ctrl-C; as JSON one object per line, because a list cannot end."""
    from kspan.cli.render import traces as render_traces
    from kspan.query.timeline import Follower, timeline

    seen: set[str] = set()
    try:
        with screen() as out:
            show = render_traces.Timeline(out).show if output == "table" else _write_line
            for line in timeline(store, cluster, wanted):
                seen.add(line.span.span_id)
                show(line)
            follower = Follower(store, cluster, wanted, seen)
            while True:
                for line in follower.poll():
                    show(line)
                sys.stdout.flush()
                time.sleep(POLL)
    except KeyboardInterrupt:
        # The usual exit code after Ctrl-C, without a message: this is how the command is meant to end.
        sys.exit(130)
    sys.exit(0)


def _write_line(found: "TimelineLine") -> None:
    """Write a JSON object and a newline."""
    from kspan.query.answers.occurrence import line

    sys.stdout.buffer.write(encode_json(msgspec.to_builtins(line(found))) + b"\n")


def print_json(value: object) -> None:
    """Write one JSON value, indented, as UTF-8 whatever the locale is."""
    _write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def _write(data: bytes) -> None:
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
