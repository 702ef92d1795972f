"""Options shared by several commands."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from kspan import times
from kspan.errors import SettingsError

TIMES_HELP = (
    "TIME is RFC 3339 (2026-11-22T10:25:05Z), '2026-11-22 10:25' or 10:25 (in --time-zone; the most recent one), "
    "or an age such as 15m or '2h ago'."
)

# The database

Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        envvar="KSPAN_DB",
        metavar="URL",
        help="Database: a path or an SQLAlchemy URL. [default: kspan.sqlite in the user's state directory]",
        show_default=False,
    ),
]
Cluster = Annotated[
    str,
    typer.Option(
        "--cluster", envvar="KSPAN_CLUSTER", metavar="NAME|UID", help="Cluster to use, if the database has several."
    ),
]

Remote = Annotated[
    str,
    typer.Option(
        "--remote",
        metavar="[[CONTEXT:]NAMESPACE/SERVICE]",
        help="Ask the daemon in the cluster instead of a database, through the API server. Without a value after =, "
        "the Service is found by its label.",
        show_default=False,
    ),
]
RemoteKubeconfig = Annotated[
    str | None,
    typer.Option(
        "--kubeconfig",
        metavar="FILE",
        help="Kubeconfig for --remote. [default: $KUBECONFIG, ~/.kube/config]",
        show_default=False,
    ),
]
RemoteContext = Annotated[
    str | None,
    typer.Option("--context", metavar="NAME", help="Context of the kubeconfig for --remote.", show_default=False),
]
RemoteTokenFile = Annotated[
    str | None,
    typer.Option(
        "--remote-token-file",
        metavar="FILE",
        help="Send the token in this file to the daemon, if it wants one.",
        show_default=False,
    ),
]

# Output

ListOutput = Annotated[str, typer.Option("--output", "-o", metavar="table|json|csv", help="Print in this format.")]

# The fold

RulesFile = Annotated[
    str | None,
    typer.Option(
        "--rules",
        envvar="KSPAN_RULES",
        metavar="FILE",
        help="Add the rules of this TOML file to the built-in rules and override those of the same name.",
    ),
]
Hold = Annotated[
    str,
    typer.Option("--hold", metavar="DURATION", help="Wait this long for other records before choosing a cause."),
]
Settle = Annotated[
    str,
    typer.Option("--settle", metavar="DURATION", help="Close a trace after this long without a new occurrence."),
]
MaxTraceAge = Annotated[
    str,
    typer.Option("--max-trace-age", metavar="DURATION", help="Close a trace at this age even if it is unfinished."),
]
MaxTraceSpans = Annotated[
    int,
    typer.Option(
        "--max-trace-spans",
        min=0,
        metavar="N",
        help="Export no more spans of a trace; equal ones become one span with their number (0: no limit).",
    ),
]
ReportFailureAfter = Annotated[
    str,
    typer.Option(
        "--report-failure-after",
        metavar="DURATION",
        help="Close a trace at most this long after something in it began to fail.",
    ),
]
Contexts = Annotated[
    list[str],
    typer.Option(
        "--context-annotation",
        metavar="KEY",
        help="Read a W3C traceparent from this annotation. Repeat it for more; the first valid one is used.",
    ),
]
SpanLabels = Annotated[
    list[str],
    typer.Option(
        "--span-label",
        metavar="KEY",
        help="Put this label of a Pod on the spans about it, as k8s.pod.label.KEY. Repeat it for more.",
        show_default=False,
    ),
]
_RECORDED = "[default: as recorded in the database]"
RecordedHold = Annotated[
    str | None,
    typer.Option(
        "--hold", metavar="DURATION", help=f"Wait this long for other records before choosing a cause. {_RECORDED}"
    ),
]
RecordedSettle = Annotated[
    str | None,
    typer.Option(
        "--settle", metavar="DURATION", help=f"Close a trace after this long without a new occurrence. {_RECORDED}"
    ),
]
RecordedMaxTraceAge = Annotated[
    str | None,
    typer.Option(
        "--max-trace-age", metavar="DURATION", help=f"Close a trace at this age even if it is unfinished. {_RECORDED}"
    ),
]
RecordedReportFailureAfter = Annotated[
    str | None,
    typer.Option(
        "--report-failure-after",
        metavar="DURATION",
        help=f"Close a trace at most this long after something in it began to fail. {_RECORDED}",
    ),
]
RecordedContexts = Annotated[
    list[str] | None,
    typer.Option(
        "--context-annotation",
        metavar="KEY",
        help=f"Read a W3C traceparent from this annotation. Repeat it for more. {_RECORDED}",
        show_default=False,
    ),
]
RecordedSpanLabels = Annotated[
    list[str] | None,
    typer.Option(
        "--span-label",
        metavar="KEY",
        help=f"Put this label of a Pod on the spans about it. Repeat it for more. {_RECORDED}",
        show_default=False,
    ),
]
CONTEXTS = ["tracing.k8s.io/traceparent"]

# Who may ask


class Auth(StrEnum):
    """How askers are recognized."""

    TOKEN = "token"  # noqa: S105
    KUBERNETES = "kubernetes"
    NONE = "none"


class Authorize(StrEnum):
    """The part of the history that an asker sees."""

    ALL = "all"
    NAMESPACES = "namespaces"


AuthMode = Annotated[
    Auth | None,
    typer.Option(
        "--auth",
        help="Who may ask: everybody with the token of --auth-token-file, users and service accounts of the cluster "
        "with a role for it, or everybody. [default: token with --auth-token-file, else none]",
        show_default=False,
    ),
]
AuthTokenFile = Annotated[
    Path | None,
    typer.Option(
        "--auth-token-file",
        metavar="FILE",
        help="Answer questions only with the token in this file (Authorization: Bearer TOKEN).",
        show_default=False,
    ),
]
InsecureNoAuth = Annotated[
    bool, typer.Option("--insecure-no-auth", help="Answer questions from other machines without a token.")
]
AuthorizeBy = Annotated[
    Authorize,
    typer.Option(
        "--authorize",
        help="Show an asker the whole history, or with --auth kubernetes only namespaces whose Events the asker may "
        "list.",
    ),
]
ServeSql = Annotated[
    bool,
    typer.Option("--serve-sql", help="Answer SQL statements, which can only read, of those who may see everything."),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert",
        metavar="FILE",
        help="Serve HTTPS with this certificate (PEM, with its chain). It is read again when it changes.",
        show_default=False,
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option("--tls-key", metavar="FILE", help="Key of that certificate (PEM, not encrypted).", show_default=False),
]

# The cluster

Kubeconfig = Annotated[
    str | None,
    typer.Option(
        "--kubeconfig",
        metavar="FILE",
        help="Kubeconfig. [default: $KUBECONFIG, ~/.kube/config, then the service account]",
        show_default=False,
    ),
]
Context = Annotated[str | None, typer.Option("--context", metavar="NAME", help="Use this context of the kubeconfig.")]
Watch = Annotated[
    list[str],
    typer.Option(
        "--watch",
        "-w",
        metavar="RESOURCE",
        help="Watch only this resource (pods, deploy, widgets.example.com). Repeat it for more.",
    ),
]
Namespaces = Annotated[
    list[str],
    typer.Option("--namespace", "-n", metavar="NAMESPACE", help="Watch only this namespace. Repeat it for more."),
]
AllKinds = Annotated[bool, typer.Option("--all-kinds", help="Watch every kind that the cluster serves.")]
AdditionalKinds = Annotated[
    bool,
    typer.Option(
        "--additional-kinds/--no-additional-kinds",
        help="Also watch ConfigMaps (without their data), Services and others, where the API server allows it.",
    ),
]
WatchSecrets = Annotated[bool, typer.Option("--watch-secrets", help="Also watch Secrets, without their data.")]
RedactEnv = Annotated[
    bool, typer.Option("--redact-env/--no-redact-env", help="Mask the values of environment variables.")
]

# Input and output

Export = Annotated[
    list[str],
    typer.Option(
        "--export",
        metavar="TARGET",
        help="Export traces to: console, otlp, file:PATH (OTLP/JSON lines; - is stdout) or none. Repeat it for more.",
    ),
]
ClusterName = Annotated[
    str,
    typer.Option(
        "--cluster-name",
        envvar="KSPAN_CLUSTER_NAME",
        metavar="NAME",
        help="Name the cluster, for --cluster, and as the resource attribute k8s.cluster.name.",
    ),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Report invalid input and continue after it.")]


def _set_zone(value: str) -> str:
    from kspan.terminal.zone import set_zone

    set_zone(value)
    return value


TimeZone = Annotated[
    str,
    typer.Option(
        "--time-zone",
        metavar="ZONE",
        callback=_set_zone,
        help="Print times in this zone: local, UTC or a name such as Europe/Berlin. JSON and CSV stay in UTC.",
    ),
]
NoHeaders = Annotated[bool, typer.Option("--no-headers", help="Print tables and CSV without their first line.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Show no progress bar.")]


LEAST_BYTES: Final = 8 << 20
"""SQLite needs some megabytes for its cache."""

_UNITS: Final = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


def parse_size(text: str, option: str) -> int:
    """Return the bytes of ``64MB`` (1 MB is 1024 * 1024 bytes), or 0. Raises SettingsError that names the option."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)I?(B?)", text.strip().upper())
    if found is None:
        raise SettingsError(f"{option}: invalid size {text!r}: use 64MB, 1GB or a number of bytes")
    size = int(float(found[1]) * _UNITS[found[2] + "B"])
    if 0 < size < LEAST_BYTES:
        raise SettingsError(f"{option}: {text!r} is too small: use at least {LEAST_BYTES >> 20}MB, or 0 for no limit")
    return size


def parse_duration(text: str, option: str) -> float:
    """Return the seconds of ``90s``, ``1h30m``, ``7d`` or ``0``. Raises SettingsError that names the option."""
    try:
        return times.parse_duration(text) / times.SECOND
    except ValueError as error:
        raise SettingsError(f"{option}: invalid duration {text!r}: use 90s, 30m, 12h or 7d") from error
