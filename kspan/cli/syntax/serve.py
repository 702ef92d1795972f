"""``kspan serve``."""

from typing import Annotated

import typer

from kspan.cli.help import ASK, Command
from kspan.cli.options import AuthTokenFile, Cluster, Db, InsecureNoAuth

app = typer.Typer(rich_markup_mode=None)


@app.command(cls=Command, rich_help_panel=ASK)
def serve(
    db: Db = None,
    listen: Annotated[
        str, typer.Option("--listen", envvar="KSPAN_LISTEN", metavar="ADDRESS", help="Serve here.")
    ] = "127.0.0.1:8474",
    auth_token_file: AuthTokenFile = None,
    insecure_no_auth: InsecureNoAuth = False,
    cluster: Cluster = "",
) -> None:
    """Serve the history to Jaeger UI and Grafana.

    Runs until Ctrl-C. The database is only read: it may be a copy from another machine, or one that 'kspan run' is
    writing, which serves the same at its own address. Beyond this machine, a token is needed.

    \b
    Examples:
      kspan serve --db incident.sqlite
    \b
      # For Grafana in the same network
      kspan serve --listen :8474 --auth-token-file token
    """
    from kspan.cli.commands.serve import run_serve

    run_serve(db, listen=listen, auth_token_file=auth_token_file, insecure_no_auth=insecure_no_auth, cluster=cluster)
