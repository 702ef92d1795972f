"""``kspan db``."""

from typing import Annotated

import typer

from kspan.cli.help import Command, Group
from kspan.cli.options import (
    CONTEXTS,
    Cluster,
    Contexts,
    Db,
    Hold,
    MaxTraceAge,
    NoProgress,
    RulesFile,
    Settle,
)

app = typer.Typer(
    cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Verify, rebuild and measure the database."
)


@app.command(cls=Command)
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
    """Check that the projection matches the journal.

    Replays the journal into an empty projection and compares the rows. The options --rules, --hold, --settle,
    --max-trace-age and --context-annotation must be those of the daemon. Exit code: 0 if all rows match, 1 if not.

    \b
    Examples:
      kspan db verify --db incident.sqlite
    """
    from kspan.cli.commands.db import run_verify
    from kspan.cli.common import fold_settings

    settings = fold_settings(hold, settle, max_trace_age, context_annotation)
    raise typer.Exit(run_verify(db, cluster, rules, settings, progress=not no_progress))


@app.command(cls=Command)
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
    """Replace the projection by a new one from the journal.

    Run this after you changed the rules. Traces that were exported stay marked as exported.

    \b
    Examples:
      kspan db rebuild --db incident.sqlite --rules my-rules.toml
    """
    from kspan.cli.commands.db import run_rebuild
    from kspan.cli.common import fold_settings

    settings = fold_settings(hold, settle, max_trace_age, context_annotation)
    run_rebuild(db, cluster, rules, settings, progress=not no_progress)


@app.command(cls=Command)
def stats(
    db: Db = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORMAT", help="Print table or json.")] = "table",
) -> None:
    """Show the size of the database and the number of its rows.

    Counts journal records by type, rows by table, traces by state and exported traces by target, for each cluster.

    \b
    Examples:
      kspan db stats --db incident.sqlite
      kspan db stats -o json
    """
    from kspan.cli.commands.db import run_stats

    run_stats(db, output)
