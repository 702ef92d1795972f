"""Answers from a database."""

import contextlib
import time
from collections.abc import Generator, Iterable, Iterator
from typing import Final

from kspan.cli.common import open_existing, the_cluster
from kspan.query.answers import occurrence, trace
from kspan.query.answers import why as why_answers
from kspan.query.answers.occurrence import LineAnswer
from kspan.query.answers.trace import TraceAnswer, TraceItem
from kspan.query.answers.why import WhyAnswer
from kspan.query.objects.compare import DiffAnswer, VersionAnswer, compare, diff_answer, version_answer
from kspan.query.objects.names import ObjectName
from kspan.query.objects.versions import version_at
from kspan.query.rollouts import Rollout
from kspan.query.timeline import Follower, TimelineFilter, timeline
from kspan.query.traces import TraceFilter, find_trace, list_traces
from kspan.query.view_rows import RowFilter, list_rows
from kspan.query.why import why
from kspan.store import Store
from kspan.store.results import NamedCluster

POLL_S: Final = 1.0
"""Seconds between two looks for new occurrences. An occurrence waits five seconds for its cause anyway."""


class Database:
    """A ``Source`` of one cluster in a database."""

    def __init__(self, store: Store, cluster: str) -> None:
        self.store = store
        self._cluster = cluster

    @property
    def cluster(self) -> str:
        """uid of the cluster."""
        return self._cluster

    def why(self, wanted: ObjectName, *, at: int, uid: str, rows: bool) -> WhyAnswer:
        """See Source."""
        with self.store.reading("look for the cause") as connection:
            return why_answers.why(why(connection, self._cluster, wanted, at=at, uid=uid), rows=rows)

    def traces(self, wanted: TraceFilter, limit: int | None) -> list[TraceItem]:
        """See Source."""
        with self.store.reading("list the traces") as connection:
            return [trace.item(each) for each in list_traces(connection, self._cluster, wanted, limit)]

    def trace(self, prefix: str) -> TraceAnswer:
        """See Source."""
        with self.store.reading("read the trace") as connection:
            return trace.whole(*find_trace(connection, self._cluster, prefix))

    def timeline(self, wanted: TimelineFilter) -> Iterator[LineAnswer]:
        """See Source."""
        return map(occurrence.line, timeline(self.store, self._cluster, wanted))

    def follow(self, wanted: TimelineFilter) -> Generator[Iterable[LineAnswer], None, None]:
        """See Source."""
        seen: set[str] = set()

        def shown() -> Iterator[LineAnswer]:
            for found in timeline(self.store, self._cluster, wanted):
                seen.add(found.span.span_id)
                yield occurrence.line(found)

        yield shown()
        follower = Follower(self.store, self._cluster, wanted, seen)
        while True:
            yield map(occurrence.line, follower.poll())
            time.sleep(POLL_S)

    def version(self, wanted: ObjectName, *, at: int, uid: str, managed_fields: bool) -> VersionAnswer:
        """See Source."""
        with self.store.reading("read the object") as connection:
            found = version_at(connection, self._cluster, wanted, at=at, uid=uid)
        return version_answer(found, managed_fields=managed_fields)

    def compare(
        self, wanted: ObjectName, *, first: int, last: int, uid: str, status: bool, manifests: bool
    ) -> DiffAnswer:
        """See Source."""
        with self.store.reading("read the object") as connection:
            found = compare(connection, self._cluster, wanted, first=first, last=last, uid=uid, status=status)
        return diff_answer(found, manifests=manifests)

    def rollouts(self, wanted: RowFilter, limit: int | None) -> list[Rollout]:
        """See Source."""
        with self.store.reading("list the rollouts") as connection:
            return list_rows(connection, self._cluster, Rollout, wanted, limit)


@contextlib.contextmanager
def open_database(db: str | None, cluster: str) -> Iterator[Database]:
    """Yield the history of a cluster in an existing database. Raises StoreError."""
    with open_existing(db, read_only=True) as store:
        yield Database(store, the_cluster(store, cluster))


class Databases:
    """A ``Fleet`` of all clusters in a database."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def clusters(self) -> list[NamedCluster]:
        """See Fleet."""
        return self._store.named_clusters()

    def traces_of(self, cluster: str, wanted: TraceFilter, limit: int | None) -> list[TraceItem]:
        """See Fleet."""
        return Database(self._store, cluster).traces(wanted, limit)


@contextlib.contextmanager
def open_databases(db: str | None) -> Iterator[Databases]:
    """Yield the histories of all clusters in an existing database. Raises StoreError."""
    with open_existing(db, read_only=True) as store:
        yield Databases(store)
