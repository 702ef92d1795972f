"""The SQLAlchemy engine of a store, for tests that listen to its statements."""

from sqlalchemy import Engine

from kspan.store import Store


def engine_of(store: Store) -> Engine:
    with store.reading("find the engine") as connection:
        return connection.engine
