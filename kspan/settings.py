"""What can be set, each with its unit and its reason."""

import msgspec

from kspan.times import SECOND


class FoldSettings(msgspec.Struct, frozen=True):
    """How the fold waits. Times in nanoseconds.

    The settings are part of the fold's input: the same journal gives the same traces under the same settings.
    """

    hold: int = 5 * SECOND
    """An occurrence waits this long before its cause is chosen. Object deltas of one etcd arrive within 0.3 s of each
    other (measured on the recordings), Events within some seconds on a cluster that is not overloaded."""

    settle: int = 10 * SECOND
    """A trace in which nothing happened for this long, and in which nothing is on its way, is closed."""

    settle_after_warning: int = 60 * SECOND
    """The same for a trace that holds a Warning: a probe fails again after periodSeconds x failureThreshold (10 s x 3
    by default), a back-off doubles from 10 s; ten quiet seconds after a Warning say nothing."""

    max_trace_age: int = 900 * SECOND
    """A trace is closed at this age at the latest, marked incomplete if something in it is still on its way."""

    context_annotations: tuple[str, ...] = ("tracing.k8s.io/traceparent",)
    """Annotations that carry a W3C traceparent (KEP-5915 proposes the first)."""
