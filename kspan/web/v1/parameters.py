"""The parameters of ``/v1``: how they are read, and how the document describes them."""

import re
import time
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

import msgspec
from starlette.datastructures import QueryParams

from kspan.errors import QueryError
from kspan.model import Outcome
from kspan.query.objects.names import KindName, parse_kind
from kspan.query.time_args import parse_moment
from kspan.query.traces import Status
from kspan.times import LATEST, parse_duration
from kspan.web.v1.problems import BadRequestError

LONGEST: Final = 512
"""Characters of a value. Names in Kubernetes have at most 253."""


class Parameter(msgspec.Struct, frozen=True):
    """A parameter.

    Args:
        name: its name.
        about: what it does.
        schema: the JSON schema of its values.
        example: a value.
        in_path: true if it is a part of the path.
    """

    name: str
    about: str
    schema: Mapping[str, Any]
    example: Any
    in_path: bool = False


def _text(name: str, about: str, example: str, **more: Any) -> Parameter:
    return Parameter(name, about, {"type": "string", "maxLength": LONGEST, **more}, example)


_TIME_ABOUT: Final = "RFC 3339, such as 2026-11-22T10:25:05Z, or an age such as 15m"

SINCE: Final = _text("since", f"Only what happened at this time or later ({_TIME_ABOUT}).", "2026-11-22T10:25:00Z")
UNTIL: Final = _text("until", f"Only what happened before this time ({_TIME_ABOUT}).", "2026-11-22T10:26:00Z")
AT: Final = _text("at", f"Answer as of this time ({_TIME_ABOUT}).", "2026-11-22T10:25:20Z")
FROM: Final = _text("from", f"Compare the version of this time ({_TIME_ABOUT}) instead of the one before.", "1h")
TO: Final = _text("to", f"Compare with the version of this time ({_TIME_ABOUT}) instead of the newest.", "5m")
KIND: Final = _text("kind", "Only objects of this kind, written as for kubectl.", "deploy")
NAMESPACE: Final = _text("namespace", "Only objects in this namespace.", "rolling-update")
NAME: Final = _text("name", "Only objects with this name.", "web")
PREFIX: Final = _text("name", "Only objects whose name begins like this.", "web")
NODE: Final = _text("node", "Only this Node and the Pods on it.", "node-a")
CLUSTER: Final = _text(
    "cluster",
    "The cluster, by its name or uid, if the history has several (see /v1/clusters).",
    "a36e62c6-4d4c-4ed2-b8cf-37e9d0a10f4d",
)
UID: Final = _text("uid", "uid of the object, if several had this name.", "cd294c1f-2307-4086-8f34-caf845b66626")
ACTOR: Final = _text("actor", "Only traces that this component started.", "kubectl")
STATUS: Final = _text("status", "Only traces with this status.", "error", enum=list(Status))
OUTCOME: Final = _text("outcome", "Only traces with this outcome.", "failing", enum=list(Outcome))
TEXT: Final = _text("text", "Only traces whose root has this text in its name, reason, change or message.", "image")
MIN_DURATION: Final = _text("min_duration", "Only traces that lasted at least this long.", "30s")
CURSOR: Final = _text("cursor", "Continue a list: the `next` of its last page.", "")
ERRORS: Final = Parameter("errors", "Only errors.", {"type": "boolean"}, True)
DELETED: Final = Parameter("deleted", "Also objects that are gone.", {"type": "boolean"}, True)
SHOW_STATUS: Final = Parameter("status", "Compare the status, too.", {"type": "boolean"}, False)
ROWS: Final = Parameter("rows", "Add whole spans, from which `kspan why` prints its text.", {"type": "boolean"}, False)
MANIFESTS: Final = Parameter("manifests", "Add what was compared.", {"type": "boolean"}, False)
MANAGED_FIELDS: Final = Parameter("managed_fields", "Include metadata.managedFields.", {"type": "boolean"}, False)

KIND_OF: Final = Parameter("kind", "Kind of the object, written as for kubectl.", {"type": "string"}, "deploy", True)
NAMESPACE_OF: Final = Parameter("namespace", "Its namespace.", {"type": "string"}, "rolling-update", True)
NAME_OF: Final = Parameter("name", "Its name.", {"type": "string"}, "web", True)
TRACE_ID: Final = Parameter(
    "trace_id", "Trace id, or its first digits.", {"type": "string"}, "36d849d18bf8df72e8a7af7e3fa1e407", True
)
UID_OF: Final = Parameter("uid", "uid of the object.", {"type": "string"}, UID.example, True)


def limit(most: int, default: int = 100) -> Parameter:
    """Return the parameter that limits a list."""
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return Parameter("limit", "Maximum number of items.", schema, 10)


class Given:
    """The parameters of a request. Its methods raise BadRequestError, or QueryError for values that nothing has.

    Args:
        path: the parts of the path.
        query: the query string.
        known: the parameters of the endpoint.
    """

    def __init__(self, path: Mapping[str, str], query: QueryParams, known: Sequence[Parameter]) -> None:
        self._path = path
        self._query = query
        self._known = {each.name: each for each in known}
        names = [each.name for each in known if not each.in_path]
        for name, _ in query.multi_items():
            if name not in names:
                near = get_close_matches(name, names, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names) or 'none'}"
                raise BadRequestError(f"unknown parameter {name[:64]!r}: {hint}")
            if len(query.getlist(name)) > 1:
                raise BadRequestError(f"{name}: given more than once")
        for name, text in query.items():
            if len(text) > LONGEST and name != CURSOR.name:
                raise BadRequestError(f"{name}: longer than {LONGEST} characters")
            choices = self._known[name].schema.get("enum")
            if choices and text and text not in choices:
                raise BadRequestError(f"{name}: unknown value {text[:64]!r}: use {', '.join(choices)}")

    def text(self, name: str) -> str:
        """Return a value; empty if it is not given."""
        return self._path.get(name) or self._query.get(name, "")

    def kind(self) -> KindName | None:
        """Return the kind; None if it is not given."""
        text = self.text("kind").strip()
        return parse_kind(text) if text else None

    def moment(self, name: str) -> int:
        """Return a time (Unix ns); 0 if it is not given."""
        text = self.text(name)
        try:
            return parse_moment(text, time.time_ns(), name) if text else 0
        except QueryError as error:
            raise BadRequestError(str(error)) from None

    def duration(self, name: str) -> int:
        """Return a duration (ns); 0 if it is not given."""
        text = self.text(name)
        try:
            return min(parse_duration(text), LATEST) if text else 0
        except ValueError:
            raise BadRequestError(f"{name}: invalid duration {text[:64]!r}: use 500ms, 90s or 1h30m") from None

    def flag(self, name: str) -> bool:
        """Return a boolean; False if it is not given."""
        text = self.text(name)
        if text not in ("", "true", "false"):
            raise BadRequestError(f"{name}: invalid value {text[:64]!r}: use true or false")
        return text == "true"

    def limit(self) -> int:
        """Return the maximum number of items."""
        schema, text = self._known["limit"].schema, self.text("limit")
        if not text:
            return int(schema["default"])
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not 1 <= int(text) <= schema["maximum"]:
            raise BadRequestError(f"limit: invalid number {text[:64]!r}: use 1 to {schema['maximum']}")
        return int(text)
