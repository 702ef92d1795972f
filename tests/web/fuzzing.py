"""Requests that nobody should send, made from the routes of an application and the words in its source."""

import ast
import string
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import quote

import msgspec
from sqlalchemy import select
from starlette.routing import BaseRoute, Mount, Route

import kspan.web
from kspan.store import Store
from kspan.store.schema import tables as schema
from kspan.times import format_time
from kspan.web.guard import LONGEST_TARGET

MARK: Final = "<kspan-fuzz>"
"""A tag in names and values. It must be in no page as it is."""

INJECTED: Final = "x-kspan-fuzz"
"""A header in names and values. It must be in no answer."""

PACKAGE: Final = Path(kspan.web.__path__[0])

_WORD: Final = frozenset(string.ascii_letters + string.digits + "._-")
_LONGEST_WORD: Final = 32

_ODD: Final = (
    "",
    " ",
    "0",
    "-1",
    "1",
    "1.5",
    "1e400",
    "nan",
    "inf",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "9" * 400,
    "\u0661\u0662",
    "\u00b2",
    "true",
    "null",
    "[]",
    "{}",
    '{"a":1}',
    '{"a":"\\ud800"}',
    '{"error":"true"}',
    "[" * 2_000,
    "'",
    '"',
    "' OR 1=1 --",
    "%",
    "%%%_\\",
    "\\",
    "\0",
    "a\0b",
    "\ud800",
    "\x1b[31m",
    "\u202egnp\u2066",
    "\U0001f600",
    f"x\r\n{INJECTED}: 1",
    MARK,
    f'"><script>{MARK}</script>',
    "{{ 7 * 7 }}",
    "../../etc/passwd",
    "..%2f",
    "a/b",
    "1h",
    "10s",
    "-5m",
    "1d12h",
    "now",
    "now-1h",
    "99999999999h",
    "2026-11-22",
    "2026-11-22T10:00:00Z",
    "2026-11-22T10:00:00+99:99",
    "0000-00-00T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999999-14:00",
    "2026-11-22T25:61:61Z",
    "24:00",
    'W/"x"',
    "x" * 3_000,
    "ä" * 1_000,
)

_JAEGER: Final = (
    *("service", "operation", "start", "end", "minDuration", "maxDuration", "tags", "limit", "traceID", "lookback"),
    *("endTs", "query.serviceName", "query.service_name", "query.operationName", "query.startTimeMin"),
    *("query.startTimeMax", "query.durationMin", "query.durationMax", "query.attributes", "query.searchDepth"),
)

_NEEDED: Final = {
    "/api/operations": "service=kubelet",
    "/api/dependencies": "endTs=1795343200000",
    "/api/v3/traces": "query.startTimeMin=2026-11-22T10:00:00Z&query.startTimeMax=2026-11-22T11:00:00Z",
    "/api/v3/trace-summaries": "query.startTimeMin=2026-11-22T10:00:00Z&query.startTimeMax=2026-11-22T11:00:00Z",
}
"""Parameters without which a route does nothing. They are given half of the time, before the others."""

_HEADERS: Final = ("Accept", "Accept-Encoding", "Accept-Language", "Cookie", "If-None-Match", "Last-Event-ID", "Range")


class Request(msgspec.Struct, frozen=True):
    """A request. ``target`` is the path and the query, in ASCII."""

    method: str
    target: str
    headers: Mapping[str, str]


def routes_of(app: Any) -> list[Route]:
    """Return all routes of an ASGI application, below the layers around it."""
    while not hasattr(app, "routes"):
        app = app._app if hasattr(app, "_app") else app.app
    return list(_flat(app.routes, ""))


def _flat(routes: Iterable[BaseRoute], prefix: str) -> Iterable[Route]:
    for route in routes:
        if isinstance(route, Route):
            yield Route(prefix + route.path, route.endpoint)
        elif isinstance(route, Mount):
            below = list(_flat(route.routes, prefix + route.path))
            yield from below or [Route(f"{prefix}{route.path}/{{path:path}}", route.app)]


def values_in(store: Store) -> list[str]:
    """Return what a request about a history may name: ids, uids, names, kinds, components, times."""
    spans, objects = schema.spans, schema.objects
    columns = (spans.c.trace_id, spans.c.span_id, spans.c.service, spans.c.name, spans.c.start_time)
    about = (objects.c.uid, objects.c.kind, objects.c.namespace, objects.c.name)
    with store.reading("collect values") as connection:
        found = {
            value for columns_ in (columns, about) for row in connection.execute(select(*columns_)) for value in row
        }
    times = {value for value in found if isinstance(value, int)}
    texts = {str(value) for value in found} | {format_time(time) for time in times}
    return sorted(texts | {text.lower() for text in texts} | {str(time // 1000) for time in times} - {""})


@cache
def words(folder: Path) -> tuple[str, ...]:
    """Return the short texts in the source below a folder. Names and values of parameters are among them."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) <= _LONGEST_WORD:
                found.add(node.value)
    return tuple(sorted(text for text in found if text and set(text) <= _WORD))


def _folder_of(route: Route) -> Path:
    """The folder with the code that answers a route."""
    module = sys.modules.get(getattr(route.endpoint, "__module__", ""))
    path = Path(getattr(module, "__file__", None) or "/")
    return path.parent if PACKAGE in path.parents else PACKAGE


class Mutator:
    """Makes requests to some routes.

    Args:
        routes: the routes; each is used equally often.
        known: values that a request may have in place of a parameter.
        seed: the same seed gives the same requests.
    """

    def __init__(self, routes: Sequence[Route], known: Sequence[str], seed: int) -> None:
        self._routes = routes
        self._known = known
        self._seed = seed
        self._random = Random()

    def request(self, number: int) -> Request:
        """Return the request of this number."""
        self._random = Random(f"{self._seed}/{number}")
        pick = self._random
        route = self._routes[number % len(self._routes)]
        path = "/".join(self._part(part) for part in route.path.split("/"))
        own = words(_folder_of(route))
        query = "&".join(self._parameter(own) for _ in range(pick.choice((0, 1, 2, 3, 4, 8))))
        if route.path in _NEEDED and pick.random() < 0.5:
            query = f"{_NEEDED[route.path]}&{query}"
        target = f"{path}?{query}" if query or pick.random() < 0.1 else path
        if pick.random() < 0.15:
            target = self._damaged(target)
        headers = {pick.choice(_HEADERS): self._header() for _ in range(pick.choice((0, 0, 0, 1, 2)))}
        return Request("HEAD" if pick.random() < 0.1 else "GET", target[: LONGEST_TARGET + 10], headers)

    def _part(self, part: str) -> str:
        return _quoted(self._value()) if part.startswith("{") else part

    def _parameter(self, own: Sequence[str]) -> str:
        pick = self._random
        name = pick.choice(pick.choice((_JAEGER, own, own, words(PACKAGE))))
        value = pick.choice(own) if pick.random() < 0.2 else self._value()
        shape = pick.random()
        if shape < 0.05:
            return _quoted(value)
        return f"{_quoted(self._value() if shape < 0.1 else name)}={_quoted(value)}"

    def _value(self) -> str:
        pick = self._random
        text = pick.choice(self._known if pick.random() < 0.5 else _ODD)
        if pick.random() < 0.2:
            text = pick.choice(
                (text * 2, text[: len(text) // 2], text.upper(), f" {text}", f"{text},{text}", f"{text}\0")
            )
        return text

    def _header(self) -> str:
        text = self._value()[:1_000].encode("latin-1", "replace").decode("latin-1")
        return "".join(char if char.isprintable() else "?" for char in text).strip()

    def _damaged(self, target: str) -> str:
        """Some characters are replaced, removed or added. It still begins with a slash."""
        pick = self._random
        for _ in range(pick.randint(1, 4)):
            at = pick.randint(1, len(target))
            new = pick.choice(
                ("", "/", "//", "?", "&", "=", ";", "#", "%", "%00", "%ff", "%c0%80", "%2f", ".", "+", "*")
            )
            target = target[:at] + new + target[at + pick.randint(0, 2) :]
        return target


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")
