"""Who may write to a cluster's tables on a server that many can reach.

One session lock for each cluster says who writes: the server lets go of it when that session ends, however it ends. A
process that was stopped and goes on does not know that its lock is gone. So each new writer counts an epoch up, and
every transaction that writes looks whether the epoch is still its own: who is late is turned away.
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

# Schemas of one database may have a cluster each, or the same one.
_LOCK: Final = "SELECT pg_try_advisory_lock(hashtextextended('kspan ' || current_schema() || ' ' || %s, 0))"


class _Claim(msgspec.Struct, frozen=True):
    session: Connection
    epoch: int


class Leadership:
    """The clusters that this process may write to. Safe to use from several threads."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._turn = threading.Lock()
        self._claims: dict[str, _Claim] = {}

    def claim(self, cluster: str) -> str:
        """Become the one who writes to the cluster, or stay it: empty, or else who it is.

        Raises FencedError where another was it since, StoreError where the database fails.
        """
        with self._turn, translated(self._name, "become the writer"):
            held = self._claims.get(cluster)
            if held is not None and _lives(held.session):
                return ""
            return self._claim(cluster, held)

    def check(self, connection: Connection, cluster: str) -> None:
        """In a transaction that writes: nobody else becomes the writer before its end. Raises FencedError."""
        state = schema.leader_state
        epoch = connection.execute(select(state.c.epoch).where(state.c.cluster == cluster).with_for_update(read=True))
        if epoch.scalar_one_or_none() != self._claims[cluster].epoch:
            raise self._fenced(connection, cluster)

    def was_claimed(self, cluster: str) -> bool:
        """Whether this process became the one who writes; perhaps another is by now."""
        return cluster in self._claims

    def close(self) -> None:
        """Let others write."""
        with self._turn:
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
    except Exception:  # whatever it is, the lock cannot be relied on
        _end(session)
        return False
    return True


def _end(session: Connection) -> None:
    """Not back to the pool: the lock would stay with it."""
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
