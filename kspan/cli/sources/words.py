"""Words for completion in a shell, from a database or from a daemon."""

import contextlib
import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from sqlalchemy import Connection, select

from kspan.cli.common import open_existing
from kspan.cli.sources.database import open_database
from kspan.cli.sources.source import HistoryOptions
from kspan.query.objects.names import parse_kind
from kspan.store.tables.cluster_names import named_clusters

if TYPE_CHECKING:
    from kspan.cli.sources.daemon import Daemon

MOST: Final = 100
"""Values that are offered. More do not help anybody."""

SECONDS: Final = 1.0
"""Time limit of a question."""


class Words(Protocol):
    """Answers what a shell asks after each Tab. Any error means that there is nothing to offer."""

    def kinds(self) -> Iterable[str]:
        """Return kinds of objects."""
        ...

    def names(self, kind: str, namespace: str, begun: str) -> Iterable[str]:
        """Return names of objects that begin like this."""
        ...

    def trace_ids(self, begun: str) -> Iterable[str]:
        """Return ids of traces that begin like this."""
        ...


def clusters(options: HistoryOptions) -> list[str]:
    """Return a text for each cluster that the options can choose: its name, or its uid. Prints nothing."""
    from kspan.query.fleet.choose import labels

    with contextlib.redirect_stderr(io.StringIO()):
        if options.remote:
            from kspan.cli.sources.daemon import open_daemon

            with open_daemon(options, SECONDS) as daemon:
                return list(labels(daemon.clusters()).values())[:MOST]
        with (
            open_existing(options.db, read_only=True) as store,
            store.reading("complete", seconds=SECONDS) as connection,
        ):
            return list(labels(named_clusters(connection)).values())[:MOST]


@contextlib.contextmanager
def open_words(options: HistoryOptions) -> Iterator[Words]:
    """Yield the words of the history that the options name. Prints nothing."""
    with contextlib.redirect_stderr(io.StringIO()):
        if options.remote:
            from kspan.cli.sources.daemon import open_daemon

            with open_daemon(options, SECONDS) as daemon:
                yield _DaemonWords(daemon)
            return
        with (
            open_database(options.db, options.cluster) as database,
            database.store.reading("complete", seconds=SECONDS) as connection,
        ):
            yield _DatabaseWords(connection, database.cluster)


class _DatabaseWords(msgspec.Struct, frozen=True):
    connection: Connection
    cluster: str

    def kinds(self) -> Iterable[str]:
        from kspan.query.objects.find import known_kinds

        return [kind.lower() for kind in known_kinds(self.connection, self.cluster)]

    def names(self, kind: str, namespace: str, begun: str) -> Iterable[str]:
        from kspan.query.objects.find import kinds_meant
        from kspan.store.schema.tables import objects

        here = objects.c
        query = select(here.name).where(
            here.cluster == self.cluster,
            here.kind.in_(kinds_meant(self.connection, self.cluster, parse_kind(kind))),
            here.name.startswith(begun, autoescape=True),
        )
        query = query.where(here.namespace == namespace) if namespace else query
        return self.connection.execute(query.limit(MOST)).scalars().all()

    def trace_ids(self, begun: str) -> Iterable[str]:
        from kspan.store.schema.tables import traces

        here = traces.c
        query = select(here.trace_id).where(
            here.cluster == self.cluster, here.trace_id >= begun, here.trace_id < begun + "g"
        )
        return self.connection.execute(query.limit(MOST)).scalars().all()


class _DaemonWords(msgspec.Struct, frozen=True):
    daemon: "Daemon"

    def kinds(self) -> Iterable[str]:
        from kspan.k8s.kinds import built_in_kinds

        return [kind.lower() for _, kind in built_in_kinds()]

    def names(self, kind: str, namespace: str, begun: str) -> Iterable[str]:
        return self.daemon.names(kind, namespace, begun, MOST)

    def trace_ids(self, begun: str) -> Iterable[str]:  # noqa: ARG002 - the newest ones
        from kspan.query.traces import TraceFilter

        return [item.trace_id for item in self.daemon.traces(TraceFilter(), MOST)]
