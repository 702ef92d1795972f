"""Citus: kspan writes through the coordinator only.

On a worker, an advisory lock is not that of the coordinator, so two daemons would both become the writer of a cluster;
and partitions of distributed tables cannot be created there.
"""

from sqlalchemy import Connection

from kspan.errors import StoreError


def check_coordinator(connection: Connection, name: str) -> None:
    """Raise StoreError if the server is a Citus worker. ``name`` is that of the database, for people."""
    # NULL without Citus, and in a Citus before 10.2, which has no such function.
    known = connection.exec_driver_sql("SELECT to_regprocedure('citus_is_coordinator()') IS NOT NULL").scalar_one()
    if known and not connection.exec_driver_sql("SELECT citus_is_coordinator()").scalar_one():
        raise StoreError(
            f"{name}: this server is a worker of Citus, whose locks another kspan does not see: give --db the address "
            "of the coordinator"
        )
