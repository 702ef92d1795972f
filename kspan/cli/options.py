"""Options that several commands have."""

from typing import Annotated

import typer

from kspan import times
from kspan.errors import SettingsError

DB_HELP = "SQLAlchemy URL or path of the database [default: an SQLite file under the platform's state directory]"
EXPORT_HELP = "Where traces go: console, none, otlp (see OTEL_EXPORTER_OTLP_*), file:PATH (OTLP/JSON lines)."

Db = Annotated[str | None, typer.Option("--db", envvar="KSPAN_DB", metavar="URL", help=DB_HELP, show_default=False)]
RulesFile = Annotated[
    str | None,
    typer.Option(
        "--rules", envvar="KSPAN_RULES", metavar="FILE", help="Rules (TOML) that add to the built-in ones and override."
    ),
]
OwnDb = Annotated[str | None, typer.Option("--db", metavar="URL", help="SQLAlchemy URL or path of a database.")]
Cluster = Annotated[
    str,
    typer.Option("--cluster", envvar="KSPAN_CLUSTER", metavar="UID", help="The cluster [default: the only one]."),
]
Hold = Annotated[str, typer.Option("--hold", metavar="TIME", help="How long an occurrence waits for its cause.")]
Settle = Annotated[str, typer.Option("--settle", metavar="TIME", help="How long a trace must have been quiet.")]
MaxTraceAge = Annotated[
    str,
    typer.Option("--max-trace-age", metavar="TIME", help="A trace is closed at this age, finished or not."),
]
Contexts = Annotated[
    list[str],
    typer.Option(
        "--context-annotation",
        metavar="KEY",
        help="Annotations with a W3C traceparent; the first that is there counts.",
    ),
]
CONTEXTS = ["tracing.k8s.io/traceparent"]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="No progress bar.")]


def parse_duration(text: str, option: str) -> float:
    """Seconds of ``90s``, ``1h30m``, ``7d``, or ``0``. Raises SettingsError that names the option."""
    try:
        return times.parse_duration(text) / times.SECOND
    except ValueError as error:
        raise SettingsError(f"{option} {text!r} is no duration: write 90s, 30m, 12h, 7d or 1h30m") from error
