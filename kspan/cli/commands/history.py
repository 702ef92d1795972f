"""``kspan why``, ``traces``, ``trace``, ``timeline`` and ``rollouts``: ask a source, and print its answer."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn, TypeVar

import msgspec

from kspan.cli.options import parse_duration
from kspan.cli.render.table import check_format, write_structs
from kspan.cli.render.values import encode_json
from kspan.cli.sources.source import HistoryOptions, asked, open_fleet
from kspan.errors import SettingsError
from kspan.model import TraceState
from kspan.query.objects.names import parse_kind, parse_object
from kspan.query.time_args import parse_moment
from kspan.terminal.screen import clock, screen
from kspan.terminal.stdout import silence_stdout
from kspan.terminal.text import duration
from kspan.terminal.zone import zone, zone_label
from kspan.times import SECOND, parse_time

if TYPE_CHECKING:
    from kspan.query.answers.occurrence import LineAnswer
    from kspan.query.answers.trace import TraceItem
    from kspan.query.timeline import TimelineFilter
    from kspan.query.traces import TraceFilter

Shown = TypeVar("Shown")


def run_why(words: Sequence[str], options: HistoryOptions, *, namespace: str, at: str, uid: str, output: str) -> None:
    """Print the chain of causes of the latest occurrence of an object."""
    from kspan.cli.render import why as render_why

    check_format(output, ("table", "json"))
    wanted = parse_object(tuple(words), namespace)
    moment = parse_moment(at, time.time_ns(), "--at", zone()) if at else 0
    with asked(options) as source:
        answer = source.why(wanted, at=moment, uid=uid, rows=output == "table")
    if answer.rows is msgspec.UNSET:
        print_json(answer)
        return
    with screen() as out:
        render_why.as_text(answer.rows, out)


def run_traces(
    options: HistoryOptions, *, everywhere: bool = False, limit: int, headers: bool, output: str, **filters: str
) -> None:
    """Print the newest traces that match the filters (the option values as they were given); ``everywhere``: of all
    clusters."""
    from kspan.cli.render import traces as render_traces
    from kspan.query.answers.trace import TraceItem
    from kspan.query.traces import TraceFilter

    check_format(output, ("table", "json", "csv"))
    wanted = _trace_filter(**filters)
    if everywhere:
        _traces_of_all(options, wanted, limit, output, headers=headers)
        return
    with asked(options) as source:
        found = source.traces(wanted, limit + 1 if limit else None)
        newest = [] if found else source.traces(TraceFilter(), 1)
    shown = _newest_of(found, limit)
    if output == "table":
        with screen() as out:
            render_traces.traces_table(shown, out, headers=headers)
        if not found:
            print(f"kspan: no trace matches{_newest(newest)}", file=sys.stderr)
    else:
        write_structs(TraceItem, shown, output, headers=headers)
    _note_cut(found, shown)


def _newest_of(found: "list[Shown]", limit: int) -> "list[Shown]":
    """Return the first ``limit`` (0: all)."""
    return found[:limit] if limit else found


def _note_cut(found: Sequence[object], shown: Sequence[object]) -> None:
    if len(found) > len(shown):
        print(f"kspan: only the newest {len(shown)} are shown; use --limit 0 for all", file=sys.stderr)


def _traces_of_all(options: HistoryOptions, wanted: "TraceFilter", limit: int, output: str, *, headers: bool) -> None:
    from kspan.cli.render import traces as render_traces
    from kspan.query.fleet.choose import labels
    from kspan.query.fleet.traces import FleetTrace, traces_of_all
    from kspan.query.traces import TraceFilter

    if options.cluster:
        raise SettingsError("--all-clusters and --cluster exclude each other: remove one of them")
    with open_fleet(options) as fleet:
        clusters = fleet.clusters()
        found = traces_of_all(clusters, fleet.traces_of, wanted, limit + 1 if limit else None)
        newest = [] if found else traces_of_all(clusters, fleet.traces_of, TraceFilter(), 1)
    shown = found[:limit] if limit else found
    if output == "table":
        with screen() as out:
            render_traces.traces_table(shown, out, headers=headers, clusters=labels(clusters))
        if not found:
            print(f"kspan: no trace matches{_newest(newest)}", file=sys.stderr)
    else:
        write_structs(FleetTrace, shown, output, headers=headers)
    if len(found) > len(shown):
        print(f"kspan: only the newest {limit} are shown; use --limit 0 for all", file=sys.stderr)


def _newest(found: "Sequence[TraceItem]") -> str:
    """Say when the newest trace began: after a replay, nothing happened in the last hours."""
    if not found:
        return ": the history has no traces yet"
    start = parse_time(found[0].start_time)
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


def run_trace(prefix: str, options: HistoryOptions, *, output: str) -> None:
    """Print one trace."""
    from kspan.cli.render import traces as render_traces
    from kspan.query.answers.trace import rows_of

    check_format(output, ("table", "json", "otlp"))
    with asked(options) as source:
        answer = source.trace(prefix)
        cluster = source.cluster
    if answer.trace.state is TraceState.OPEN:
        print("kspan: this trace is still open: it can get more spans, and times can change", file=sys.stderr)
    if output == "table":
        with screen() as out:
            render_traces.tree(*rows_of(answer), out)
    elif output == "json":
        print_json(answer)
    else:
        from kspan.emit.otlp_json_file import encode_trace

        _write(encode_trace(rows_of(answer)[1], cluster))


def print_trees(db: str, cluster: str) -> None:
    """Print all traces of a cluster as trees, oldest first."""
    from kspan.cli.render import traces as render_traces
    from kspan.query.answers.trace import rows_of
    from kspan.query.traces import TraceFilter

    with asked(HistoryOptions(db, cluster)) as source, screen() as out:
        for each in reversed(source.traces(TraceFilter(), None)):
            render_traces.tree(*rows_of(source.trace(each.trace_id)), out)
            out.line()


def run_timeline(
    options: HistoryOptions, *, follow: bool, errors: bool, limit: int, headers: bool, output: str, **filters: str
) -> None:
    """Print occurrences, oldest first; with ``follow`` also new ones, until Ctrl-C (exit code 130)."""
    from kspan.cli.render import traces as render_traces
    from kspan.query.answers.occurrence import LineAnswer

    check_format(output, ("table", "json") if follow else ("table", "json", "csv"))
    if follow and filters["until"]:
        raise SettingsError("--follow and --until exclude each other: remove one of them")
    if follow and limit:
        raise SettingsError("--follow and --limit exclude each other: remove one of them")
    wanted = _timeline_filter(follow=follow, errors=errors, **filters)
    if follow:
        _follow(options, wanted, output)
    with asked(options) as source:
        lines = _Limited(source.timeline(wanted), limit)
        if output != "table":
            write_structs(LineAnswer, lines, output, headers=headers)
        else:
            with screen() as out:
                table = render_traces.Timeline(out)
                for each in lines:
                    table.show(each)
    if lines.next_time:
        print(f"kspan: only the first {limit} are shown; the next is at --since {lines.next_time}", file=sys.stderr)
    elif not lines.count and output == "table":
        print("kspan: no occurrence matches", file=sys.stderr)


def run_rollouts(
    options: HistoryOptions, *, limit: int, headers: bool, output: str, since: str, until: str, namespace: str
) -> None:
    """Print the newest rollouts."""
    from kspan.cli.render.rollouts import rollouts_table
    from kspan.query.rollouts import Rollout
    from kspan.query.view_rows import RowFilter

    check_format(output, ("table", "json", "csv"))
    now = time.time_ns()
    wanted = RowFilter(
        since=parse_moment(since, now, "--since", zone()) if since else 0,
        until=parse_moment(until, now, "--until", zone()) if until else 0,
        namespace=namespace,
    )
    with asked(options) as source:
        found = source.rollouts(wanted, limit + 1 if limit else None)
    shown = _newest_of(found, limit)
    if output == "table":
        with screen() as out:
            rollouts_table(shown, out, headers=headers)
        if not found:
            print("kspan: no rollout matches", file=sys.stderr)
    else:
        write_structs(Rollout, shown, output, headers=headers)
    _note_cut(found, shown)


class _Limited:
    """The first ``limit`` lines (0: all). ``next_time`` is the time of the next one; empty if there is none."""

    def __init__(self, lines: "Iterator[LineAnswer]", limit: int) -> None:
        self._lines = lines
        self._limit = limit
        self.count = 0
        self.next_time = ""

    def __iter__(self) -> "Iterator[LineAnswer]":
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


def _follow(options: HistoryOptions, wanted: "TimelineFilter", output: str) -> NoReturn:
    """Print the timeline, then new occurrences until Ctrl-C; as JSON one object per line, because a list cannot end."""
    from kspan.cli.render import traces as render_traces

    with asked(options) as source:
        try:
            with screen() as out, contextlib.closing(source.follow(wanted)) as batches:
                show = render_traces.Timeline(out).show if output == "table" else _write_line
                for lines in batches:
                    for line in lines:
                        show(line)
                    sys.stdout.flush()
        except KeyboardInterrupt:
            # The usual exit code after Ctrl-C, without a message: this is how the command is meant to end.
            sys.exit(130)
    sys.exit(0)


def _write_line(found: "LineAnswer") -> None:
    """Write a JSON object and a newline."""
    sys.stdout.buffer.write(encode_json(msgspec.to_builtins(found)) + b"\n")


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
