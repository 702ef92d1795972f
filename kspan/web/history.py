"""Questions about the history from web requests: in threads, a few at once, each with a limit of time."""

import time
from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
from sqlalchemy import Connection

from kspan.errors import StoreError
from kspan.query.fleet.choose import choose, labels
from kspan.query.visible import Visible
from kspan.store import Store
from kspan.store.results import NamedCluster
from kspan.store.tables.cluster_names import name_of, named_clusters
from kspan.web.access.asker import AskedCluster, asked_cluster, of_asker

Answer = TypeVar("Answer")
Arguments = TypeVarTuple("Arguments")

AT_ONCE: Final = 4
"""Questions that the database answers at the same time."""

HOW: Final = "the parameter cluster"

WAITING: Final = 64
"""Questions that may wait for their turn; more are refused."""

SECONDS: Final = 10.0
"""Time limit of a question."""


class BusyError(Exception):
    """Too many questions are waiting."""


class TooSlowError(Exception):
    """A question took too long and was stopped; the text says after how many seconds."""


class NotThereError(Exception):
    """The database cannot be asked yet; the text says why."""


class Turns:
    """Calls functions in threads, ``at_once`` at the same time; ``waiting`` more may wait for their turn."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._at_once = at_once
        self._most = at_once + waiting
        self._asked = 0
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, function: Callable[[*Arguments], Answer], *arguments: *Arguments) -> Answer:
        """Return what the function returns. Raises what it raises, and BusyError if too many wait."""
        if self._asked >= self._most:
            raise BusyError
        if self._limiter is None:  # It belongs to the event loop.
            self._limiter = anyio.CapacityLimiter(self._at_once)
        self._asked += 1
        try:
            return await anyio.to_thread.run_sync(function, *arguments, limiter=self._limiter)
        finally:
            self._asked -= 1


class History:
    """The history of one cluster, or of several, in a store that is read.

    Args:
        find: returns the store and the uid of the cluster that is asked about if a request names none (empty: a request
            has to name one); raises NotThereError while there is none. Its argument is ``cluster``.
        at_once: number of questions that the database answers at the same time.
        seconds: time limit of a question.
        serves_sql: SQL statements are answered.
        several: a request may name any cluster of the database. Otherwise, another one is unknown, and no answer has
            anything of it.
        private: askers have rights in that cluster only, so SQL is not answered if the database has others.
    """

    def __init__(
        self,
        find: Callable[[str], tuple[Store, str]],
        *,
        at_once: int = AT_ONCE,
        seconds: float = SECONDS,
        serves_sql: bool = False,
        several: bool = False,
        private: bool = False,
    ) -> None:
        self.cluster = ""
        """uid of the cluster that is asked about; empty: the only one. ``kspan run`` sets it when it knows it."""
        self.serves_sql = serves_sql
        self.private = private
        self._several = several
        self._find = find
        self._seconds = seconds
        self._turns = Turns(at_once, WAITING)

    def store(self) -> tuple[Store, str]:
        """Return the store and the uid of the cluster. Raises NotThereError while there is none. It may wait."""
        return self._find(self.cluster)

    def resolve(self, asked: AskedCluster) -> tuple[Store, str]:
        """Return the store and the uid of the cluster that a request asks about. It may wait.

        Raises NotThereError, StoreError, UnknownClusterError, AmbiguousClusterError.
        """
        store, own = self.store()
        if own and not asked.given:
            return store, own
        with store.reading("look for the cluster", seconds=self._seconds) as connection:
            return store, self._choose(connection, own, asked)

    async def ask(self, question: Callable[[Connection, str, Visible], Answer], *, default: bool = False) -> Answer:
        """Return the answer of ``question``, to what the asker of the current request may see.

        It is called with a connection, the uid of the cluster and what the asker may see. It returns nothing else, and
        for what the asker may not see the same as for what does not exist. With ``default`` the first cluster is asked
        about if there are several and the request names none.

        Raises what the question and ``resolve`` raise, BusyError, TooSlowError, and HTTPException 503 if the API server
        does not say what the asker may see.
        """
        return await self._turns.run(self._ask, question, of_asker(), default)

    def _ask(self, question: Callable[[Connection, str, Visible], Answer], visible: Visible, default: bool) -> Answer:
        store, own = self.store()
        # The thread has the context of the request.
        asked = asked_cluster()
        until = time.monotonic() + self._seconds

        def check_time() -> None:
            if time.monotonic() >= until:
                raise TooSlowError(self._too_slow)

        try:
            with store.reading("answer", seconds=self._seconds) as connection:
                cluster = self._choose(connection, own, asked, default=default)
                return question(connection, cluster, visible.until(check_time))
        except StoreError as error:
            if time.monotonic() >= until:
                raise TooSlowError(self._too_slow) from error
            raise

    def _choose(self, connection: Connection, own: str, asked: AskedCluster, *, default: bool = False) -> str:
        if not self._several:
            if asked.given not in ("", own):
                mine = [NamedCluster(own, name_of(connection, own))]
                self._named(mine, asked, private=True)
            asked.uid = own
            return own
        asked.offered = named_clusters(connection)
        if asked.given:
            asked.uid = self._named(asked.offered, asked)
        elif own or default:
            texts = labels(asked.offered)
            asked.uid = own or min(texts, key=lambda uid: (texts[uid], uid), default="")
            # A server without a cluster of its own needs the name in what a page asks next.
            asked.given = "" if own else texts.get(asked.uid, "")
        if not asked.uid:
            asked.uid = choose(asked.offered, "", HOW)
        return asked.uid

    def _named(self, clusters: list[NamedCluster], asked: AskedCluster, *, private: bool = False) -> str:
        wanted = asked.given
        # Links of the page about an error would lead to nothing.
        asked.given = ""
        uid = choose(clusters, wanted, HOW, private=private)
        asked.given = wanted
        return uid

    @property
    def _too_slow(self) -> str:
        return f"stopped after {self._seconds:g} s: ask for less"
