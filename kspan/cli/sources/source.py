"""The questions that a source answers. The commands print answers, so their output does not depend on the source."""

import contextlib
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from kspan.query.answers.occurrence import LineAnswer
    from kspan.query.answers.trace import TraceAnswer, TraceItem
    from kspan.query.answers.why import WhyAnswer
    from kspan.query.objects.compare import DiffAnswer, VersionAnswer
    from kspan.query.objects.names import ObjectName
    from kspan.query.rollouts import Rollout
    from kspan.query.timeline import TimelineFilter
    from kspan.query.traces import TraceFilter
    from kspan.query.view_rows import RowFilter
    from kspan.store.results import NamedCluster


class HistoryOptions(msgspec.Struct, frozen=True):
    """The options that say whose history is asked.

    Args:
        db: the database (None: the default one).
        cluster: name or uid of the cluster, if the database has several.
        remote: the daemon, as in ``--remote``; empty: the database is asked.
        kubeconfig, context: how the cluster of the daemon is reached.
        token_file: a file with the token that the daemon wants.
    """

    db: str | None = None
    cluster: str = ""
    remote: str = ""
    kubeconfig: str | None = None
    context: str | None = None
    token_file: str | None = None


class Fleet(Protocol):
    """Answers questions about all clusters. The methods raise as those of ``Source``."""

    def clusters(self) -> "list[NamedCluster]":
        """Return the clusters, by uid."""
        ...

    def traces_of(self, cluster: str, wanted: "TraceFilter", limit: int | None) -> "list[TraceItem]":
        """Return traces of the cluster with a uid, newest first, at most ``limit`` (None: all)."""
        ...


class Source(Protocol):
    """Answers questions about the history of one cluster. Times are Unix ns (0: not given).

    All methods raise QueryError for what does not exist, and KspanError if there is no answer.
    """

    @property
    def cluster(self) -> str:
        """uid of the cluster. A daemon has said it once it has answered."""
        ...

    def why(self, wanted: "ObjectName", *, at: int, uid: str, rows: bool) -> "WhyAnswer":
        """Return what caused the latest occurrence of an object; with ``rows`` also what its text is made of."""
        ...

    def traces(self, wanted: "TraceFilter", limit: int | None) -> list["TraceItem"]:
        """Return traces, newest first, at most ``limit`` (None: all)."""
        ...

    def trace(self, prefix: str) -> "TraceAnswer":
        """Return the trace whose id begins like this."""
        ...

    def timeline(self, wanted: "TimelineFilter") -> Iterator["LineAnswer"]:
        """Return occurrences, oldest first."""
        ...

    def follow(self, wanted: "TimelineFilter") -> Generator[Iterable["LineAnswer"], None, None]:
        """Yield the timeline, then new occurrences, without end. Each batch has to be read before the next."""
        ...

    def version(self, wanted: "ObjectName", *, at: int, uid: str, managed_fields: bool) -> "VersionAnswer":
        """Return the version of an object at a time (0: the newest)."""
        ...

    def compare(
        self, wanted: "ObjectName", *, first: int, last: int, uid: str, status: bool, manifests: bool
    ) -> "DiffAnswer":
        """Return the difference of two versions of an object (see ``query.objects.compare.compare``)."""
        ...

    def rollouts(self, wanted: "RowFilter", limit: int | None) -> list["Rollout"]:
        """Return rollouts, newest first, at most ``limit`` (None: all)."""
        ...


@contextlib.contextmanager
def asked(options: HistoryOptions) -> Iterator[Source]:
    """Yield the source that the options name. Raises StoreError, SettingsError, or KspanError for a daemon."""
    if not options.remote:
        from kspan.cli.sources.database import open_database

        with open_database(options.db, options.cluster) as database:
            yield database
        return
    from kspan.cli.sources.daemon import open_daemon

    with open_daemon(options) as daemon:
        yield daemon


@contextlib.contextmanager
def open_fleet(options: HistoryOptions) -> Iterator[Fleet]:
    """Yield all clusters of the database or daemon that the options name. Raises as ``asked``."""
    if not options.remote:
        from kspan.cli.sources.database import open_databases

        with open_databases(options.db) as databases:
            yield databases
        return
    from kspan.cli.sources.daemon import open_daemon

    with open_daemon(options) as daemon:
        yield daemon
