"""Drops old partitions of the journal on PostgreSQL.

A partition is dropped when all its records are old. Records that are still needed (the newest ones of existing objects)
move to the default partition in the same transaction. A partition with many needed records, or with records of another
cluster, is not dropped: its records are deleted as on SQLite.
"""

import logging
from typing import Final

from sqlalchemy import Connection

from kspan.errors import StoreError
from kspan.store.engine import take_time
from kspan.store.postgresql.partitions import DAY, days, limit_lock_wait, name_of
from kspan.store.store import Store
from kspan.store.tables import recorded_days
from kspan.store.tables.journal import last_sequence

_logger = logging.getLogger(__name__)

KEPT: Final = 2_000
"""Most records that are moved before a partition is dropped. The lock then lasts about 100 ms."""


YIELD_MS: Final = 3_000
"""Milliseconds to wait for a lock. Autovacuum gives way after one second (``deadlock_timeout``)."""

_GONE: Final = "gone_"
"""Prefix of a detached partition until it is deleted."""


def prune(store: Store, cluster: str, before: int) -> int:
    """Drop partitions whose records are all older than ``before`` (Unix ns). Returns the number of deleted records."""
    with store.reading("look for old partitions") as connection:
        old = {name_of(day): day for day in sorted(days(connection)) if (day + 1) * DAY <= before}
    records = 0
    for name, day in old.items():
        try:
            records += _detach(store, cluster, name, day, before)
        except _ChangedError:
            continue
        except StoreError as error:
            _logger.info("partition %s cannot be dropped now, will retry: %s", name, error)
    _delete(store)
    return records


def _detach(store: Store, cluster: str, name: str, day: int, before: int) -> int:
    """Detach the partition of a day. Returns the number of deleted records: 0 if it cannot be dropped."""
    with store.reading("look for needed records in a partition") as connection:
        # This takes long, but records that are not needed now will not be needed later, so others may write meanwhile.
        take_time(connection)
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {YIELD_MS}")
        connection.exec_driver_sql(f"LOCK TABLE {name} IN SHARE UPDATE EXCLUSIVE MODE")
        if _has_others(connection, name, cluster):
            return 0
        last, count, kept = _needed(connection, cluster, name)
        if len(kept) > KEPT:
            return 0
        kept_sum = recorded_days.sum_of(connection, cluster, day, kept)
    with store.writing("drop a partition", cluster) as connection:
        limit_lock_wait(connection)
        connection.exec_driver_sql(f"ALTER TABLE journal DETACH PARTITION {name}")
        if _has_others(connection, name, cluster) or _is_young(connection, cluster, last, before):
            raise _ChangedError
        # By the key, because nobody can commit during this query.
        keep = f"INSERT INTO journal SELECT * FROM {name} WHERE cluster = %s AND seq = ANY(%s)"  # noqa: S608
        connection.exec_driver_sql(keep, (cluster, kept))
        recorded_days.replace(connection, cluster, day, *kept_sum)
        connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO {_GONE}{name}")
        connection.exec_driver_sql(
            "UPDATE fold_state SET pruned_to = greatest(pruned_to, %s) WHERE cluster = %s", (last, cluster)
        )
    return count - len(kept)


def _delete(store: Store) -> None:
    """Delete detached partitions, including those of interrupted runs.

    No writer waits for this: a file system takes a second to delete some gigabytes, and COMMIT waits for it.
    """
    query = (
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' "
        "AND relname ~ ('^' || %s || 'journal_[0-9]+$') ORDER BY relname"
    )
    with store.reading("look for detached partitions") as connection:
        names = list(connection.exec_driver_sql(query, (_GONE,)).scalars())
    for name in names:
        try:
            with store.maintaining("delete a detached partition") as connection:
                take_time(connection)
                limit_lock_wait(connection)
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
        except StoreError as error:
            _logger.info("partition %s cannot be deleted now, will retry: %s", name, error)


class _ChangedError(Exception):
    """The partition has changed since it was examined."""


# SELECT 1 in EXISTS: Citus rejects an empty list of columns.


def _has_others(connection: Connection, name: str, cluster: str) -> bool:
    one = f"EXISTS (SELECT 1 FROM {name} WHERE cluster"  # noqa: S608
    return bool(connection.exec_driver_sql(f"SELECT {one} < %s) OR {one} > %s)", (cluster, cluster)).scalar_one())


def _is_young(connection: Connection, cluster: str, last: int, before: int) -> bool:
    """True if a record before the sequence number ``last`` is not old: the journal is pruned in its order."""
    query = "SELECT EXISTS (SELECT 1 FROM journal WHERE cluster = %s AND seq < %s AND recorded_at >= %s)"
    return bool(connection.exec_driver_sql(query, (cluster, last, before)).scalar_one())


def _needed(connection: Connection, cluster: str, name: str) -> tuple[int, int, list[int]]:
    """(last sequence number, number of records, sequence numbers of the needed records) of a partition."""
    last, count = connection.exec_driver_sql(f"SELECT coalesce(max(seq), 0), count(*) FROM {name}").one()  # noqa: S608
    # From existing objects to their records by name: by uid alone, each look-up would read the whole partition.
    living = (
        f"SELECT j.seq FROM objects AS o JOIN {name} AS j ON j.cluster = o.cluster AND j.kind = o.kind "  # noqa: S608
        "AND j.namespace = o.namespace AND j.name = o.name AND j.uid = o.uid "
        "WHERE o.cluster = %s AND o.remembered AND o.deleted_at = 0 AND j.cluster = %s AND j.uid <> '' "
        "AND j.resource_version = o.resource_version "
        f"AND j.type IN ('ADDED', 'MODIFIED', 'LISTED') LIMIT {KEPT + 1}"
    )
    kept = set(connection.exec_driver_sql(living, (cluster, cluster)).scalars())
    # The last record of the journal is kept: sequence numbers continue from it.
    if last == last_sequence(connection, cluster):
        kept.add(last)
    return last, count, sorted(kept)
