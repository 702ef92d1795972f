"""``--export``: the targets, and the exporters for them. Does not import the OpenTelemetry SDK until one is opened."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kspan.errors import ExportError, SettingsError

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
    """Parse ``console``, ``none``, ``otlp`` or ``file:PATH`` (``~`` is the home directory). Raises SettingsError."""
    kind, colon, path = text.partition(":")
    if kind == TargetKind.FILE and path:
        try:
            return ExportTarget(TargetKind.FILE, Path(path).expanduser().absolute())
        except RuntimeError as error:
            raise SettingsError(f"--export {text!r}: {error}") from error
    if kind in (TargetKind.NONE, TargetKind.CONSOLE, TargetKind.OTLP) and not colon:
        return ExportTarget(TargetKind(kind))
    raise SettingsError(f"invalid export target {text!r}: use console, none, otlp or file:PATH")


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
    if problem := _why_not_writable(target.path):
        raise ExportError(f"cannot export to {target.path}: {problem}")
    from kspan.emit.otlp_json_file import JsonFileSender

    return JsonFileSender(target.path)


def _why_not_writable(path: Path) -> str:
    """Why a file cannot be written, as far as this is known before writing; empty if it can."""
    try:
        if not path.parent.is_dir():
            return f"the directory {path.parent} does not exist"
        if path.is_dir():
            return "it is a directory"
        written = path if path.exists() else path.parent
    except OSError as error:
        return error.strerror or str(error)
    return "" if os.access(written, os.W_OK, effective_ids=True) else f"no permission to write to {written}"
