"""Which cluster it is that is watched: asked for until it answers, without holding up anything else."""

import logging
import queue
import random
import threading
from collections.abc import Callable
from typing import Final

from kspan.errors import SettingsError
from kspan.ingest.watch import ApiError, Connection
from kspan.store import Store

_logger = logging.getLogger(__name__)

WAIT_FIRST: Final = 0.5
WAIT_MOST: Final = 15.0
"""Seconds between two questions."""


def cluster_uid(connection: Connection, store: Store) -> str:
    """The uid of the namespace kube-system, which is the cluster's (OpenTelemetry's ``k8s.cluster.uid``).

    Raises ApiError where the API server does not answer, or not with a uid; SettingsError where it does not tell, and
    the database does not know either.
    """
    try:
        return connection.find_cluster()
    except ApiError as error:
        if error.status not in (403, 404):
            raise
        if known := only_cluster(store):
            return known
        raise SettingsError(
            f"the cluster's uid cannot be read (namespace kube-system: {error}); give any with --cluster UID"
        ) from error


def only_cluster(store: Store) -> str:
    """The cluster that the database is about; empty if there is none yet, or several."""
    known = store.clusters()
    return known[0] if len(known) == 1 else ""


class ClusterUidPoller:
    """``ask`` again and again, in a thread of its own, until the API server answers or ``stop`` is set.

    An API server that accepts and then says nothing holds a question up for a minute: no signal may wait for that.
    """

    def __init__(self, ask: Callable[[], str], stop: threading.Event) -> None:
        self._ask = ask
        self._stop = stop
        self._answers: queue.SimpleQueue[str | BaseException] = queue.SimpleQueue()
        self.trouble = "the API server has not answered yet"
        threading.Thread(target=self._insist, name="cluster uid", daemon=True).start()

    def answer(self, seconds: float) -> str:
        """What was answered, if it is within so many seconds; empty otherwise. Raises what ``ask`` raised at last."""
        try:
            found = self._answers.get(timeout=seconds)
        except queue.Empty:
            return ""
        if isinstance(found, BaseException):
            raise found
        return found

    def _insist(self) -> None:
        wait = WAIT_FIRST
        while not self._stop.is_set():
            try:
                self._answers.put(self._ask())
            except ApiError as error:
                self._tell(str(error))
            except BaseException as error:
                self._answers.put(error)
                return
            else:
                return
            self._stop.wait(wait * random.uniform(0.5, 1))
            wait = min(wait * 2, WAIT_MOST)

    def _tell(self, trouble: str) -> None:
        if trouble != self.trouble:
            _logger.warning("the cluster's uid is not known yet: %s", trouble)
        self.trouble = trouble
