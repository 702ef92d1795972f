"""``kspan db``."""

from typing import Annotated

import typer

from kspan.cli.help import Command, Group
from kspan.cli.options import (
    Cluster,
    Db,
    NoProgress,
    RecordedContexts,
    RecordedHold,
    RecordedMaxTraceAge,
    RecordedReportFailureAfter,
    RecordedSettle,
    RecordedSpanLabels,
    RulesFile,
)

app = typer.Typer(
    cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Verify, rebuild and measure the database."
)


@app.command(cls=Command)
def verify(
    db: Db = None,
    cluster: Cluster = "",
    rules: RulesFile = None,
    no_progress: NoProgress = False,
) -> None:
    """Check that the projection matches the journal.

    Compares the journal with its checksums, and each trace with its spans. Then replays the journal into an empty
    projection, with the settings recorded in the database, and compares the rows; not if retention has deleted a part
    of the journal. Needs --rules only if the history was made with rules of your own. Exit code: 0 if all rows match,
    1 if not.

    \b
    Examples:
      kspan db verify --db incident.sqlite
    """
    from kspan.cli.commands.db import run_verify

    raise typer.Exit(run_verify(db, cluster, rules, progress=not no_progress))


@app.command(cls=Command)
def rebuild(
    db: Db = None,
    cluster: Cluster = "",
    rules: RulesFile = None,
    hold: RecordedHold = None,
    settle: RecordedSettle = None,
    max_trace_age: RecordedMaxTraceAge = None,
    report_failure_after: RecordedReportFailureAfter = None,
    context_annotation: RecordedContexts = None,
    span_label: RecordedSpanLabels = None,
    no_progress: NoProgress = False,
) -> None:
    """Replace the projection by a new one from the journal.

    Run this after you changed the rules or upgraded kspan. Settings that are not given stay as recorded in the
    database. Traces that were exported stay marked as exported.

    \b
    Examples:
      kspan db rebuild --db incident.sqlite --rules my-rules.toml
    """
    from kspan.cli.commands.db import run_rebuild

    run_rebuild(
        db,
        cluster,
        rules,
        hold=hold,
        settle=settle,
        max_trace_age=max_trace_age,
        report_failure_after=report_failure_after,
        contexts=context_annotation,
        span_labels=span_label,
        progress=not no_progress,
    )


@app.command(cls=Command)
def stats(
    db: Db = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="table|json", help="Print in this format.")
    ] = "table",
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
