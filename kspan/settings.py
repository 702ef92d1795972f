"""Settings of the fold, each with its unit and its reason, and what else determines its output."""

from typing import Final

import msgspec

from kspan.times import SECOND

MAX_TRACE_SPANS: Final = 5_000
"""Spans of a trace above which its export is summarized: about 4 MB, and what user interfaces still show."""


class FoldSettings(msgspec.Struct, frozen=True):
    """How long the fold waits. Times in nanoseconds.

    The settings are part of the fold's input: the same journal and the same settings give the same traces. They are
    stored as JSON with the projection (table ``fold_history``).
    """

    hold: int = 5 * SECOND
    """Wait this long before choosing the cause of an occurrence. Object changes from one etcd arrive within 0.3 s of
    each other (measured on the recordings), Events within a few seconds on a cluster that is not overloaded."""

    settle: int = 10 * SECOND
    """Close a trace when nothing has happened in it for this long and nothing in it is in progress."""

    settle_after_warning: int = 60 * SECOND
    """The same for a trace with a Warning. A probe fails again after periodSeconds x failureThreshold (10 s x 3 by
    default) and back-offs double from 10 s, so ten quiet seconds after a Warning do not mean that it is over."""

    max_trace_age: int = 900 * SECOND
    """Close a trace at this age, and mark it incomplete if something in it is still in progress."""

    report_failure_after: int = 60 * SECOND
    """Close a trace at most this long after the first sign of a failure that waiting does not fix. The rules have a
    shorter time for most of them. 0: only after ``max_trace_age``."""

    report_again_after: tuple[int, ...] = (60 * SECOND, 900 * SECOND, 3_600 * SECOND, 21_600 * SECOND)
    """While a failure lasts, close the first, second … trace that continues the one in which it began this long after
    its start, and all others like the last."""

    context_annotations: tuple[str, ...] = ("tracing.k8s.io/traceparent",)
    """Annotations that carry a W3C traceparent (KEP-5915 proposes the first)."""

    span_labels: tuple[str, ...] = ()
    """Labels of Pods that the spans about them carry. They are stored with the spans, so that a trace is the same
    whenever it is sent."""


class FoldInputs(msgspec.Struct, frozen=True):
    """Everything that determines the projection besides the journal.

    Args:
        fold_version: ``kspan.graph.state.version.FOLD_VERSION`` of the program.
        rules: digest of the rules (``Rules.digest``).
        settings: settings of the fold.
    """

    fold_version: int
    rules: str
    settings: FoldSettings
