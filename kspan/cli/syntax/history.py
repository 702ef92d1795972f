"""``kspan why``, ``traces``, ``trace``, ``timeline`` and ``sql``."""

from typing import Annotated

import typer

from kspan.cli.help import ASK, Command
from kspan.cli.options import (
    TIMES_HELP,
    Cluster,
    Db,
    ListOutput,
    NoHeaders,
    Remote,
    RemoteContext,
    RemoteKubeconfig,
    RemoteTokenFile,
    TimeZone,
)

app = typer.Typer(rich_markup_mode=None)


@app.command(cls=Command, epilog=TIMES_HELP, rich_help_panel=ASK)
def why(
    words: Annotated[list[str], typer.Argument(metavar="KIND/NAME", help="Object: pod/web-0, deploy/web ...")],
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", metavar="NAMESPACE", help="Namespace of the object.")
    ] = "",
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="Answer as of this time. [default: now]", show_default=False)
    ] = "",
    uid: Annotated[str, typer.Option("--uid", metavar="UID", help="uid of the object, if several had this name.")] = "",
    time_zone: TimeZone = "UTC",  # noqa: ARG001 - its callback sets it
    db: Db = None,
    cluster: Cluster = "",
    remote: Remote = "",
    kubeconfig: RemoteKubeconfig = None,
    context: RemoteContext = None,
    remote_token_file: RemoteTokenFile = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="table|json", help="Print in this format.")
    ] = "table",
) -> None:
    """Show what caused the latest occurrence of an object.

    Prints the chain of causes from the occurrence up to the root cause, and the other effects of that root cause. The
    object may be deleted. Write kinds as for kubectl: pods, po, Pod, deploy, widgets.example.com. --namespace is
    needed only if several namespaces have such an object.

    \b
    Examples:
      # Why is this Pod gone?
      kspan why pod/web-854b7f4f-9xzlt
    \b
      # What had happened to a Deployment by 10:25 UTC?
      kspan why deploy web -n shop --at '2026-11-22 10:25'
    """
    from kspan.cli.commands.history import run_why
    from kspan.cli.sources.source import HistoryOptions

    options = HistoryOptions(db, cluster, remote, kubeconfig, context, remote_token_file)
    run_why(words, options, namespace=namespace, at=at, uid=uid, output=output)


@app.command(cls=Command, epilog=TIMES_HELP, rich_help_panel=ASK)
def traces(
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Only traces from this time on.")] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="Only traces that started before this time.")
    ] = "",
    namespace: Annotated[
        str,
        typer.Option("--namespace", "-n", metavar="NAMESPACE", help="Only traces of objects in this namespace."),
    ] = "",
    kind: Annotated[
        str,
        typer.Option("--kind", metavar="KIND", help="Only traces of objects of this kind: pod, deploy, rs ..."),
    ] = "",
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Only traces of objects with this name.")] = "",
    actor: Annotated[
        str,
        typer.Option("--actor", metavar="SERVICE", help="Only traces that this component started: kubectl, helm ..."),
    ] = "",
    status: Annotated[
        str,
        typer.Option("--status", metavar="ok|error|incomplete|open|warning", help="Only traces with this status."),
    ] = "",
    min_duration: Annotated[
        str, typer.Option("--min-duration", metavar="DURATION", help="Only traces that lasted at least this long.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=0, metavar="N", help="Maximum number of traces (0: all).")] = 20,
    no_headers: NoHeaders = False,
    time_zone: TimeZone = "UTC",  # noqa: ARG001 - its callback sets it
    db: Db = None,
    cluster: Cluster = "",
    all_clusters: Annotated[
        bool, typer.Option("--all-clusters", help="The traces of all clusters in the database, with their cluster.")
    ] = False,
    remote: Remote = "",
    kubeconfig: RemoteKubeconfig = None,
    context: RemoteContext = None,
    remote_token_file: RemoteTokenFile = None,
    output: ListOutput = "table",
) -> None:
    """List traces, newest first.

    A trace is the tree of everything that one root cause led to. WHO and WHAT describe the root cause. --namespace,
    --kind and --name select the traces in which any span is about such an object.

    \b
    Examples:
      # Traces of the last two hours
      kspan traces --since 2h
    \b
      # What went wrong in a namespace?
      kspan traces --status error -n shop
    \b
      # The slow changes of the last week
      kspan traces --since 7d --min-duration 5m --limit 0 -o csv
    \b
      # What went wrong anywhere?
      kspan traces --all-clusters --status error --since 1h
    """
    from kspan.cli.commands.history import run_traces
    from kspan.cli.sources.source import HistoryOptions

    options = HistoryOptions(db, cluster, remote, kubeconfig, context, remote_token_file)
    run_traces(
        options,
        everywhere=all_clusters,
        limit=limit,
        headers=not no_headers,
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


@app.command(cls=Command, rich_help_panel=ASK)
def trace(
    trace_id: Annotated[str, typer.Argument(metavar="ID", help="Trace id, or its first digits.")],
    time_zone: TimeZone = "UTC",  # noqa: ARG001 - its callback sets it
    db: Db = None,
    cluster: Cluster = "",
    remote: Remote = "",
    kubeconfig: RemoteKubeconfig = None,
    context: RemoteContext = None,
    remote_token_file: RemoteTokenFile = None,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="table|json|otlp", help="Print in this format; a table is the tree."),
    ] = "table",
) -> None:
    """Show one trace as a tree.

    With -o json it prints the rows of the tables 'traces' and 'spans', with -o otlp the line of
    OTLP/JSON that --export file:PATH would write.

    \b
    Examples:
      kspan trace 36d849d18bf8
      kspan trace 36d849d18bf8 -o otlp > trace.jsonl
    """
    from kspan.cli.commands.history import run_trace
    from kspan.cli.sources.source import HistoryOptions

    options = HistoryOptions(db, cluster, remote, kubeconfig, context, remote_token_file)
    run_trace(trace_id, options, output=output)


@app.command(cls=Command, epilog=TIMES_HELP, rich_help_panel=ASK)
def timeline(
    namespace: Annotated[
        str,
        typer.Option("--namespace", "-n", metavar="NAMESPACE", help="Only occurrences of objects in this namespace."),
    ] = "",
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Only occurrences at this time or later.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Only occurrences before this time.")] = "",
    kind: Annotated[
        str,
        typer.Option("--kind", metavar="KIND", help="Only occurrences of objects of this kind: pod, deploy, rs ..."),
    ] = "",
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Only occurrences of objects with this name.")
    ] = "",
    errors: Annotated[bool, typer.Option("--errors", help="Only errors.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=0, metavar="N", help="Maximum number of occurrences (0: all).")
    ] = 0,
    no_headers: NoHeaders = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print new occurrences as they arrive, until Ctrl-C.")
    ] = False,
    time_zone: TimeZone = "UTC",  # noqa: ARG001 - its callback sets it
    db: Db = None,
    cluster: Cluster = "",
    remote: Remote = "",
    kubeconfig: RemoteKubeconfig = None,
    context: RemoteContext = None,
    remote_token_file: RemoteTokenFile = None,
    output: ListOutput = "table",
) -> None:
    """List occurrences, oldest first.

    Prints one line for each Event, change and condition transition; a repeated Event is one line with its count.
    --follow starts five minutes ago unless --since is given, and prints JSON lines with -o json.

    \b
    Examples:
      # A namespace in the last 15 minutes
      kspan timeline -n shop --since 15m
    \b
      # Everything that went wrong in an interval
      kspan timeline --since 2026-11-22T10:25Z --until 2026-11-22T10:35Z --errors
    \b
      # The life of a Pod
      kspan timeline --kind pod --name web-854b7f4f-9xzlt
    """
    from kspan.cli.commands.history import run_timeline
    from kspan.cli.sources.source import HistoryOptions

    options = HistoryOptions(db, cluster, remote, kubeconfig, context, remote_token_file)
    run_timeline(
        options,
        follow=follow,
        errors=errors,
        limit=limit,
        headers=not no_headers,
        output=output,
        since=since,
        until=until,
        kind=kind,
        namespace=namespace,
        name=name,
    )


@app.command(cls=Command, epilog=TIMES_HELP, rich_help_panel=ASK)
def rollouts(
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Only rollouts from this time on.")] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="Only rollouts that started before this time.")
    ] = "",
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", metavar="NAMESPACE", help="Only rollouts in this namespace.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=0, metavar="N", help="Maximum number (0: all).")] = 20,
    no_headers: NoHeaders = False,
    time_zone: TimeZone = "UTC",  # noqa: ARG001 - its callback sets it
    db: Db = None,
    cluster: Cluster = "",
    remote: Remote = "",
    kubeconfig: RemoteKubeconfig = None,
    context: RemoteContext = None,
    remote_token_file: RemoteTokenFile = None,
    output: ListOutput = "table",
) -> None:
    """List rollouts of workloads, newest first.

    Workloads are Deployments, StatefulSets and DaemonSets. READY is the time until all replicas were ready. JSON and
    CSV have the columns of the SQL view 'rollouts'.

    \b
    Examples:
      kspan rollouts -n shop --since 7d
    \b
      # From a laptop
      kspan --remote rollouts
    """
    from kspan.cli.commands.history import run_rollouts
    from kspan.cli.sources.source import HistoryOptions

    options = HistoryOptions(db, cluster, remote, kubeconfig, context, remote_token_file)
    run_rollouts(
        options,
        limit=limit,
        headers=not no_headers,
        output=output,
        since=since,
        until=until,
        namespace=namespace,
    )


@app.command(cls=Command, epilog=TIMES_HELP, rich_help_panel=ASK)
def sql(
    statement: Annotated[
        str | None,
        typer.Argument(
            metavar="STATEMENT",
            help="SQL statement; - reads standard input. Without one, on a terminal, a prompt opens.",
            show_default=False,
        ),
    ] = None,
    db: Db = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="table|record|json|jsonl|csv|parquet", help="Print in this format.")
    ] = "table",
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=0,
            metavar="N",
            help="Maximum number of rows (0: all). [default: 1000 for a table, else all]",
            show_default=False,
        ),
    ] = None,
    no_headers: NoHeaders = False,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="Stop after this long, printing included (0: never).")
    ] = "30s",
    max_bytes: Annotated[
        str,
        typer.Option("--max-bytes", metavar="SIZE", help="Stop a statement that needs more memory (0: no limit)."),
    ] = "256MB",
    param: Annotated[
        list[str],
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="Set the parameter :NAME. Repeat it for more."),
    ] = [],  # noqa: B006
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Set :since, in Unix nanoseconds.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Set :until, in Unix nanoseconds.")] = "",
    cluster: Annotated[
        str, typer.Option("--cluster", metavar="NAME|UID", help="Set :cluster. [default: the only cluster]")
    ] = "",
    remote: Remote = "",
    kubeconfig: RemoteKubeconfig = None,
    context: RemoteContext = None,
    remote_token_file: RemoteTokenFile = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Describe the tables and views, or the one named as STATEMENT.")
    ] = False,
) -> None:
    """Query the history with SQL, read-only.

    docs/sql.md describes the tables and views and answers common questions. Times are Unix nanoseconds; columns named
    'at' show them in RFC 3339. With --remote, the daemon needs --serve-sql, and its limits apply, too.

    \b
    Examples:
      # Rollouts, newest first
      kspan sql "SELECT at, name, who FROM rollouts ORDER BY start_time DESC"
    \b
      # Failures of the last two hours, as CSV
      kspan sql "SELECT * FROM failures WHERE start_time > :since" \\
        --since 2h -o csv
    \b
      # What happened to one object
      kspan sql "SELECT at, name FROM occurrences WHERE object = :pod" \\
        -p pod=web-0
    \b
      # The columns of a view
      kspan sql --schema rollouts
    """
    from kspan.cli.commands.sql import run_sql
    from kspan.cli.sources.source import HistoryOptions

    options = HistoryOptions(db, cluster, remote, kubeconfig, context, remote_token_file)
    run_sql(
        statement,
        options,
        output=output,
        limit=limit,
        headers=not no_headers,
        timeout=timeout,
        max_bytes=max_bytes,
        since=since,
        until=until,
        parameters=param,
        schema=schema,
    )
