"""What ``--export`` means: the targets, and the ways out that they open. Light: the SDK is imported when it is used."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kspan.errors import ExportError, SettingsError

if TYPE_CHECKING:
    from rich.console import Console

    from kspan.emit.emitter import TraceSink
    from kspan.emit.otel_spans import ClusterIdentity, ReasonedExporter


class TargetKind(StrEnum):
    """Where traces can go."""

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
        """The name in the emissions table: ``console``, ``otlp``, ``file:/abs/path``."""
        return str(self.kind) if self.path is None else f"{self.kind}:{self.path}"


def parse_target(text: str) -> ExportTarget:
    """``console``, ``none``, ``otlp`` or ``file:PATH`` (``~`` is the home directory). ``SettingsError`` otherwise."""
    kind, colon, path = text.partition(":")
    if kind == TargetKind.FILE and path:
        try:
            return ExportTarget(TargetKind.FILE, Path(path).expanduser().absolute())
        except RuntimeError as error:
            raise SettingsError(f"--export {text!r}: {error}") from error
    if kind in (TargetKind.NONE, TargetKind.CONSOLE, TargetKind.OTLP) and not colon:
        return ExportTarget(TargetKind(kind))
    raise SettingsError(f"cannot export to {text!r}: use console, none, otlp or file:PATH")


def open_exporter(target: ExportTarget) -> "ReasonedExporter":
    """The exporter of an ``otlp`` or ``file`` target (others have none: ``SettingsError``).

    ``ExportError`` if the file's directory does not exist, or what would be written to may not be; ``SettingsError``
    if the environment's OTLP settings cannot be used. Connections and files are opened at the first export.
    """
    if target.kind is TargetKind.OTLP:
        from kspan.emit.otlp import open_otlp

        return open_otlp()
    if target.path is None:
        raise SettingsError(f"{target.name} has no exporter")
    if problem := _why_not(target.path):
        raise ExportError(f"cannot export to {target.path}: {problem}")
    from kspan.emit.otlp_json_file import JsonFileExporter

    return JsonFileExporter(target.path)


def _why_not(path: Path) -> str:
    """Why a file cannot be written to, as far as that can be told before it is; empty where it can."""
    try:
        if not path.parent.is_dir():
            return f"there is no directory {path.parent}"
        if path.is_dir():
            return "it is a directory"
        written = path if path.exists() else path.parent
    except OSError as error:
        return error.strerror or str(error)
    return "" if os.access(written, os.W_OK, effective_ids=True) else f"no permission to write to {written}"


def open_sink(
    target: ExportTarget, cluster: "ClusterIdentity", *, console: "Console | None" = None
) -> "TraceSink | None":
    """The way out to ``target``; None where nothing is to go out. Errors as of ``open_exporter``.

    ``console`` is the terminal that a console target writes on (standard output otherwise).
    """
    if target.kind is TargetKind.NONE:
        return None
    if target.kind is TargetKind.CONSOLE:
        from kspan.emit.console import ConsoleSink

        return ConsoleSink(console)
    from kspan.emit.span_sink import SpanSink

    return SpanSink(open_exporter(target), cluster)
