"""Renders templates. Everything from the history is escaped by Jinja2, and control characters are shown as escapes."""

import datetime
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

import jinja2
from markupsafe import Markup, escape
from starlette.responses import Response

from kspan import __version__
from kspan.terminal.text import duration, harmless
from kspan.times import format_time, parse_time
from kspan.web.access.asker import asked_cluster, signed_in
from kspan.web.guard import CLUSTER

STATIC: Final = files("kspan.web") / "static"
TEMPLATES: Final = files("kspan.web") / "templates"

_BADGES: Final = {
    "CronJob": "Cj",
    "DaemonSet": "Ds",
    "PersistentVolume": "Pv",
    "PersistentVolumeClaim": "Pc",
    "ReplicaSet": "Rs",
    "ServiceAccount": "Sa",
    "StatefulSet": "Ss",
}
"""Kinds whose first two letters are those of another kind."""

_COLORS: Final = {
    "kubectl": 0,
    "deployment-controller": 1,
    "replicaset-controller": 2,
    "default-scheduler": 3,
    "kubelet": 4,
}
"""Components of nearly every trace have fixed colors. ``static/colors.js`` has the same ones."""

_DEEPEST: Final = 12
"""Indentation for which ``object.css`` has a class; beyond it, blanks remain."""

_OTHER_COLORS: Final = (5, 6, 7)
_PILLS: Final = {
    "ok": "ok",
    "recovered": "ok",
    "superseded": "calm",
    "failing": "bad",
    "failed": "bad",
    "incomplete": "warn",
    "unknown": "warn",
    "open": "live",
}


def render(template: str, status: int = 200, **values: Any) -> Response:
    """Return a page."""
    text = _environment().get_template(template).render(**values)
    return Response(text, status, media_type="text/html")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters |= {
        "in_cluster": _in_cluster,
        "badge": badge,
        "color": color,
        "day": day,
        "dedented": lambda text: line(text[2 * level(text) :]),
        "clock": clock,
        "duration": duration,
        "level": level,
        "line": line,
        "milliseconds": lambda ms: duration(int(ms * 1_000_000)),
        "ns": parse_time,
        "pill": lambda outcome: _PILLS.get(str(outcome), "calm"),
        "plural": plural,
        "rfc3339": format_time,
    }
    environment.globals |= {
        "asset": asset,
        "cluster_field": cluster_field,
        "cluster_given": lambda: asked_cluster().given,
        "object_url": object_url,
        "signed_in": signed_in,
        "trace_url": trace_url,
        "version": __version__,
        "why_url": why_url,
    }
    return environment


@jinja2.pass_context
def _in_cluster(_context: jinja2.runtime.Context, url: str) -> str:
    """``in_cluster`` as a filter. With the context: Jinja2 would apply it to a constant once, for all requests."""
    return in_cluster(url)


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text("utf-8")


def _finalize(value: Any) -> Any:
    """Show what can turn text around or hide it (bidi and control characters) as escapes."""
    return harmless(value) if type(value) is str else value


# Addresses


def asset(name: str) -> str:
    """Return the address of a file of ``kspan/web/static``, with its digest: it never changes."""
    return f"/static/{name}?v={asset_digest(name)}"


@cache
def asset_digest(name: str) -> str:
    """Return a digest of a file of ``kspan/web/static``."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def in_cluster(url: str) -> str:
    """Return the address of a page or list with the cluster that the request names, if it names one."""
    given = asked_cluster().given
    if not given:
        return url
    page, hash_, fragment = url.partition("#")
    path, _, query = page.partition("?")
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != CLUSTER]
    return f"{path}?{urlencode([*pairs, (CLUSTER, given)])}{hash_}{fragment}"


def cluster_field() -> Markup:
    """Return the hidden field by which a form keeps the cluster that the request names, if it names one."""
    given = asked_cluster().given
    return Markup('<input type="hidden" name="{}" value="{}">').format(CLUSTER, given) if given else Markup("")


def trace_url(trace_id: str, span_id: str = "") -> str:
    """Return the address of a trace, or of a span in it."""
    return in_cluster(f"/traces/{quote(trace_id)}" + (f"#{quote(span_id)}" if span_id else ""))


def object_url(uid: str, at: str = "") -> str:
    """Return the address of an object, now or at a time."""
    return in_cluster(f"/objects/{quote(uid, safe='')}" + (f"?at={quote(at)}" if at else ""))


def why_url(kind: str, namespace: str, name: str, at: str = "") -> str:
    """Return the address that says why the latest occurrence of an object happened."""
    path = "/".join(quote(part, safe="") for part in (kind.lower(), namespace, name) if part)
    return in_cluster(f"/why/{path}" + (f"?at={quote(at)}" if at else ""))


# Text


def badge(kind: str) -> str:
    """Return two letters for a kind: ``Po`` for Pod."""
    if kind in _BADGES:
        return _BADGES[kind]
    capitals = re.findall(r"[A-Z]", kind)
    return capitals[0] + capitals[1].lower() if len(capitals) > 1 else kind[:2].capitalize()


def color(service: str) -> str:
    """Return the class that gives the color of a component."""
    known = _COLORS.get(service)
    if known is None:
        known = _OTHER_COLORS[sum(service.encode()) % len(_OTHER_COLORS)]
    return f"c{known}"


def clock(time: str) -> str:
    """Return the time of day of an RFC 3339 time, with milliseconds: ``10:25:49.727``."""
    return time[11:23]


def day(time: str) -> str:
    """Return the date of an RFC 3339 time: ``Sun 22 Nov 2026``."""
    return datetime.date.fromisoformat(time[:10]).strftime("%a %-d %b %Y")


def line(text: str) -> Markup:
    """Return a line of a manifest or a diff, with its indentation."""
    blanks = len(text) - len(text.lstrip(" "))
    return escape(" " * blanks + harmless(text[blanks:]))


def level(text: str) -> int:
    """Return how deep a line is indented: levels of two blanks, at most ``_DEEPEST``."""
    return min((len(text) - len(text.lstrip(" "))) // 2, _DEEPEST)


def plural(count: int, noun: str, several: str = "") -> str:
    """Return a number and its noun: ``1 span``, ``2,000 spans``. ``several`` is for nouns that get more than an s."""
    return f"{count:,} {noun if count == 1 else several or f'{noun}s'}"
