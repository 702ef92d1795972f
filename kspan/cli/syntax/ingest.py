"""``kspan run``, ``record``, ``replay`` and ``demo``."""

from typing import Annotated

import typer

from kspan.cli.help import COLLECT, Command
from kspan.cli.options import (
    CONTEXTS,
    AdditionalKinds,
    AllKinds,
    AuthMode,
    Authorize,
    AuthorizeBy,
    AuthTokenFile,
    ClusterName,
    Context,
    Contexts,
    Db,
    Export,
    Hold,
    InsecureNoAuth,
    Kubeconfig,
    MaxTraceAge,
    MaxTraceSpans,
    Namespaces,
    NoProgress,
    RedactEnv,
    ReportFailureAfter,
    RulesFile,
    ServeSql,
    Settle,
    SkipBad,
    SpanLabels,
    TlsCert,
    TlsKey,
    Watch,
    WatchSecrets,
)

app = typer.Typer(rich_markup_mode=None)


@app.command(cls=Command, rich_help_panel=COLLECT)
def demo(
    db: Annotated[
        str | None,
        typer.Option(
            "--db",
            metavar="URL",
            help="Database: a path or an SQLAlchemy URL. [default: a new demo.sqlite in the user's state directory]",
            show_default=False,
        ),
    ] = None,
    no_progress: NoProgress = False,
) -> None:
    """Replay a recorded rolling update and explain it.

    The recording comes with kspan: an image change, a scale-up and a rollback of a Deployment on a real cluster. The
    command prints its traces as trees, asks 'kspan why' about a Pod that the rollback deleted, and keeps the
    database, so that you can ask more.

    \b
    Examples:
      kspan demo
      kspan demo --db demo.sqlite
    """
    from kspan.cli.commands.replay import run_demo

    run_demo(db, progress=not no_progress)


@app.command(cls=Command, rich_help_panel=COLLECT)
def run(
    db: Db = None,
    export: Export = ["otlp"],  # noqa: B006
    max_trace_spans: MaxTraceSpans = 5_000,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    watch: Watch = [],  # noqa: B006
    namespace: Namespaces = [],  # noqa: B006
    all_kinds: AllKinds = False,
    additional_kinds: AdditionalKinds = True,
    watch_secrets: WatchSecrets = False,
    listen: Annotated[
        str,
        typer.Option(
            "--listen",
            envvar="KSPAN_LISTEN",
            metavar="ADDRESS",
            help="Serve health, metrics and the query APIs here.",
        ),
    ] = "127.0.0.1:8474",
    auth: AuthMode = None,
    auth_token_file: AuthTokenFile = None,
    insecure_no_auth: InsecureNoAuth = False,
    authorize: AuthorizeBy = Authorize.ALL,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    serve_sql: ServeSql = False,
    retention: Annotated[
        str,
        typer.Option(
            "--retention",
            envvar="KSPAN_RETENTION",
            metavar="DURATION",
            help="Delete history that is older than this (0: never).",
        ),
    ] = "7d",
    cluster: Annotated[
        str,
        typer.Option(
            "--cluster",
            metavar="NAME|UID",
            help="Cluster in the database, or uid of a new one. [default: the uid of the namespace kube-system]",
        ),
    ] = "",
    cluster_name: ClusterName = "",
    rules: RulesFile = None,
    redact_env: RedactEnv = True,
    hold: Hold = "5s",
    settle: Settle = "10s",
    max_trace_age: MaxTraceAge = "15m",
    report_failure_after: ReportFailureAfter = "60s",
    context_annotation: Contexts = CONTEXTS,
    span_label: SpanLabels = [],  # noqa: B006
    log_level: Annotated[
        str,
        typer.Option(
            "--log-level",
            envvar="KSPAN_LOG_LEVEL",
            metavar="debug|info|warning|error",
            help="Log this and what is worse.",
        ),
    ] = "info",
) -> None:
    """Watch a cluster, keep its history and export its traces.

    Runs until SIGTERM or SIGINT. After a restart, or a crash, it continues where it was; no trace is lost or exported
    twice with different content. Exit code: 0 after a signal, 1 if a part of it failed, 2 if it could not start.

    \b
    Examples:
      # Show the traces of a namespace in the terminal
      kspan run --context staging --namespace shop --export console
    \b
      # Send traces to OTEL_EXPORTER_OTLP_ENDPOINT and keep the history
      kspan run --export otlp --db /var/lib/kspan/kspan.sqlite
    \b
      # Watch some resources only, and write OTLP/JSON to a file
      kspan run -w deploy -w rs -w pods -w events --export file:traces.jsonl
    """
    from kspan.cli.commands.run import run_daemon
    from kspan.cli.commands.serve import Asking

    code = run_daemon(
        db,
        export,
        max_trace_spans=max_trace_spans,
        kubeconfig=kubeconfig,
        context=context,
        watch=watch,
        namespaces=namespace,
        all_kinds=all_kinds,
        additional_kinds=additional_kinds,
        watch_secrets=watch_secrets,
        cluster=cluster,
        cluster_name=cluster_name,
        rules=rules,
        listen=listen,
        asking=Asking(auth, auth_token_file, insecure_no_auth, authorize, tls_cert, tls_key, serve_sql),
        retention=retention,
        redact_env=redact_env,
        hold=hold,
        settle=settle,
        max_trace_age=max_trace_age,
        report_failure_after=report_failure_after,
        contexts=context_annotation,
        span_labels=span_label,
        log_level=log_level,
    )
    raise typer.Exit(code)


@app.command(cls=Command, rich_help_panel=COLLECT)
def record(
    out: Annotated[
        str, typer.Argument(metavar="FILE", help="File to write; compressed if it ends in .gz; - is stdout.")
    ],
    duration: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="Stop after this long (0: on Ctrl-C).")
    ] = "0",
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    watch: Watch = [],  # noqa: B006
    namespace: Namespaces = [],  # noqa: B006
    all_kinds: AllKinds = False,
    additional_kinds: AdditionalKinds = True,
    watch_secrets: WatchSecrets = False,
    redact_env: RedactEnv = True,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
) -> None:
    """Record the Events and object changes of a cluster to a file.

    'kspan replay' turns the recording into traces, on any machine. Secrets and the values of environment variables
    are masked.

    \b
    Examples:
      # Record ten minutes
      kspan record incident.jsonl.gz --for 10m
    \b
      # Record two namespaces until Ctrl-C
      kspan record incident.jsonl.gz -n shop -n payments
    """
    from kspan.cli.commands.run import run_record

    run_record(
        out,
        duration=duration,
        kubeconfig=kubeconfig,
        context=context,
        watch=watch,
        namespaces=namespace,
        all_kinds=all_kinds,
        additional_kinds=additional_kinds,
        watch_secrets=watch_secrets,
        redact_env=redact_env,
        force=force,
    )


@app.command(cls=Command, rich_help_panel=COLLECT)
def replay(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Recordings, dumps or folders; - is standard input.")
    ],
    db: Db = None,
    export: Export = ["console"],  # noqa: B006
    max_trace_spans: MaxTraceSpans = 5_000,
    cluster: Annotated[
        str,
        typer.Option(
            "--cluster",
            metavar="NAME|UID",
            help="Cluster in the database, or uid of a new one. [default: as the input says]",
        ),
    ] = "",
    cluster_name: ClusterName = "",
    rules: RulesFile = None,
    context_annotation: Contexts = CONTEXTS,
    span_label: SpanLabels = [],  # noqa: B006
    skip_bad: SkipBad = False,
    no_progress: NoProgress = False,
) -> None:
    """Turn recordings into traces.

    Reads recordings of 'kspan record', captures of the Go kspan, and what 'kubectl get -o json' (or yaml, also with
    --output-watch-events) and 'kubectl cluster-info dump' print, plain or compressed with gzip. Of a folder (a dump, a
    must-gather or support bundle), it reads all .json, .jsonl, .yaml and .yml files with Kubernetes objects. Time is
    taken from the recording, not from the clock. Records that the database already has are skipped, and so are traces
    that were already exported to a target: an interrupted replay can be run again.

    \b
    Examples:
      # Show the traces of a recording as trees
      kspan replay incident.jsonl.gz
    \b
      # Keep the history and send the traces to OTEL_EXPORTER_OTLP_ENDPOINT
      kspan replay incident.jsonl.gz --db incident.sqlite --export otlp
    \b
      # Trace what a cluster still knows about its last hour
      kubectl get events,deploy,rs,pods -A -o json --show-managed-fields |
        kspan replay - --db sqlite://
    \b
      # Trace what a must-gather shows
      kspan replay must-gather.local.123/ --db case.sqlite
    """
    from kspan.cli.commands.replay import run_replay

    run_replay(
        files,
        db,
        export,
        max_trace_spans=max_trace_spans,
        cluster=cluster,
        cluster_name=cluster_name,
        rules=rules,
        contexts=context_annotation,
        span_labels=span_label,
        skip_bad=skip_bad,
        progress=not no_progress,
    )
