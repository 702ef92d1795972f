"""Answers from a daemon in a cluster, over ``/v1``."""

import contextlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Final, TypeVar
from urllib.parse import quote

from kspan.cli.sources.following import Following
from kspan.cli.sources.proxied import SECONDS, ProxiedDaemon, open_asker
from kspan.cli.sources.source import HistoryOptions
from kspan.query.answers.objects import ClusterAnswer, ObjectAnswer
from kspan.query.answers.occurrence import LineAnswer
from kspan.query.answers.trace import TraceAnswer, TraceItem
from kspan.query.answers.why import WhyAnswer
from kspan.query.objects.compare import DiffAnswer, VersionAnswer
from kspan.query.objects.names import KindName, ObjectName
from kspan.query.rollouts import Rollout
from kspan.query.timeline import TimelineFilter
from kspan.query.traces import TraceFilter
from kspan.query.view_rows import RowFilter
from kspan.store.results import NamedCluster
from kspan.times import SECOND, format_time
from kspan.web.v1.wire import Page

_PAGE: Final = 1_000
_LINES: Final = 5_000
"""Items of a page. A page is in memory as a whole, on both sides."""

Answer = TypeVar("Answer")


class Daemon:
    """A ``Source`` that asks a daemon."""

    def __init__(self, asker: ProxiedDaemon) -> None:
        self._asker = asker

    @property
    def cluster(self) -> str:
        """uid of the cluster, once the daemon has answered."""
        return self._asker.cluster

    def why(self, wanted: ObjectName, *, at: int, uid: str, rows: bool) -> WhyAnswer:
        """See Source."""
        return self._ask(_path("why", wanted), {"at": _time(at), "uid": uid, "rows": _flag(rows)}, WhyAnswer)

    def clusters(self) -> list[NamedCluster]:
        """See Fleet."""
        found = self._first("/v1/clusters", {}, ClusterAnswer, None)
        return [NamedCluster(each.cluster, each.name) for each in found]

    def traces(self, wanted: TraceFilter, limit: int | None) -> list[TraceItem]:
        """See Source."""
        return self.traces_of("", wanted, limit)

    def traces_of(self, cluster: str, wanted: TraceFilter, limit: int | None) -> list[TraceItem]:
        """See Fleet. An empty cluster is the one that was chosen."""
        query = {
            "cluster": cluster,
            "since": _time(wanted.since),
            "until": _time(wanted.until),
            "kind": _kind(wanted.kind),
            "namespace": wanted.namespace,
            "name": wanted.name,
            "actor": wanted.actor,
            "status": wanted.status or "",
            "min_duration": _duration(wanted.min_duration),
        }
        return self._first("/v1/traces", query, TraceItem, limit)

    def trace(self, prefix: str) -> TraceAnswer:
        """See Source."""
        return self._ask(f"/v1/traces/{quote(prefix, safe='')}", {}, TraceAnswer)

    def timeline(self, wanted: TimelineFilter) -> Iterator[LineAnswer]:
        """See Source."""
        query = {
            "since": _time(wanted.since),
            "until": _time(wanted.until),
            "kind": _kind(wanted.kind),
            "namespace": wanted.namespace,
            "name": wanted.name,
            "errors": _flag(wanted.errors),
        }
        return self._items("/v1/timeline", query, LineAnswer, _LINES)

    def follow(self, wanted: TimelineFilter) -> Generator[Iterable[LineAnswer], None, None]:
        """See Source. A connection that is lost is opened again."""
        return Following(self._asker, self.timeline, wanted).batches()

    def version(self, wanted: ObjectName, *, at: int, uid: str, managed_fields: bool) -> VersionAnswer:
        """See Source."""
        query = {"at": _time(at), "uid": uid, "managed_fields": _flag(managed_fields)}
        return self._ask(_path("versions", wanted), query, VersionAnswer)

    def compare(
        self, wanted: ObjectName, *, first: int, last: int, uid: str, status: bool, manifests: bool
    ) -> DiffAnswer:
        """See Source."""
        query = {"from": _time(first), "to": _time(last), "uid": uid}
        query |= {"status": _flag(status), "manifests": _flag(manifests)}
        return self._ask(_path("diff", wanted), query, DiffAnswer)

    def rollouts(self, wanted: RowFilter, limit: int | None) -> list[Rollout]:
        """See Source."""
        query = {"since": _time(wanted.since), "until": _time(wanted.until), "namespace": wanted.namespace}
        return self._first("/v1/rollouts", query, Rollout, limit)

    def names(self, kind: str, namespace: str, begun: str, most: int) -> list[str]:
        """Return the first names of objects, existing or not, that begin like this."""
        query = {"kind": kind, "namespace": namespace, "name": begun, "deleted": _flag(True)}
        return [found.name for found in self._first("/v1/objects", query, ObjectAnswer, most)]

    def _first(self, path: str, query: Mapping[str, str], kind: type[Answer], limit: int | None) -> list[Answer]:
        found: list[Answer] = []
        for item in self._items(path, query, kind, min(limit or _PAGE, _PAGE)):
            found.append(item)
            if len(found) == limit:
                break
        return found

    def _items(self, path: str, query: Mapping[str, str], kind: type[Answer], size: int) -> Iterator[Answer]:
        """Yield the items of a list. Its pages are read when they are needed."""
        cursor = ""
        while True:
            pages: type[Page[Answer]] = Page[kind]  # type: ignore[valid-type]
            page = self._ask(path, {**query, "limit": str(size), "cursor": cursor}, pages)
            yield from page.items
            if page.next is None:
                return
            cursor = page.next

    def _ask(self, path: str, query: Mapping[str, str], kind: type[Answer]) -> Answer:
        return self._asker.get(path, {name: text for name, text in query.items() if text}, kind)


@contextlib.contextmanager
def open_daemon(options: HistoryOptions, seconds: float = SECONDS) -> Iterator[Daemon]:
    """Yield the daemon that ``--remote`` names; an answer may take ``seconds``.

    Raises SettingsError, or KspanError if it cannot be asked.
    """
    with open_asker(options, seconds) as asker:
        yield Daemon(asker)


def _path(question: str, wanted: ObjectName) -> str:
    parts = [question, wanted.kind.written, *([wanted.namespace] if wanted.namespace else []), wanted.name]
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _kind(kind: KindName | None) -> str:
    return kind.written if kind else ""


def _flag(value: bool) -> str:
    return "true" if value else ""


def _time(ns: int) -> str:
    """A time to the nanosecond, so that the daemon selects the same as a database would."""
    return f"{format_time(ns)[:-1]}{ns % 1_000:03d}Z" if ns else ""


def _duration(ns: int) -> str:
    return f"{ns // SECOND}.{ns % SECOND:09d}s" if ns else ""
