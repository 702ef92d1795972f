"""The way out onto a terminal."""

from collections.abc import Sequence

from rich.console import Console

from kspan.emit.emitter import SinkResult, TraceSpans
from kspan.terminal.trace_tree import render_trace


class _Console(Console):
    def on_broken_pipe(self) -> None:
        try:
            super().on_broken_pipe()  # nothing that is printed later complains again
        except SystemExit:
            # The reader (head, less) has seen enough, as of any other command: 1 would be a finding.
            raise SystemExit(0) from None


class ConsoleSink:
    """Prints traces as trees, on standard output or the ``console`` given."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or _Console(highlight=False)

    def send(self, traces: Sequence[TraceSpans]) -> SinkResult:
        """As the ``TraceSink`` protocol says. ``OSError`` where the output cannot be written;
        when the reader of a pipe went away, the program ends (``SystemExit``, 0), and nothing is marked."""
        options = self._console.options
        for trace, spans in traces:
            tree = render_trace(trace, spans, width=options.max_width, ascii_only=options.ascii_only)
            self._console.print(tree)
            self._console.print()
        self._console.file.flush()
        return SinkResult(taken=[trace.trace_id for trace, _ in traces])

    def close(self) -> None:
        """The terminal stays open: it is not ours."""
