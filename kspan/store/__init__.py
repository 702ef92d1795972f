"""The journal and its projection in one database, SQLite or PostgreSQL.

Guarantees:

* ``open_store`` creates or migrates the tables. It refuses, with a StoreError of one line, a database that belongs to
  another program, is newer, or is being written to by another process. A writer does not block readers.
* ``Store.commit`` writes journal records, stream cursors and the change of the projection in one transaction. After a
  crash at any moment, either all of it is durable or nothing. Sequence numbers have no gaps. The writer makes sure that
  no version of an object is journalled twice, with the help of ``Store.known_versions``.
* ``Store.load_projection`` reads only live and unresolved rows. ``Store.rebuild`` replaces the projection in one
  transaction. Both keep the record of what was exported.
* Every error of the database or its driver is raised as a StoreError, chained.

Importing this package imports SQLAlchemy.
"""

from kspan.store.engine import is_about_data
from kspan.store.open import open_store
from kspan.store.results import ClusterStats, FoldPeriod, KnownVersion, Projection
from kspan.store.store import Store

__all__ = ["ClusterStats", "FoldPeriod", "KnownVersion", "Projection", "Store", "is_about_data", "open_store"]
