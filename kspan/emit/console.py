"""Exports traces to a terminal, as trees."""

from collections.abc import Sequence

from rich.console import Console

from kspan.emit.export_queue import ExportResult, TraceSpans
from kspan.paths import why_unusable
from kspan.terminal.trace_tree import render_trace


class _Console(Console):
    def on_broken_pipe(self) -> None:
        try:
            super().on_broken_pipe()  # so that nothing printed later raises again
        except SystemExit:
            # The reader (head, less) has seen enough. As in any other command, this is not an error.
            raise SystemExit(0) from None


class ConsoleExporter:
    """Prints traces as trees on standard output, or on ``console``."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or _Console(highlight=False)

    def export(self, traces: Sequence[TraceSpans]) -> ExportResult:
        """Implements ``TraceExporter``.

        If the reader of a pipe is gone, the program ends (SystemExit with code 0), and no trace is marked.
        """
        options = self._console.options
        try:
            for trace, spans in traces:
                tree = render_trace(trace, spans, width=options.max_width, ascii_only=options.ascii_only)
                self._console.print(tree)
                self._console.print()
            self._console.file.flush()
        except OSError as error:
            return ExportResult(reason=why_unusable(error))
        return ExportResult(accepted=[trace.trace_id for trace, _ in traces])

    def close(self) -> None:
        """Do nothing: the terminal is not ours."""
