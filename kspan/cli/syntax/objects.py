"""``kspan show`` and ``diff``."""

from typing import Annotated

import typer

from kspan.cli.help import ASK, Command
from kspan.cli.options import TIMES_HELP, Cluster, Db, Remote, RemoteContext, RemoteKubeconfig, RemoteTokenFile

app = typer.Typer(rich_markup_mode=None)

Words = Annotated[list[str], typer.Argument(metavar="KIND/NAME", help="Object: pod/web-0, deploy/web ...")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", metavar="NAMESPACE", help="Namespace of the object.")]
Uid = Annotated[str, typer.Option("--uid", metavar="UID", help="uid of the object, if several had this name.")]


@app.command(cls=Command, epilog=TIMES_HELP, rich_help_panel=ASK)
def show(
    words: Words,
    namespace: Namespace = "",
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="As it was at this time. [default: now]", show_default=False)
    ] = "",
    managed_fields: Annotated[
        bool, typer.Option("--show-managed-fields", help="Print metadata.managedFields.")
    ] = False,
    uid: Uid = "",
    db: Db = None,
    cluster: Cluster = "",
    remote: Remote = "",
    kubeconfig: RemoteKubeconfig = None,
    context: RemoteContext = None,
    remote_token_file: RemoteTokenFile = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="yaml|json", help="Print in this format.")] = "yaml",
) -> None:
    """Show the manifest of an object, now or at an earlier time.

    Prints the version that kspan had received until then, as it is in the journal: data of Secrets and values of
    environment variables are masked there. The object may be deleted; then this is its last version.

    \b
    Examples:
      kspan show deploy/web
    \b
      # What did the Pod look like before it was deleted?
      kspan show pod/web-854b7f4f-9xzlt --at '2026-11-22 10:25:40'
    """
    from kspan.cli.commands.objects import run_show
    from kspan.cli.sources.source import HistoryOptions

    options = HistoryOptions(db, cluster, remote, kubeconfig, context, remote_token_file)
    run_show(
        words,
        options,
        namespace=namespace,
        at=at,
        uid=uid,
        output=output,
        managed_fields=managed_fields,
    )


@app.command(cls=Command, epilog=TIMES_HELP, rich_help_panel=ASK)
def diff(
    words: Words,
    namespace: Namespace = "",
    since: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="TIME",
            help="Compare with the version at this time. [default: the version before the last change]",
            show_default=False,
        ),
    ] = "",
    until: Annotated[
        str, typer.Option("--to", metavar="TIME", help="The version at this time. [default: now]", show_default=False)
    ] = "",
    status: Annotated[bool, typer.Option("--show-status", help="Compare the status too.")] = False,
    uid: Uid = "",
    db: Db = None,
    cluster: Cluster = "",
    remote: Remote = "",
    kubeconfig: RemoteKubeconfig = None,
    context: RemoteContext = None,
    remote_token_file: RemoteTokenFile = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="diff|json", help="Print a unified diff, or a JSON Patch.")
    ] = "diff",
) -> None:
    """Show how the manifest of an object changed between two times.

    Without times, shows the last change. Bookkeeping (managedFields, resourceVersion, generation, what kubectl applied
    last) is left out, and so is the status unless --show-status is given.

    \b
    Examples:
      # The last change of a Deployment
      kspan diff deploy/web
    \b
      # What changed in an hour?
      kspan diff configmap/settings -n shop --from 10:00 --to 11:00
    """
    from kspan.cli.commands.objects import run_diff
    from kspan.cli.sources.source import HistoryOptions

    options = HistoryOptions(db, cluster, remote, kubeconfig, context, remote_token_file)
    run_diff(
        words,
        options,
        namespace=namespace,
        since=since,
        until=until,
        status=status,
        uid=uid,
        output=output,
    )
