"""Assembles the command line: groups of commands, ``--version``, ``--config``."""

import os
from typing import Annotated, Any

import typer

from kspan import __version__
from kspan.cli import config_file, remote_option
from kspan.cli.completion import add_completion
from kspan.cli.help import MAINTAIN, SETTINGS, Group
from kspan.cli.origins import warn_of_misspelt
from kspan.cli.syntax import db, history, ingest, objects, rules, serve

app = typer.Typer(
    name="kspan",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Turn Kubernetes Events and object changes into OpenTelemetry traces that show what caused what.",
    epilog=f"Start with 'kspan demo'. {SETTINGS}",
)
app.add_typer(ingest.app)
app.add_typer(history.app)
app.add_typer(objects.app)
app.add_typer(serve.app)
app.add_typer(db.app, name="db", rich_help_panel=MAINTAIN)
app.add_typer(rules.app, name="rules", rich_help_panel=MAINTAIN)


def program() -> Any:
    """Return the root command. Its options take their values from flags, the environment and the settings file."""
    command = typer.main.get_command(app)
    config_file.add_settings(command)
    add_completion(config_file.commands(command))
    warn_of_misspelt(os.environ, config_file.variable_names(command))
    return command


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
            show_envvar=False,
            metavar="FILE",
            callback=config_file.remember,
            is_eager=True,
            help="Settings file (TOML). [default: kspan/config.toml in the user's configuration directory]",
            show_default=False,
        ),
    ] = None,
    remote: Annotated[
        str | None,
        typer.Option(
            "--remote",
            metavar="[[CONTEXT:]NAMESPACE/SERVICE]",
            callback=remote_option.remember,
            help="Ask the daemon in the cluster, through the API server. It can also follow the command.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Accept the options that come before the command."""
