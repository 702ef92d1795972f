"""Writes commits to a database that may be locked, full or away.

A commit is an immutable value. A failed one is written again, unchanged, until the database accepts it: nothing is
loaded or folded again. Only data that the database rejects is reported to the caller.
"""

import logging
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from kspan.backoff import Backoff
from kspan.daemon.metrics import Metrics
from kspan.errors import KspanError, StoreError
from kspan.ingest.journal_builder import JournalBatch
from kspan.pipeline.commit import Commit, Result, write
from kspan.store import Store, is_about_data

_logger = logging.getLogger(__name__)

BACKOFF: Final = Backoff(first=0.1, limit=5.0)
"""Seconds between two attempts. A database that is back is used within ``limit``."""

SLOW_S: Final = 2.0
"""Seconds after which a running attempt counts as a problem. SQLite waits 10 s for a lock before it reports it."""


class GivenUpError(Exception):
    """The daemon stops while the database does not accept commits."""


class JournalChangedError(KspanError):
    """The journal is not as this process left it: retrying cannot help, a restart continues from the database."""


class RetryingCommitter:
    """Writes the commits of one projector in order, each of them until it succeeds. For one thread.

    ``commit`` does not wait for the disk, so that the next commit can be folded meanwhile. One commit at most is in
    flight: written, and not known to be durable. If it fails, it is written again before the next one.

    Args:
        pause: waits this many seconds before the next attempt; returns False to give up.
        on_recovery: called when the database accepts commits again after a failure.
    """

    def __init__(
        self,
        store: Store,
        cluster: str,
        metrics: Metrics,
        clock: Callable[[], int],
        pause: Callable[[float], bool],
        on_recovery: Callable[[], None],
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._metrics = metrics
        self._clock = clock
        self._pause = pause
        self._on_recovery = on_recovery
        self._to_write: deque[Commit] = deque()
        self._in_flight: Commit | None = None
        self._in_doubt = False
        """An attempt failed while a commit was in flight: only the journal shows whether it was written."""
        self._error = ""
        self._attempt_began = 0.0

    @property
    def error(self) -> str:
        """Why the database accepts nothing at the moment; empty if it does. For any thread."""
        began = self._attempt_began
        waited = time.monotonic() - began if began else 0.0
        return self._error or (f"has not answered for {waited:.0f} s" if waited > SLOW_S else "")

    @property
    def unconfirmed_records(self) -> int:
        """Number of records that are not known to be durable."""
        return sum(len(commit.records) for commit in self._unconfirmed())

    def commit(self, commit: Commit) -> None:
        """Write a commit once all earlier ones are durable.

        Raises:
            StoreError: the database rejects the data of this commit or of the one before.
            GivenUpError, JournalChangedError, FencedError: nothing more can be written.
        """
        self._to_write.append(commit)
        self._retry(self._write_all)

    def wait_durable(self) -> None:
        """Wait until all commits are durable. Raises like ``commit``."""
        if self._in_flight is not None:
            self._retry(self._write_all_and_wait)

    def read(self, query: Callable[[], Result]) -> Result:
        """Run a query until the database answers it. Raises like ``commit``."""
        return self._retry(query)

    def take_rejected(self) -> list[JournalBatch]:
        """Drop the commits that are not durable, after one was rejected. Returns the batches they were made from."""
        batches = [batch for commit in self._unconfirmed() for batch in commit.batches]
        self._to_write.clear()
        self._in_flight, self._in_doubt = None, False
        return batches

    # one attempt -----------------------------------------------------------------------------------------------------

    def _write_all(self) -> None:
        try:
            self._wait_in_flight()
            while self._to_write:
                self._write(self._to_write.popleft())
                if self._to_write:
                    self._wait_in_flight()
        except StoreError:
            self._in_doubt = True
            raise

    def _write_all_and_wait(self) -> None:
        self._write_all()
        try:
            self._wait_in_flight()
        except StoreError:
            self._in_doubt = True
            raise

    def _write(self, commit: Commit) -> None:
        began = time.perf_counter()

        def on_durable() -> None:
            self._metrics.committed(commit.records, time.perf_counter() - began, self._clock())

        self._in_flight = commit
        write(self._store, self._cluster, commit, on_durable)

    def _wait_in_flight(self) -> None:
        """Wait until the commit in flight is durable, or find out whether it is, and queue it again if not."""
        commit = self._in_flight
        if commit is None:
            return
        if not self._in_doubt:
            self._store.wait_durable()
        elif self._is_in_journal(commit):
            self._metrics.committed(commit.records, 0.0, self._clock())
        else:
            self._to_write.appendleft(commit)
        self._in_flight, self._in_doubt = None, False

    def _is_in_journal(self, commit: Commit) -> bool:
        """True if the commit was written after all: a connection can break after COMMIT and before its answer.

        Writing a commit without records twice does no harm: it sets cursors.
        """
        # Before the journal is read: another writer's commits after it would not be seen.
        self._store.must_lead(self._cluster)
        last = self._store.last_sequence(self._cluster)
        if last not in (commit.first_sequence - 1, commit.last_sequence):
            raise JournalChangedError(
                f"{self._store.name}: the journal ends at record {last}, but record {commit.first_sequence} is next: "
                "another copy of the database is in its place; start kspan again to continue from it"
            )
        return bool(commit.records) and last == commit.last_sequence

    def _unconfirmed(self) -> list[Commit]:
        return [*([self._in_flight] if self._in_flight is not None else []), *self._to_write]

    # attempts --------------------------------------------------------------------------------------------------------

    def _retry(self, attempt: Callable[[], Result]) -> Result:
        failures = 0
        while True:
            self._attempt_began = time.monotonic()
            try:
                result = attempt()
            except StoreError as error:
                if is_about_data(error):
                    raise
                failures += 1
                self._report(error)
                if not self._pause(BACKOFF.delay(failures, random.random())):
                    raise GivenUpError from error
            else:
                self._report_recovery()
                return result
            finally:
                self._attempt_began = 0.0

    def _report(self, error: StoreError) -> None:
        self._metrics.failed_commits.inc()
        if str(error) != self._error:
            _logger.warning("database unavailable, ingestion paused: %s", error)
        self._error = str(error)

    def _report_recovery(self) -> None:
        if self._error:
            self._error = ""
            _logger.info("database available again, ingestion continues")
            self._on_recovery()
