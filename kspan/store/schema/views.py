"""The views beside the tables: what they tell, and the meaning of each column.

Their SQL is in the migrations; a test holds the columns together.
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
    ("payload_json(payload)", "The JSON of a payload of the journal, to be taken apart with -> 'key' and ->> 'key'"),
)
"""Functions beside those of the database: PostgreSQL has them, on SQLite ``kspan sql`` brings them along."""

VIEWS: Final = (
    View(
        "occurrences",
        "Spans for people: readable times, and what one looks for in the attributes as columns. "
        "A row for each span that is in a trace: one that waits for its cause, for some seconds, is not",
        (
            _CLUSTER,
            _TRACE,
            ("span_id", "TEXT", "span id, 16 hexadecimal digits"),
            ("parent_span_id", "TEXT", "span id of the cause; empty for a root"),
            ("at", "TEXT", f"when it began {_AT}"),
            ("seconds", "NUMERIC", "how long it lasted, with all that it led to (s)"),
            ("start_time", "BIGINT", "when it began (Unix ns UTC): to filter and to sort by"),
            ("end_time", "BIGINT", "when it ended (Unix ns UTC)"),
            ("name", "TEXT", "Kind.Reason"),
            ("kind", "TEXT", "kind of the object that it happened to"),
            ("namespace", "TEXT", "namespace of that object; empty where it has none"),
            ("object", "TEXT", "name of that object"),
            ("uid", "TEXT", "uid of that object"),
            ("reason", "TEXT", "what happened: an Event's reason, Create, Update, Delete, a condition"),
            ("actor", "TEXT", "the component or the tool that did it: kubelet, deployment-controller, kubectl"),
            ("manager", "TEXT", "field manager that wrote a change; empty for what is no change, or not told"),
            ("change", "TEXT", "what changed in the spec, readable; empty where nothing did, or it is not known"),
            ("node", "TEXT", "node of the object; empty where it has none"),
            ("container", "TEXT", "container that an Event speaks of; empty where it speaks of none"),
            ("times", "BIGINT", "how often it happened: an Event that repeats under one cause is one row"),
            ("error", "BOOLEAN", "whether it is an error: a Warning, a failed condition, a change that failed"),
            ("message", "TEXT", "message"),
            ("rule", "TEXT", "rule that drew the edge to the cause"),
            ("confidence", "DOUBLE PRECISION", "confidence in that edge, 0 to 1"),
            ("state", "TEXT", "open or closed: manager, change, node and container are known once closed"),
        ),
    ),
    View(
        "ancestry",
        "What led to what: a row for each span and each of its ancestors, itself included. "
        "Quick where span or trace_id is given; to go down from a cause, give its trace_id too",
        (
            _CLUSTER,
            _TRACE,
            ("span", "TEXT", "span id"),
            ("ancestor", "TEXT", "span id of the span itself, its cause, the cause of that ... up to the root"),
            ("depth", "BIGINT", "steps between the two: 0 for the span itself, 1 for its cause"),
        ),
    ),
    View(
        "rollouts",
        "A row for each change of a Deployment's, a StatefulSet's or a DaemonSet's Pod template, or its creation. "
        "Until its trace is closed it is not known what changed: a mere scaling is here, too, while it runs",
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
            ("changed_from", "TEXT", "value before: of the image if it changed, else of what changed first"),
            ("changed_to", "TEXT", "value after; both are empty for a creation, or where it is not known"),
            ("change", "TEXT", "all that changed, readable"),
            ("who", "TEXT", "the tool or the controller at the root of the trace: kubectl, helm, argocd ..."),
            ("manager", "TEXT", "field manager that wrote this very change"),
            ("ready_seconds", "NUMERIC", "until the last of its new Pods was first ready (s); NULL if none was"),
            ("seconds", "NUMERIC", "until all that it led to had come to an end (s); NULL while it runs"),
            ("outcome", "TEXT", "running, done, failed, unfinished (closed by age), unknown (not seen ready)"),
            ("message", "TEXT", "why it failed"),
            ("restarts", "BIGINT", "restarts of its containers in the trace"),
        ),
    ),
    View(
        "failures",
        "A row for each thing that went wrong (a Warning, a failed condition), with what is at the root of it",
        (
            _CLUSTER,
            _TRACE,
            ("span_id", "TEXT", "span id"),
            ("at", "TEXT", f"when it first happened {_AT}"),
            ("start_time", "BIGINT", "when it first happened (Unix ns UTC)"),
            ("kind", "TEXT", "kind of the object that it happened to"),
            ("namespace", "TEXT", "namespace of that object; empty where it has none"),
            ("object", "TEXT", "name of that object"),
            ("node", "TEXT", "node of the object; empty where it has none"),
            ("reason", "TEXT", "what went wrong"),
            ("times", "BIGINT", "how often"),
            ("actor", "TEXT", "the component that says so"),
            ("message", "TEXT", "message"),
            ("cause", "TEXT", "Kind.Reason of the root; empty while it is not known"),
            ("cause_object", "TEXT", "name of the root's object"),
            ("cause_span", "TEXT", "span id of the root"),
            ("who", "TEXT", "the tool or the component that did what is at the root"),
            ("change", "TEXT", "what changed there, readable"),
            ("after_seconds", "NUMERIC", "time between the root and this (s); NULL while the root is not known"),
            ("fatal", "BOOLEAN", "whether the whole trace failed in the end"),
        ),
    ),
    View(
        "image_pulls",
        "A row for each image that a kubelet pulled; one that was there already was not pulled",
        (
            _CLUSTER,
            _TRACE,
            ("span_id", "TEXT", "span id"),
            ("at", "TEXT", f"when it began {_AT}"),
            ("start_time", "BIGINT", "when it began (Unix ns UTC)"),
            ("namespace", "TEXT", "namespace of the Pod"),
            ("pod", "TEXT", "name of the Pod"),
            ("container", "TEXT", "container that the image is for"),
            ("node", "TEXT", "node that pulled it"),
            ("registry", "TEXT", "host that it came from: docker.io where the image names none"),
            ("image", "TEXT", "the image, as the Pod names it"),
            ("seconds", "NUMERIC", "until it was there, or failed (s)"),
            ("times", "BIGINT", "how often it was tried"),
        ),
    ),
)
