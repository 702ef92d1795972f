"""``kspan serve``."""

from typing import Annotated

import typer

from kspan.cli.help import ASK, Command
from kspan.cli.options import (
    AuthMode,
    Authorize,
    AuthorizeBy,
    AuthTokenFile,
    Cluster,
    Context,
    Db,
    InsecureNoAuth,
    Kubeconfig,
    Remote,
    RemoteContext,
    RemoteKubeconfig,
    ServeSql,
    TlsCert,
    TlsKey,
)

app = typer.Typer(rich_markup_mode=None)


@app.command(cls=Command, rich_help_panel=ASK)
def ui(
    db: Db = None,
    cluster: Cluster = "",
    remote: Remote = "",
    kubeconfig: RemoteKubeconfig = None,
    context: RemoteContext = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="ADDRESS", help="Local address of the page. Port 0 is a free one.")
    ] = "127.0.0.1:0",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
) -> None:
    """Open the page in a browser.

    Runs until Ctrl-C. With --remote it is the page of the daemon in the cluster, over a forwarded port: you need the
    rights for 'kubectl port-forward'. Everybody on this machine can open it meanwhile.

    \b
    Examples:
      kspan ui --db incident.sqlite
    \b
      # The daemon in the cluster
      kspan ui --remote
    """
    from kspan.cli.commands.serve import run_ui
    from kspan.cli.sources.source import HistoryOptions

    run_ui(HistoryOptions(db, cluster, remote, kubeconfig, context), listen=listen, browser=browser)


@app.command(cls=Command, rich_help_panel=ASK)
def serve(
    db: Db = None,
    listen: Annotated[
        str, typer.Option("--listen", envvar="KSPAN_LISTEN", metavar="ADDRESS", help="Serve here.")
    ] = "127.0.0.1:8474",
    auth: AuthMode = None,
    auth_token_file: AuthTokenFile = None,
    insecure_no_auth: InsecureNoAuth = False,
    authorize: AuthorizeBy = Authorize.ALL,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    serve_sql: ServeSql = False,
    cluster: Cluster = "",
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show the history in a browser, and serve it to programs.

    Serves pages, /v1 and the query APIs of Jaeger (for Jaeger UI and Grafana) until Ctrl-C. The database is only read:
    it may be a copy from another machine, or one that 'kspan run' is writing, which serves the same at its own address.
    All clusters in it are shown, or only that of --cluster. Beyond this machine, a token is needed. An API server is
    asked only with --auth kubernetes, which shows one cluster.

    \b
    Examples:
      kspan serve --db incident.sqlite
    \b
      # For Grafana in the same network
      kspan serve --listen :8474 --auth-token-file token \\
        --tls-cert tls.crt --tls-key tls.key
    """
    from kspan.cli.commands.serve import Asking, run_serve

    asking = Asking(auth, auth_token_file, insecure_no_auth, authorize, tls_cert, tls_key, serve_sql)
    run_serve(db, listen=listen, asking=asking, cluster=cluster, kubeconfig=kubeconfig, context=context)
