"""``kspan rules``."""

from typing import Annotated

import typer

from kspan.cli.help import Command, Group
from kspan.cli.options import NoProgress, RulesFile, SkipBad

app = typer.Typer(
    cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Check, list and generate rules about Events."
)


@app.command("check", cls=Command)
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Rules file (TOML); - reads standard input.")],
) -> None:
    """Check a rules file.

    Prints each mistake with its line and reason. Exit code: 0 if the file is valid, 2 if it has mistakes.

    \b
    Examples:
      kspan rules check my-rules.toml
    """
    from kspan.cli.commands.rules import run_check

    raise typer.Exit(run_check(file))


@app.command("list", cls=Command)
def list_(
    rules: RulesFile = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="table|record|json|jsonl|csv", help="Print in this format.")
    ] = "table",
) -> None:
    """List the rules in the order in which they are tried.

    The rules of --rules come before the built-in rules. The first rule that matches an Event is used.

    \b
    Examples:
      # List the built-in rules
      kspan rules list
    \b
      # List them together with your own, with all fields
      kspan rules list --rules my-rules.toml -o json
    """
    from kspan.cli.commands.rules import run_list

    run_list(rules, output)


@app.command("explain", cls=Command)
def explain(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Recordings, as for 'kspan replay'; - reads standard input."),
    ],
    rules: RulesFile = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="toml|json", help="Print in this format.")] = "toml",
    skip_bad: SkipBad = False,
    no_progress: NoProgress = False,
) -> None:
    """List the Events that no rule matches, with rules to start from.

    The output is a rules file. It is sorted by importance; Events without need of a rule are comments. Review the
    rules, correct them, and keep those that are right.

    \b
    Examples:
      # Write a first version of your own rules
      kspan rules explain incident.jsonl.gz > my-rules.toml
    \b
      # See which Events are left
      kspan rules explain incident.jsonl.gz --rules my-rules.toml
    """
    from kspan.cli.commands.rules import run_explain

    run_explain(files, rules, output, skip_bad=skip_bad, progress=not no_progress)
