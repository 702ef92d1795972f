"""``kspan why``, ``traces``, ``trace`` and ``timeline``: a question, one look into the database, an answer."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import msgspec
import typer
from sqlalchemy import Connection

from kspan.cli.common import open_existing, the_cluster
from kspan.cli.options import Db, parse_duration
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


TIMES = (
    "Times: RFC 3339, '2026-11-22 10:25' or 10:25 (both UTC), or how long ago: 15m, '2h ago'. "
    "A time of day is the last one that has been."
)


Cluster = Annotated[
    str,
    typer.Option("--cluster", envvar="KSPAN_CLUSTER", metavar="UID", help="The cluster [default: the only one]."),
]


Namespace = Annotated[str, typer.Option("--namespace", "-n", metavar="NS", help="The object's namespace.")]


AnyKind = Annotated[str, typer.Option("--kind", metavar="KIND", help="Of such an object: pod, deploy, rs ...")]


AnyNamespace = Annotated[str, typer.Option("--namespace", "-n", metavar="NS", help="Of an object in this namespace.")]


AnyName = Annotated[str, typer.Option("--name", metavar="NAME", help="Of an object with this name.")]


Until = Annotated[str, typer.Option("--until", metavar="TIME", help="What began before this.")]


questions = typer.Typer(rich_markup_mode=None)


@questions.command(epilog=TIMES, short_help="Show what caused what happened to an object.")
def why(
    words: Annotated[list[str], typer.Argument(metavar="KIND/NAME", help="The object: pod/web-0, deploy/web ...")],
    namespace: Namespace = "",
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="What had happened to it by then.")] = "",
    uid: Annotated[str, typer.Option("--uid", metavar="UID", help="Which of several that had the name.")] = "",
    db: Db = None,
    cluster: Cluster = "",
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORMAT", help="table or json.")] = "table",
) -> None:
    """Show why the last thing happened to an object: step by step up to the root cause, and what else that caused.

    Works for objects that are gone. Kinds are as kubectl takes them: pods, po, Pod, deploy, widgets.example.com.
    Without -n the object may be in any namespace, as long as it is in one only.

    \b
    Examples:
      kspan why pod/web-854b7f4f-9xzlt
      kspan why deploy web -n shop --at '2026-11-22 10:25'
      kspan why node/node-a --at 15m -o json
    """
    from kspan.cli.commands.history import run_why

    run_why(words, db, namespace=namespace, at=at, uid=uid, cluster=cluster, output=output)


@questions.command(epilog=TIMES)
def traces(
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="What began at this time or after.")] = "",
    until: Until = "",
    namespace: AnyNamespace = "",
    kind: AnyKind = "",
    name: AnyName = "",
    actor: Annotated[str, typer.Option("--actor", metavar="SERVICE", help="Who began it: kubectl, helm ...")] = "",
    status: Annotated[str, typer.Option("--status", metavar="STATUS", help="ok, error, incomplete or open.")] = "",
    min_duration: Annotated[
        str, typer.Option("--min-duration", metavar="TIME", help="What took at least so long: 30s, 5m ...")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=0, help="So many at most (0: all).")] = 20,
    db: Db = None,
    cluster: Cluster = "",
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORMAT", help="table, json or csv.")] = "table",
) -> None:
    """List traces (what came of one cause), newest first.

    A trace matches --namespace, --kind and --name if any of its spans is about such an object. --actor is who did what
    it began with. WHAT is what it began with.

    \b
    Examples:
      kspan traces --since 2h
      kspan traces --status error -n shop
      kspan traces --kind deploy --name web --actor kubectl --limit 5
      kspan traces --since 7d --min-duration 5m --limit 0 -o csv
    """
    from kspan.cli.commands.history import run_traces

    run_traces(
        db,
        limit=limit,
        cluster=cluster,
        output=output,
        since=since,
        until=until,
        kind=kind,
        namespace=namespace,
        name=name,
        actor=actor,
        status=status,
        min_duration=min_duration,
    )


@questions.command()
def trace(
    trace_id: Annotated[str, typer.Argument(metavar="ID", help="The trace id, or its first digits.")],
    db: Db = None,
    cluster: Cluster = "",
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORMAT", help="table, json or otlp.")] = "table",
) -> None:
    """Show one trace as a tree, with bars for what took how long.

    -o json gives the rows as they are in the tables, -o otlp a line of OTLP/JSON as --export file:PATH writes it.

    \b
    Examples:
      kspan trace dfa04ab1fd26
      kspan trace dfa04ab1fd26 -o otlp > trace.jsonl
    """
    from kspan.cli.commands.history import run_trace

    run_trace(trace_id, db, cluster=cluster, output=output)


@questions.command(epilog=TIMES)
def timeline(
    namespace: AnyNamespace = "",
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="What happened at this time or after.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="What happened before this.")] = "",
    kind: AnyKind = "",
    name: AnyName = "",
    errors: Annotated[bool, typer.Option("--errors", help="Only what went wrong.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    db: Db = None,
    cluster: Cluster = "",
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORMAT", help="table, json or csv.")] = "table",
) -> None:
    """Show what happened, one line an occurrence, oldest first.

    Repeats of an Event are one line, with their number. --follow begins five minutes ago unless --since says
    otherwise, and gives with -o json one JSON object a line.

    \b
    Examples:
      kspan timeline -n shop --since 15m
      kspan timeline --since '2026-11-22 10:25' --until '2026-11-22 10:35' --errors
      kspan timeline --kind pod --name web-854b7f4f-9xzlt
      kspan timeline -n shop --follow
    """
    from kspan.cli.commands.history import run_timeline

    run_timeline(
        db,
        follow=follow,
        errors=errors,
        cluster=cluster,
        output=output,
        since=since,
        until=until,
        kind=kind,
        namespace=namespace,
        name=name,
    )


@questions.command()
def sql(
    statement: Annotated[
        str | None,
        typer.Argument(metavar="[STATEMENT]", help="One SQL statement; - is standard input.", show_default=False),
    ] = None,
    db: Db = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FORMAT", help="table, record, json, jsonl, csv or parquet.")
    ] = "table",
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=0,
            metavar="N",
            help="Rows at most, 0: all [default: 1000 of a table, else all].",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="TIME", help="Stop a statement after this long (0: never).")
    ] = "30s",
    param: Annotated[list[str], typer.Option("--param", "-p", metavar="NAME=VALUE", help="The value of :NAME.")] = [],  # noqa: B006
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="The value of :since, in ns: 2h, 10:25, ...")
    ] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="The value of :until, in ns.")] = "",
    cluster: Annotated[
        str, typer.Option("--cluster", metavar="UID", help="The value of :cluster [default: the only one].")
    ] = "",
    schema: Annotated[
        bool, typer.Option("--schema", help="Show tables and views, or the columns of the one named.")
    ] = False,
) -> None:
    """Ask the database in SQL. Nothing can be written, whatever the statement is.

    Tables and views are explained in docs/sql.md, with questions to start from. Times in tables are Unix nanoseconds,
    columns named 'at' are for people. Without a statement, on a terminal: a prompt with completion.

    \b
    Examples:
      kspan sql "SELECT at, namespace, name, change, who, outcome FROM rollouts ORDER BY start_time DESC"
      kspan sql "SELECT at, name, object, message FROM failures WHERE start_time > :since" --since 2h
      kspan sql "SELECT * FROM occurrences WHERE object = :pod" -p pod=web-0 -o json
      kspan sql -o parquet "SELECT * FROM spans" > spans.parquet
      kspan sql --schema rollouts
      kspan sql
    """
    from kspan.cli.commands.sql import run_sql

    run_sql(
        statement,
        db,
        output=output,
        limit=limit,
        timeout=timeout,
        since=since,
        until=until,
        cluster=cluster,
        parameters=param,
        schema=schema,
    )
