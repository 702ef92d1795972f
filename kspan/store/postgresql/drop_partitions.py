"""Dropping what is old of the journal on PostgreSQL, a day at a time.

A partition goes as a whole once all that is in it is old. What is still needed of it, the newest records of objects
that live, goes to the default partition in the same transaction. A partition of which much is needed, or in which there
is something of another cluster, is not dropped: its records are deleted like SQLite's.
"""

import logging
from typing import Final

from sqlalchemy import Connection

from kspan.errors import StoreError
from kspan.store.engine import take_time
from kspan.store.postgresql.partitions import DAY, be_quick, days, name_of
from kspan.store.store import Store
from kspan.store.tables.journal import last_sequence

_logger = logging.getLogger(__name__)

KEPT: Final = 2_000
"""Records that are moved out of a partition that is dropped; the lock lasts for some 100 ms then."""


YIELD_MS: Final = 3_000
"""Autovacuum stops its work on a table when somebody has waited for that for a second (``deadlock_timeout``)."""

_GONE: Final = "gone_"
"""Before the name of a partition that was taken out, until it is deleted."""


def prune(store: Store, cluster: str, before: int) -> int:
    """Drop partitions of the journal in which all is older than ``before`` (Unix ns); how many records went."""
    with store.reading("look for old partitions") as connection:
        names = [name_of(day) for day in sorted(days(connection)) if (day + 1) * DAY <= before]
    records = 0
    for name in names:
        try:
            records += _take_out(store, cluster, name, before)
        except _ChangedError:
            continue
        except StoreError as error:
            _logger.info("the partition %s is not dropped now: %s", name, error)
    _delete(store)
    return records


def _take_out(store: Store, cluster: str, name: str, before: int) -> int:
    """How many records went: none where something of another cluster, or too much, is needed."""
    with store.reading("look for what is needed of a partition") as connection:
        # A long look, while others write: what is not needed now never will be.
        take_time(connection)
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {YIELD_MS}")
        connection.exec_driver_sql(f"LOCK TABLE {name} IN SHARE UPDATE EXCLUSIVE MODE")
        if _has_others(connection, name, cluster):
            return 0
        last, count, kept = _needed(connection, cluster, name)
    if len(kept) > KEPT:
        return 0
    with store.writing("drop a partition", cluster) as connection:
        be_quick(connection)
        connection.exec_driver_sql(f"ALTER TABLE journal DETACH PARTITION {name}")
        if _has_others(connection, name, cluster) or _is_young(connection, cluster, last, before):
            raise _ChangedError
        # By the key: nobody can commit while this looks.
        keep = f"INSERT INTO journal SELECT * FROM {name} WHERE cluster = %s AND seq = ANY(%s)"  # noqa: S608
        connection.exec_driver_sql(keep, (cluster, kept))
        connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO {_GONE}{name}")
        connection.exec_driver_sql(
            "UPDATE fold_state SET pruned_to = greatest(pruned_to, %s) WHERE cluster = %s", (last, cluster)
        )
    return count - len(kept)


def _delete(store: Store) -> None:
    """Delete what was taken out, now or by who did not get to this. Not in a writer's turn: a file system takes a
    second to let go of some gigabytes, and COMMIT waits for it."""
    query = (
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' "
        "AND relname ~ ('^' || %s || 'journal_[0-9]+$') ORDER BY relname"
    )
    with store.reading("look for partitions that were taken out") as connection:
        names = list(connection.exec_driver_sql(query, (_GONE,)).scalars())
    for name in names:
        try:
            with store.maintaining("delete a detached partition") as connection:
                take_time(connection)
                be_quick(connection)
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
        except StoreError as error:
            _logger.info("%s is deleted later: %s", name, error)


class _ChangedError(Exception):
    """The partition is not what it was a moment ago."""


def _has_others(connection: Connection, name: str, cluster: str) -> bool:
    one = f"EXISTS (SELECT FROM {name} WHERE cluster"
    return bool(connection.exec_driver_sql(f"SELECT {one} < %s) OR {one} > %s)", (cluster, cluster)).scalar_one())


def _is_young(connection: Connection, cluster: str, last: int, before: int) -> bool:
    """Whether something before the sequence number ``last`` has to stay: what is pruned goes in the journal's order."""
    query = "SELECT EXISTS (SELECT FROM journal WHERE cluster = %s AND seq < %s AND recorded_at >= %s)"
    return bool(connection.exec_driver_sql(query, (cluster, last, before)).scalar_one())


def _needed(connection: Connection, cluster: str, name: str) -> tuple[int, int, list[int]]:
    """The last sequence number of a partition, how many records it has, and which of them have to stay."""
    last, count = connection.exec_driver_sql(f"SELECT coalesce(max(seq), 0), count(*) FROM {name}").one()  # noqa: S608
    # From what lives to its records, by name: by uid alone each would be looked for in the whole partition.
    living = (
        f"SELECT j.seq FROM objects AS o JOIN {name} AS j ON j.cluster = o.cluster AND j.kind = o.kind "  # noqa: S608
        "AND j.namespace = o.namespace AND j.name = o.name AND j.uid = o.uid "
        "WHERE o.cluster = %s AND o.remembered AND o.deleted_at = 0 AND j.cluster = %s AND j.uid <> '' "
        "AND j.resource_version = o.resource_version "
        f"AND j.type IN ('ADDED', 'MODIFIED', 'LISTED') LIMIT {KEPT + 1}"
    )
    kept = set(connection.exec_driver_sql(living, (cluster, cluster)).scalars())
    # The journal's last record stays: the numbers go on from it.
    if last == last_sequence(connection, cluster):
        kept.add(last)
    return last, count, sorted(kept)
