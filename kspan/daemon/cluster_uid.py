"""Finds out which cluster is watched, without blocking the process while the API server does not answer."""

import logging
import queue
import random
import threading
from collections.abc import Callable
from typing import Final

from kspan.backoff import Backoff
from kspan.errors import SettingsError
from kspan.ingest.watch import ApiError, Connection
from kspan.store import Store

_logger = logging.getLogger(__name__)

BACKOFF: Final = Backoff(first=0.5, limit=15.0)
"""Seconds between two requests."""


def cluster_uid(connection: Connection, store: Store) -> str:
    """The uid of the namespace kube-system, which identifies the cluster (OpenTelemetry's ``k8s.cluster.uid``).

    Raises:
        ApiError: the API server does not answer, or its answer has no uid.
        SettingsError: the namespace must not be read, and the database is not of exactly one cluster.
    """
    try:
        return connection.find_cluster()
    except ApiError as error:
        if error.status not in (403, 404):
            raise
        if known := only_cluster(store):
            return known
        raise SettingsError(
            f"cannot read the cluster's uid (namespace kube-system: {error}): choose one with --cluster UID"
        ) from error


def only_cluster(store: Store) -> str:
    """The uid of the only cluster in the database; empty if there is none or several."""
    known = store.clusters()
    return known[0] if len(known) == 1 else ""


class ClusterUidPoller:
    """Calls ``ask`` in a thread of its own until it returns a uid or ``stop`` is set.

    An API server that accepts the connection and does not answer delays ``ask`` for a minute. Signals must be handled
    meanwhile.
    """

    def __init__(self, ask: Callable[[], str], stop: threading.Event) -> None:
        self._ask = ask
        self._stop = stop
        self._answers: queue.SimpleQueue[str | BaseException] = queue.SimpleQueue()
        self.error = "the API server has not answered yet"
        """Why the uid is not known."""
        threading.Thread(target=self._poll, name="cluster uid", daemon=True).start()

    def wait(self, seconds: float) -> str:
        """The uid, if it is known within ``seconds``; empty otherwise. Raises the error that ended the polling."""
        try:
            found = self._answers.get(timeout=seconds)
        except queue.Empty:
            return ""
        if isinstance(found, BaseException):
            raise found
        return found

    def _poll(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self._answers.put(self._ask())
            except ApiError as error:
                failures += 1
                self._report(str(error))
            except BaseException as error:
                self._answers.put(error)
                return
            else:
                return
            self._stop.wait(BACKOFF.delay(failures, random.random()))

    def _report(self, error: str) -> None:
        if error != self.error:
            _logger.warning("cannot read the cluster's uid, will retry: %s", error)
        self.error = error
