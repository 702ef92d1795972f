"""Leader election: one process writes the tables of a cluster on a shared server.

The writer holds a session lock, which the server releases when the session ends in any way. A process that was stopped
and resumes does not notice that. So each new writer increments an epoch, and every write transaction checks that the
epoch is still its own (fencing).
"""

import os
import socket
import threading
import time
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.postgresql import insert

from kspan.errors import FencedError
from kspan.store.engine import translated
from kspan.store.schema import tables as schema

# With the schema: two schemas of one database may hold the same cluster.
_LOCK: Final = "SELECT pg_try_advisory_lock(hashtextextended('kspan ' || current_schema() || ' ' || %s, 0))"


class _Claim(msgspec.Struct, frozen=True):
    session: Connection
    epoch: int


class Leadership:
    """The clusters that this process writes to. Safe to use from several threads."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._mutex = threading.Lock()
        self._claims: dict[str, _Claim] = {}

    def claim(self, cluster: str) -> str:
        """Acquire or renew leadership. Returns "" on success, else the current leader.

        Raises FencedError if another process has taken over, StoreError if the database fails.
        """
        with self._mutex, translated(self._name, "acquire leadership"):
            held = self._claims.get(cluster)
            if held is not None and _lives(held.session):
                return ""
            return self._claim(cluster, held)

    def check(self, connection: Connection, cluster: str) -> None:
        """Check the epoch in a write transaction, and block others from taking over meanwhile. Raises FencedError."""
        state = schema.leader_state
        epoch = connection.execute(select(state.c.epoch).where(state.c.cluster == cluster).with_for_update(read=True))
        if epoch.scalar_one_or_none() != self._claims[cluster].epoch:
            raise self._fenced(connection, cluster)

    def was_claimed(self, cluster: str) -> bool:
        """True if this process acquired leadership. Another one may have taken over since."""
        return cluster in self._claims

    def close(self) -> None:
        """Release leadership of all clusters."""
        with self._mutex:
            for claim in self._claims.values():
                _end(claim.session)
            self._claims.clear()

    # -----------------------------------------------------------------------------------------------------------------

    def _claim(self, cluster: str, held: _Claim | None) -> str:
        session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            if not session.exec_driver_sql(_LOCK, (cluster,)).scalar_one():
                holder, epoch = _leader(session, cluster)
                if held is not None and held.epoch != epoch:
                    raise self._fenced(session, cluster)
                session.close()
                return holder
            if held is not None and held.epoch != _leader(session, cluster)[1]:
                raise self._fenced(session, cluster)
            self._claims[cluster] = _Claim(session, _next_epoch(session, cluster))
        except BaseException:
            _end(session)
            raise
        return ""

    def _fenced(self, connection: Connection, cluster: str) -> FencedError:
        holder, _ = _leader(connection, cluster)
        return FencedError(f"{self._name}: another kspan ({holder}) has taken over cluster {cluster}")


def _lives(session: Connection) -> bool:
    try:
        session.exec_driver_sql("SELECT 1")
    except Exception:  # after any error, the session may have lost its lock
        _end(session)
        return False
    return True


def _end(session: Connection) -> None:
    """Close a session. Not by returning it to a pool, where it would keep the lock."""
    if not session.closed:
        session.invalidate()
        session.close()


def _leader(connection: Connection, cluster: str) -> tuple[str, int]:
    state = schema.leader_state
    found = connection.execute(select(state.c.holder, state.c.epoch).where(state.c.cluster == cluster)).one_or_none()
    return (found.holder, found.epoch) if found is not None else ("just started", 0)


def _next_epoch(session: Connection, cluster: str) -> int:
    state = schema.leader_state
    statement = insert(state)
    upsert = statement.on_conflict_do_update(
        index_elements=["cluster"],
        set_={"epoch": state.c.epoch + 1, "holder": statement.excluded.holder, "since": statement.excluded.since},
    ).returning(state.c.epoch)
    holder = f"{socket.gethostname()}, pid {os.getpid()}"
    values = {"cluster": cluster, "epoch": 1, "holder": holder, "since": time.time_ns()}
    return int(session.execute(upsert, values).scalar_one())
