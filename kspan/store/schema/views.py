"""Descriptions of the SQL views and their columns.

Their SQL is in the migrations. A test compares the columns.
"""

from typing import Final

import msgspec

_CLUSTER: Final = ("cluster", "TEXT", "uid of the cluster")
_TRACE: Final = ("trace_id", "TEXT", "trace id, 32 hexadecimal digits")
_AT: Final = "(RFC 3339, UTC, milliseconds)"


class View(msgspec.Struct, frozen=True):
    """``columns`` are (name, type, comment)."""

    name: str
    comment: str
    columns: tuple[tuple[str, str, str], ...]


FUNCTIONS: Final = (
    ("utc(ns)", f"A time (Unix ns) as text {_AT}; NULL for 0"),
    ("payload_json(payload)", "A payload of the journal as JSON, for -> 'key' and ->> 'key'"),
)
"""Additional functions. On PostgreSQL they are in the database, on SQLite ``kspan sql`` provides them."""

VIEWS: Final = (
    View(
        "clusters",
        "A row for each cluster in the database",
        (
            _CLUSTER,
            ("name", "TEXT", "its newest --cluster-name; empty if it was given none. Several can have the same"),
            ("first_at", "TEXT", f"time of its oldest record in the journal {_AT}"),
            ("last_at", "TEXT", f"time of its newest record in the journal {_AT}"),
            ("first_time", "BIGINT", "time of its oldest record in the journal (Unix ns UTC)"),
            ("last_time", "BIGINT", "time of its newest record in the journal (Unix ns UTC)"),
        ),
    ),
    View(
        "occurrences",
        "Spans with readable times, and with the most useful attributes as columns. "
        "An occurrence appears a few seconds after it happened, when its cause has been chosen",
        (
            _CLUSTER,
            _TRACE,
            ("span_id", "TEXT", "span id, 16 hexadecimal digits"),
            ("parent_span_id", "TEXT", "span id of the cause; empty for a root"),
            ("at", "TEXT", f"when it began {_AT}"),
            ("seconds", "NUMERIC", "duration, without its effects (s); 0 for a moment"),
            ("start_time", "BIGINT", "when it began (Unix ns UTC); use this to filter and sort"),
            ("end_time", "BIGINT", "when it ended (Unix ns UTC)"),
            ("name", "TEXT", "Kind.Reason"),
            ("kind", "TEXT", "kind of the object it happened to"),
            ("namespace", "TEXT", "namespace of that object; empty if it has none"),
            ("object", "TEXT", "name of that object"),
            ("uid", "TEXT", "uid of that object"),
            ("reason", "TEXT", "what happened: reason of an Event, Create, Update, Delete, or a condition"),
            ("actor", "TEXT", "component or tool that acted: kubelet, deployment-controller, kubectl"),
            ("manager", "TEXT", "field manager of a change; empty if unknown or not a change"),
            ("change", "TEXT", "what changed, readable; empty if unknown or not a change"),
            ("node", "TEXT", "node of the object; empty if it has none"),
            ("container", "TEXT", "container that the Event is about; empty if none"),
            ("times", "BIGINT", "number of times; repeats with the same cause are one row"),
            ("error", "BOOLEAN", "true for a Warning, a failed condition or a failed change"),
            ("message", "TEXT", "message"),
            ("rule", "TEXT", "rule that chose the cause"),
            ("confidence", "DOUBLE PRECISION", "confidence in that choice, 0 to 1"),
            ("state", "TEXT", "open or closed; manager, change, node and container are filled in when closed"),
        ),
    ),
    View(
        "ancestry",
        "Causes: a row for each span and each of its ancestors, including itself. "
        "Filter by span or trace_id; to list the effects of a span, filter by ancestor and trace_id",
        (
            _CLUSTER,
            _TRACE,
            ("span", "TEXT", "span id"),
            ("ancestor", "TEXT", "span id of the span itself, of its cause, and so on up to the root"),
            ("depth", "BIGINT", "steps from span to ancestor: 0 for itself, 1 for its cause"),
        ),
    ),
    View(
        "rollouts",
        "A row for each creation of a Deployment, StatefulSet or DaemonSet, each change of its Pod template, and each "
        "resume, which rolls out what was changed while it was paused. "
        "While the trace is open, other changes (scaling) are included too, because it is not known yet what changed",
        (
            _CLUSTER,
            _TRACE,
            ("span_id", "TEXT", "span id of the change"),
            ("at", "TEXT", f"when it began {_AT}"),
            ("start_time", "BIGINT", "when it began (Unix ns UTC)"),
            ("kind", "TEXT", "Deployment, StatefulSet or DaemonSet"),
            ("namespace", "TEXT", "namespace"),
            ("name", "TEXT", "name"),
            ("uid", "TEXT", "uid"),
            ("action", "TEXT", "Create or Update"),
            ("changed_from", "TEXT", "value before the change: the image if it changed, else the first change"),
            ("changed_to", "TEXT", "value after the change; both are empty if unknown or for a creation"),
            ("change", "TEXT", "all changes, readable"),
            ("who", "TEXT", "tool or controller at the root of the trace: kubectl, helm, argocd ..."),
            ("manager", "TEXT", "field manager of this change"),
            ("ready_seconds", "NUMERIC", "time until the last new Pod was first Ready (s); NULL if none was"),
            ("seconds", "NUMERIC", "time until it was complete, or given up (s); NULL while running"),
            ("outcome", "TEXT", "that of its trace (traces.outcome); running while it is open and nothing fails"),
            ("message", "TEXT", "why it has this outcome: what failed, or what superseded it"),
            (
                "restarts",
                "BIGINT",
                "restarts of containers of its Pods in this trace, as the status of the Pods shows them",
            ),
        ),
    ),
    View(
        "failures",
        "A row for each failure (a Warning or failed condition), with its root cause",
        (
            _CLUSTER,
            _TRACE,
            ("span_id", "TEXT", "span id"),
            ("at", "TEXT", f"when it first happened {_AT}"),
            ("start_time", "BIGINT", "when it first happened (Unix ns UTC)"),
            ("kind", "TEXT", "kind of the object it happened to"),
            ("namespace", "TEXT", "namespace of that object; empty if it has none"),
            ("object", "TEXT", "name of that object"),
            ("node", "TEXT", "node of the object; empty if it has none"),
            ("reason", "TEXT", "what failed"),
            ("times", "BIGINT", "number of times"),
            ("actor", "TEXT", "component that reported it"),
            ("message", "TEXT", "message"),
            ("cause", "TEXT", "Kind.Reason of the root cause; empty while unknown"),
            ("cause_object", "TEXT", "name of its object"),
            ("cause_span", "TEXT", "span id of the root cause"),
            ("who", "TEXT", "tool or component that caused it"),
            ("change", "TEXT", "what the root cause changed, readable"),
            ("after_seconds", "NUMERIC", "time since the root cause (s); NULL while unknown"),
            ("fatal", "BOOLEAN", "true if the trace ended in failure"),
            ("container", "TEXT", "container that failed; empty if none"),
            ("exit_code", "BIGINT", "exit code of a container that ended; NULL for other failures"),
            ("restart", "BIGINT", "how often that container had been restarted; NULL for other failures"),
        ),
    ),
    View(
        "terminations",
        "A row for each end of a container that was seen, with its cause. "
        "While its trace is open, the columns from node to missed are empty",
        (
            _CLUSTER,
            _TRACE,
            ("span_id", "TEXT", "span id"),
            ("at", "TEXT", f"when it ended {_AT}"),
            ("start_time", "BIGINT", "when it ended (Unix ns UTC)"),
            ("namespace", "TEXT", "namespace of the Pod"),
            ("pod", "TEXT", "name of the Pod"),
            ("uid", "TEXT", "uid of the Pod"),
            ("node", "TEXT", "node of the Pod"),
            ("container", "TEXT", "name of the container"),
            ("restart", "BIGINT", "how often the container had been restarted"),
            ("reason", "TEXT", "OOMKilled, Error, Completed ..."),
            ("exit_code", "BIGINT", "exit code"),
            ("signal", "BIGINT", "signal that ended it; NULL if none is known"),
            ("message", "TEXT", "end of its termination message"),
            ("ran_seconds", "NUMERIC", "how long it ran (s); NULL if unknown"),
            ("missed", "BIGINT", "earlier ends of this container that were not seen"),
            ("error", "BOOLEAN", "true if it failed: false for exit code 0 and for a Pod that was deleted"),
            (
                "cause",
                "TEXT",
                "Kind.Reason of the cause: Pod.Killing ...; empty if it is in an earlier trace",
            ),
            ("cause_message", "TEXT", "message of the cause"),
        ),
    ),
    View(
        "image_pulls",
        "A row for each image pull by a kubelet, without images already present on the node",
        (
            _CLUSTER,
            _TRACE,
            ("span_id", "TEXT", "span id"),
            ("at", "TEXT", f"when it began {_AT}"),
            ("start_time", "BIGINT", "when it began (Unix ns UTC)"),
            ("namespace", "TEXT", "namespace of the Pod"),
            ("pod", "TEXT", "name of the Pod"),
            ("container", "TEXT", "container that uses the image"),
            ("node", "TEXT", "node that pulled the image"),
            ("registry", "TEXT", "registry host; docker.io if the image names none"),
            ("image", "TEXT", "image, as named in the Pod"),
            ("seconds", "NUMERIC", "duration of the pull (s)"),
            ("times", "BIGINT", "number of attempts"),
        ),
    ),
)
