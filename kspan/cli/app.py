"""The commands and their options; what they do is in the modules beside this one."""

from typing import Annotated, Any

import typer

from kspan import __version__
from kspan.cli import config_file as configuration
from kspan.cli.commands.history import questions
from kspan.cli.options import (
    CONTEXTS,
    EXPORT_HELP,
    Cluster,
    Contexts,
    Db,
    Hold,
    MaxTraceAge,
    NoProgress,
    OwnDb,
    RulesFile,
    Settle,
)

app = typer.Typer(
    name="kspan",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Turns what a Kubernetes cluster says about itself into traces that show what caused what.",
    epilog="Start with: kspan demo",
)
db = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look after the database.")
app.add_typer(db, name="db")
rules_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="See, check and write the rules that understand Events."
)
app.add_typer(rules_app, name="rules")
app.add_typer(questions)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"kspan {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            envvar="KSPAN_CONFIG",
            metavar="FILE",
            callback=configuration.remember,
            is_eager=True,
            help="Settings (TOML) [default: kspan/config.toml in the user's configuration directory].",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Options of all commands."""


def program() -> Any:
    """The commands, ready to be called with ``prog_name``; settings come from flags, environment and a file."""
    commands = typer.main.get_command(app)
    configuration.equip(commands)
    return commands


@app.command()
def demo(db: OwnDb = None, no_progress: NoProgress = False) -> None:
    """Replay a recorded rolling update and show its traces as trees.

    The recording (an image change, a scaling and a rollback of a Deployment on a real cluster) comes with kspan.
    The database is made afresh each time: an SQLite file of the demo's own, unless --db says otherwise.

    \b
    Example:
      kspan demo
    """
    from kspan.cli.commands.replay import run_demo

    run_demo(db, progress=not no_progress)


@app.command(short_help="Turn recordings into traces, on their own clock.")
def replay(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Recordings; - is standard input.")],
    db: Db = None,
    export: Annotated[list[str], typer.Option("--export", metavar="TARGET", help=EXPORT_HELP)] = ["console"],  # noqa: B006
    cluster: Annotated[
        str, typer.Option("--cluster", metavar="UID", help="The cluster's uid, for input that does not tell.")
    ] = "",
    cluster_name: Annotated[
        str, typer.Option("--cluster-name", envvar="KSPAN_CLUSTER_NAME", metavar="NAME", help="k8s.cluster.name.")
    ] = "",
    rules: RulesFile = None,
    context_annotation: Contexts = CONTEXTS,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on after bad input; count what is skipped.")] = False,
    no_progress: NoProgress = False,
) -> None:
    """Ingest recordings as the daemon would have, on their own clock, and export the traces.

    Reads recordings of 'kspan record' (gzip'd or not), capture files of the Go kspan, and the output of
    'kubectl get ... -o json|yaml'. What the database has already is not ingested again, and what was exported to a
    target is not exported there again: a replay that was interrupted goes on where it was.

    \b
    Examples:
      kspan replay incident.jsonl.gz
      kspan replay incident.jsonl.gz --db incident.sqlite --export otlp
      kspan replay incident.jsonl.gz --export file:traces.jsonl
      kubectl get events -A -o json | kspan replay - --db sqlite://
    """
    from kspan.cli.commands.replay import run_replay

    run_replay(
        files,
        db,
        export,
        cluster=cluster,
        cluster_name=cluster_name,
        rules=rules,
        contexts=context_annotation,
        skip_bad=skip_bad,
        progress=not no_progress,
    )


Kubeconfig = Annotated[
    str | None,
    typer.Option(
        "--kubeconfig",
        metavar="FILE",
        help="Kubeconfig [default: $KUBECONFIG, ~/.kube/config, then the service account].",
        show_default=False,
    ),
]
Context = Annotated[str | None, typer.Option("--context", metavar="NAME", help="Context of the kubeconfig.")]
Watch = Annotated[
    list[str],
    typer.Option("--watch", "-w", metavar="RESOURCE", help="Watch only these: pods, deploy, widgets.example.com ..."),
]
Namespaces = Annotated[list[str], typer.Option("--namespace", "-n", metavar="NS", help="Watch only these namespaces.")]
AllKinds = Annotated[bool, typer.Option("--all-kinds", help="Watch every kind that the cluster serves.")]


RedactEnv = Annotated[
    bool, typer.Option("--redact-env/--no-redact-env", help="Mask the values of environment variables.")
]


@app.command(short_help="Watch a cluster, keep its history, emit traces.")
def run(
    db: Db = None,
    export: Annotated[list[str], typer.Option("--export", metavar="TARGET", help=EXPORT_HELP)] = ["otlp"],  # noqa: B006
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    watch: Watch = [],  # noqa: B006
    namespace: Namespaces = [],  # noqa: B006
    all_kinds: AllKinds = False,
    listen: Annotated[
        str,
        typer.Option("--listen", envvar="KSPAN_LISTEN", metavar="ADDRESS", help="For /healthz, /readyz and /metrics."),
    ] = "127.0.0.1:8474",
    retention: Annotated[
        str,
        typer.Option(
            "--retention", envvar="KSPAN_RETENTION", metavar="TIME", help="Keep history for this long (0: for ever)."
        ),
    ] = "7d",
    cluster: Annotated[
        str, typer.Option("--cluster", metavar="UID", help="The cluster's uid [default: that of kube-system].")
    ] = "",
    cluster_name: Annotated[
        str, typer.Option("--cluster-name", envvar="KSPAN_CLUSTER_NAME", metavar="NAME", help="k8s.cluster.name.")
    ] = "",
    rules: RulesFile = None,
    redact_env: RedactEnv = True,
    hold: Hold = "5s",
    settle: Settle = "10s",
    max_trace_age: MaxTraceAge = "15m",
    context_annotation: Contexts = CONTEXTS,
    log_level: Annotated[
        str,
        typer.Option("--log-level", envvar="KSPAN_LOG_LEVEL", metavar="LEVEL", help="debug, info, warning or error."),
    ] = "info",
) -> None:
    """Watch a cluster, keep its history, and emit traces of what caused what, until SIGTERM or SIGINT.

    It can be killed at any instant: it goes on where it was, and nothing is lost or sent twice with other content.
    Exit code 0 after a signal, 1 if a part of it died, 2 for what is wrong from the start.

    \b
    Examples:
      kspan run --export otlp --db /var/lib/kspan/kspan.sqlite
      kspan run --context staging --namespace shop --export console
      kspan run --watch deploy --watch rs --watch pods --watch events --export file:traces.jsonl
    """
    from kspan.cli.commands.run import run_daemon

    code = run_daemon(
        db,
        export,
        kubeconfig=kubeconfig,
        context=context,
        watch=watch,
        namespaces=namespace,
        all_kinds=all_kinds,
        cluster=cluster,
        cluster_name=cluster_name,
        rules=rules,
        listen=listen,
        retention=retention,
        redact_env=redact_env,
        hold=hold,
        settle=settle,
        max_trace_age=max_trace_age,
        contexts=context_annotation,
        log_level=log_level,
    )
    raise typer.Exit(code)


@app.command()
def record(
    out: Annotated[str, typer.Argument(metavar="OUT.jsonl.gz", help="The recording; gzip'd if it ends in .gz.")],
    duration: Annotated[str, typer.Option("--for", metavar="TIME", help="How long (0: until Ctrl-C).")] = "0",
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    watch: Watch = [],  # noqa: B006
    namespace: Namespaces = [],  # noqa: B006
    all_kinds: AllKinds = False,
    redact_env: RedactEnv = True,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Record what a cluster says, to replay it later or elsewhere. Secrets are masked, and so are environment values.

    \b
    Examples:
      kspan record incident.jsonl.gz --for 10m
      kspan replay incident.jsonl.gz
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
        redact_env=redact_env,
        force=force,
    )


@db.command(short_help="Compare the projection with what the journal says.")
def verify(
    db: Db = None,
    cluster: Cluster = "",
    rules: RulesFile = None,
    hold: Hold = "5s",
    settle: Settle = "10s",
    max_trace_age: MaxTraceAge = "15m",
    context_annotation: Contexts = CONTEXTS,
    no_progress: NoProgress = False,
) -> None:
    """Replay the journal into an empty projection and compare, row by row. Exit code 1 where something differs.

    --rules, --hold, --settle, --max-trace-age and --context-annotation have to be those with which the projection was
    made.

    \b
    Example:
      kspan db verify --db incident.sqlite
    """
    from kspan.cli.commands.db import run_verify
    from kspan.cli.common import fold_settings

    settings = fold_settings(hold, settle, max_trace_age, context_annotation)
    raise typer.Exit(run_verify(db, cluster, rules, settings, progress=not no_progress))


@db.command(short_help="Make the projection afresh from the journal.")
def rebuild(
    db: Db = None,
    cluster: Cluster = "",
    rules: RulesFile = None,
    hold: Hold = "5s",
    settle: Settle = "10s",
    max_trace_age: MaxTraceAge = "15m",
    context_annotation: Contexts = CONTEXTS,
    no_progress: NoProgress = False,
) -> None:
    """Replace the projection by one made afresh from the journal (after a change of the rules, say).

    What was emitted stays marked as emitted.

    \b
    Example:
      kspan db rebuild --db incident.sqlite --rules my-rules.toml
    """
    from kspan.cli.commands.db import run_rebuild
    from kspan.cli.common import fold_settings

    settings = fold_settings(hold, settle, max_trace_age, context_annotation)
    run_rebuild(db, cluster, rules, settings, progress=not no_progress)


@db.command(short_help="Show how much there is: rows, traces, size.")
def stats(
    db: Db = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORMAT", help="table or json.")] = "table",
) -> None:
    """Show how much there is: rows, records by type, traces, what was emitted, size.

    \b
    Examples:
      kspan db stats --db incident.sqlite
      kspan db stats -o json
    """
    from kspan.cli.commands.db import run_stats

    run_stats(db, output)


@rules_app.command("check")
def check_rules_file(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A rules file (TOML); - is standard input.")],
) -> None:
    """Check a rules file: every mistake with its line and reason. Exit code 2 where there are any.

    \b
    Example:
      kspan rules check my-rules.toml
    """
    from kspan.cli.commands.rules import run_check

    raise typer.Exit(run_check(file))


@rules_app.command("list", short_help="Show the rules in force, in their order.")
def list_rules(
    rules: RulesFile = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FORMAT", help="table, json, jsonl or csv.")
    ] = "table",
) -> None:
    """Show the rules in force: those of your file first, then the built-in ones. The first that fits an Event counts.

    \b
    Examples:
      kspan rules list
      kspan rules list --rules my-rules.toml -o json
    """
    from kspan.cli.commands.rules import run_list

    run_list(rules, output)


@rules_app.command("explain", short_help="List the Events that no rule understands.")
def explain_rules(
    files: Annotated[
        list[str], typer.Argument(metavar="RECORDING", help="What 'kspan replay' reads; - is standard input.")
    ],
    rules: RulesFile = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORMAT", help="toml or json.")] = "toml",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on after bad input; count what is skipped.")] = False,
    no_progress: NoProgress = False,
) -> None:
    """List the Events of a recording that no rule understands, with a rule to start from where one would help.

    What is printed is a rules file: what would help most comes first, and what needs no rule is a remark. Look through
    the rules, correct what they mean, keep those that are right.

    \b
    Examples:
      kspan rules explain incident.jsonl.gz > my-rules.toml
      kspan rules explain incident.jsonl.gz --rules my-rules.toml
      kubectl get events -A -o json | kspan rules explain - -o json
    """
    from kspan.cli.commands.rules import run_explain

    run_explain(files, rules, output, skip_bad=skip_bad, progress=not no_progress)
