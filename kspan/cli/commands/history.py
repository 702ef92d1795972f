"""``kspan why``, ``traces``, ``trace`` and ``timeline``: a question, one look into the database, an answer."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec
from sqlalchemy import Connection

from kspan.cli.common import open_existing, the_cluster
from kspan.cli.options import parse_duration
from kspan.cli.render.table import check_format, write_rows
from kspan.errors import SettingsError
from kspan.model import TraceState
from kspan.query.objects.names import parse_kind, parse_object
from kspan.query.time_args import parse_moment
from kspan.store import Store
from kspan.terminal.screen import screen
from kspan.terminal.stdout import silence_stdout
from kspan.times import SECOND

if TYPE_CHECKING:
    from kspan.query.timeline import Wanted
    from kspan.query.traces import Filter

POLL: Final = 1.0
"""Seconds between two looks of ``timeline --follow``: what is shown waits for its cause for five anyway."""


@contextlib.contextmanager
def _asked(db: str | None, cluster: str, doing: str) -> Iterator[tuple[Connection, str]]:
    """A snapshot of the database, and the cluster that is meant."""
    with open_existing(db, read_only=True) as store:
        name = the_cluster(store, cluster)
        with store.reading(doing) as connection:
            yield connection, name


def run_why(
    words: Sequence[str], db: str | None, *, namespace: str, at: str, uid: str, cluster: str, output: str
) -> None:
    """Prints the chain from what happened to an object up to its root cause."""
    from kspan.cli.render import why as because
    from kspan.query.why import why

    check_format(output, ("table", "json"))
    wanted = parse_object(tuple(words), namespace)
    moment = parse_moment(at, time.time_ns(), "--at") if at else 0
    with _asked(db, cluster, "look for the cause") as (connection, name):
        answer = why(connection, name, wanted, at=moment, uid=uid)
    if output == "json":
        print_json(because.as_json(answer))
        return
    with screen() as out:
        because.as_text(answer, out)


def run_traces(db: str | None, *, limit: int, cluster: str, output: str, **asked: str) -> None:
    """Prints the newest traces; ``asked`` are the filters as they were written."""
    from kspan.cli.render import traces as listing
    from kspan.query.traces import list_traces

    check_format(output, ("table", "json", "csv"))
    wanted = _trace_filter(**asked)
    with _asked(db, cluster, "list the traces") as (connection, name):
        found = list_traces(connection, name, wanted, limit or None)
    if output == "table":
        with screen() as out:
            listing.traces_table(found, out)
        if not found:
            print("kspan: no trace matches", file=sys.stderr)
    else:
        write_rows(listing.TRACE_COLUMNS, map(listing.trace_row, found), output)


def _trace_filter(
    *, since: str, until: str, kind: str, namespace: str, name: str, actor: str, status: str, min_duration: str
) -> "Filter":
    from kspan.query.traces import Filter, Status

    if status and status not in list(Status):
        raise SettingsError(f"--status can be {', '.join(Status)}, not {status!r}")
    now = time.time_ns()
    return Filter(
        since=parse_moment(since, now, "--since") if since else 0,
        until=parse_moment(until, now, "--until") if until else 0,
        kind=parse_kind(kind) if kind else None,
        namespace=namespace,
        name=name,
        actor=actor,
        status=Status(status) if status else None,
        shortest=int(parse_duration(min_duration, "--min-duration") * SECOND) if min_duration else 0,
    )


def run_trace(prefix: str, db: str | None, *, cluster: str, output: str) -> None:
    """Prints one trace."""
    from kspan.cli.render import traces as listing
    from kspan.query.traces import find_trace

    check_format(output, ("table", "json", "otlp"))
    with _asked(db, cluster, "read the trace") as (connection, name):
        trace, spans = find_trace(connection, name, prefix)
    if trace.state is TraceState.OPEN:
        print("kspan: this trace is still going on: more may come, and times may change", file=sys.stderr)
    if output == "table":
        with screen() as out:
            listing.tree(trace, spans, out)
    elif output == "json":
        print_json(listing.trace_json(trace, spans))
    else:
        _write(listing.otlp(spans, name))


def run_timeline(db: str | None, *, follow: bool, errors: bool, cluster: str, output: str, **asked: str) -> None:
    """Prints what happened, oldest first, and with ``follow`` what goes on happening, until Ctrl-C (exit code 130)."""
    from kspan.cli.render import traces as listing
    from kspan.query.timeline import timeline

    check_format(output, ("table", "json") if follow else ("table", "json", "csv"))
    if follow and asked["until"]:
        raise SettingsError("--follow goes on for ever: it does not go with --until")
    wanted = _wanted(follow=follow, errors=errors, **asked)
    with open_existing(db, read_only=True) as store:
        name = the_cluster(store, cluster)
        if follow:
            _follow(store, name, wanted, output)
        lines = timeline(store, name, wanted)
        if output != "table":
            write_rows(listing.LINE_COLUMNS, map(listing.line_row, lines), output)
            return
        with screen() as out:
            table = listing.Timeline(out)
            for line in lines:
                table.show(line)


def _wanted(*, follow: bool, errors: bool, since: str, until: str, kind: str, namespace: str, name: str) -> "Wanted":
    from kspan.query.timeline import Wanted

    now = time.time_ns()
    return Wanted(
        since=parse_moment(since or ("5m" if follow else "0"), now, "--since") if since or follow else 0,
        until=parse_moment(until, now, "--until") if until else 0,
        kind=parse_kind(kind) if kind else None,
        namespace=namespace,
        name=name,
        errors=errors,
    )


def _follow(store: Store, cluster: str, wanted: "Wanted", output: str) -> NoReturn:
    """The timeline, then what is new, for ever: as JSON a line each, for there is no end to close a list at."""
    from kspan.cli.render import traces as listing
    from kspan.query.timeline import Follower, timeline

    seen: set[str] = set()
    try:
        with screen() as out:
            show = listing.Timeline(out).show if output == "table" else listing.write_line
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
        # As every program that Ctrl-C ends; without the words that others say then, for this is how it is meant to end.
        sys.exit(130)
    sys.exit(0)


def print_json(value: object) -> None:
    """Writes one JSON value, indented, in UTF-8 whatever the locale."""
    _write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def _write(data: bytes) -> None:
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
