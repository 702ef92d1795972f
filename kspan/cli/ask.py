"""The commands that ask the history, and their options; what they do is in ``asking.py`` and ``sql.py``."""

from typing import Annotated

import typer

from kspan.cli.options import Db

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
    from kspan.cli.asking import run_why

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
    from kspan.cli.asking import run_traces

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
    from kspan.cli.asking import run_trace

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
    from kspan.cli.asking import run_timeline

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
    from kspan.cli.sql import run_sql

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
