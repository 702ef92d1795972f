"""The content of one transaction as an immutable value, and the ways to write it.

The projector makes commits and a committer writes them. Because a commit is a value, a committer can repeat a failed
one unchanged; the fold that made it may be far ahead (compare ``Ready`` in etcd-io/raft).
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import msgspec

from kspan.ingest.journal_builder import JournalBatch
from kspan.model import Cursor, Delta, LogRecord
from kspan.store import Store

Result = TypeVar("Result")


class Commit(msgspec.Struct, frozen=True):
    """Everything that one transaction writes."""

    first_sequence: int
    """Journal sequence number of the first record."""
    records: tuple[LogRecord, ...]
    cursors: tuple[Cursor, ...]
    delta: Delta
    """Change of the projection."""
    newest_versions: Mapping[str, str]
    """Newest journalled resourceVersion of each kind; empty if unchanged."""
    batches: tuple[JournalBatch, ...]
    """The batches that the commit was made from. Needed only if the database rejects the data."""

    @property
    def last_sequence(self) -> int:
        """Journal sequence number of the last record; ``first_sequence - 1`` if there is none."""
        return self.first_sequence + len(self.records) - 1


class Committer(Protocol):
    """Writes the commits of one projector."""

    def commit(self, commit: Commit) -> None:
        """Write a commit after all earlier ones. May return before it is durable."""

    def wait_durable(self) -> None:
        """Wait until all commits are durable."""

    def read(self, query: Callable[[], Result]) -> Result:
        """Run a query of the database and return its result."""


class DirectCommitter:
    """Writes each commit once and waits for the disk. Errors are raised to the caller."""

    def __init__(self, store: Store, cluster: str) -> None:
        self._store = store
        self._cluster = cluster

    def commit(self, commit: Commit) -> None:
        """Write a commit. Raises StoreError."""
        write(self._store, self._cluster, commit)

    def wait_durable(self) -> None:
        """Do nothing: each commit is durable when ``commit`` returns."""

    def read(self, query: Callable[[], Result]) -> Result:
        """Run a query. Raises StoreError."""
        return query()


def write(store: Store, cluster: str, commit: Commit, on_durable: Callable[[], None] | None = None) -> None:
    """Write a commit in one transaction; ``on_durable`` as for ``Store.commit``. Raises StoreError."""
    store.commit(
        cluster,
        commit.first_sequence,
        commit.records,
        commit.cursors,
        commit.delta,
        commit.newest_versions,
        on_durable,
    )
