"""``--export``: the targets, and the exporters for them. Does not import the OpenTelemetry SDK until one is opened."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kspan.errors import ExportError, SettingsError
from kspan.paths import STDOUT, check_writable, expanded

if TYPE_CHECKING:
    from rich.console import Console

    from kspan.emit.export_queue import TraceExporter
    from kspan.emit.otel_spans import ClusterIdentity
    from kspan.emit.span_sender import SpanSender


class TargetKind(StrEnum):
    """Kinds of targets."""

    NONE = "none"
    CONSOLE = "console"
    OTLP = "otlp"
    FILE = "file"


class ExportTarget(msgspec.Struct, frozen=True):
    """A parsed ``--export`` value. ``path`` is absolute, and set for files only."""

    kind: TargetKind
    path: Path | None = None

    @property
    def name(self) -> str:
        """The name in the table ``emissions``: ``console``, ``otlp``, ``file:/abs/path``."""
        return str(self.kind) if self.path is None else f"{self.kind}:{self.path}"


def parse_target(text: str) -> ExportTarget:
    """Parse ``console``, ``none``, ``otlp`` or ``file:PATH``. Raises SettingsError.

    In a path, ``~`` is the home directory and ``-`` standard output.
    """
    kind, colon, path = text.partition(":")
    path = str(STDOUT) if path == "-" else path
    if kind == TargetKind.FILE and path:
        try:
            return ExportTarget(TargetKind.FILE, expanded(path).absolute())
        except RuntimeError as error:
            raise SettingsError(f"--export: {text!r}: {error}") from error
    if kind in (TargetKind.NONE, TargetKind.CONSOLE, TargetKind.OTLP) and not colon:
        return ExportTarget(TargetKind(kind))
    raise SettingsError(f"--export: invalid target {text!r}: use console, none, otlp or file:PATH")


def open_exporter(
    target: ExportTarget, cluster: "ClusterIdentity", *, console: "Console | None" = None
) -> "TraceExporter | None":
    """The exporter for a target; None for the target ``none``.

    Connections and files are opened at the first export.

    Args:
        console: the terminal of a console target (default: standard output).

    Raises:
        ExportError: the directory of the file does not exist, or the file cannot be written.
        SettingsError: the environment's OTLP settings cannot be used.
    """
    if target.kind is TargetKind.NONE:
        return None
    if target.kind is TargetKind.CONSOLE:
        from kspan.emit.console import ConsoleExporter

        return ConsoleExporter(console)
    from kspan.emit.batch_exporter import BatchExporter

    return BatchExporter(_open_sender(target), cluster)


def _open_sender(target: ExportTarget) -> "SpanSender":
    if target.path is None:
        from kspan.emit.otlp import open_otlp

        return open_otlp()
    if problem := check_writable(target.path):
        raise ExportError(f"{target.path}: {problem}")
    from kspan.emit.otlp_json_file import JsonFileSender

    return JsonFileSender(target.path)
