"""Controls a server in another process: the methods of ``ApiServer`` as JSON over HTTP, under ``/_test``."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.apiserver import faults as f
from tests.apiserver.http import Request

if TYPE_CHECKING:
    from tests.apiserver.server import ApiServer

PREFIX = "/_test/"

Json = dict[str, Any]


def answer(server: "ApiServer", request: Request) -> tuple[int, bytes]:
    """Return (HTTP status, body). The arguments are in the body of a POST; ``stats`` is a GET."""
    action = _ACTIONS.get(request.path.removeprefix(PREFIX))
    if action is None:
        return 404, b'{"error":"no such action"}\n'
    try:
        result = action(server, request.json() if request.body else {})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        return 400, json.dumps({"error": str(error)}).encode() + b"\n"
    return 200, json.dumps(result).encode() + b"\n"


def _stats(server: "ApiServer", _: Json) -> Json:
    counts: dict[str, dict[str, int]] = {}
    for (resource, verb), count in server.request_counts().items():
        counts.setdefault(resource, {})[verb] = count
    return {
        "requests": counts,
        "open_watches": server.open_watches(),
        "watched": sorted(server.watched()),
        "connections": server.connections_accepted,
        "replays": [{"done": replay.done, "total": replay.total} for replay in server.replays],
        "failures": [repr(failure) for failure in server.failures],
    }


def _advance(server: "ApiServer", body: Json) -> Json:
    return {"delivered": sum(replay.advance(body.get("count")) for replay in server.replays)}


def _begin(server: "ApiServer", body: Json) -> Json:
    waited = tuple(body.get("wait_for", ()))
    for replay in server.replays:
        replay.start(lambda: all(server.open_watches(resource) for resource in waited))
    return {}


def _compact(server: "ApiServer", body: Json) -> Json:
    server.compact(body.get("version"), body.get("resource"))
    return {}


def _fault(server: "ApiServer", body: Json) -> Json:
    kind = getattr(f, body.pop("kind"))
    where = {key: body.pop(key) for key in ("resource", "verb", "times") if key in body}
    server.faults.add(kind(**body), **where)
    return {}


def _clear(server: "ApiServer", _: Json) -> Json:
    server.faults.clear()
    return {}


def _tokens(server: "ApiServer", body: Json) -> Json:
    server.tokens = set(body["tokens"])
    return {}


def _put(server: "ApiServer", body: Json) -> Json:
    return {"resourceVersion": server.put(body["resource"], body["object"])}


def _delete(server: "ApiServer", body: Json) -> Json:
    return {"resourceVersion": server.delete(body["resource"], body.get("namespace", ""), body["name"])}


_ACTIONS: dict[str, Callable[["ApiServer", Json], Json]] = {
    "stats": _stats,
    "advance": _advance,
    "begin": _begin,
    "compact": _compact,
    "fault": _fault,
    "clear": _clear,
    "tokens": _tokens,
    "put": _put,
    "delete": _delete,
}
