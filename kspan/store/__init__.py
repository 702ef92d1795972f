"""The journal and its projection, durable in one database: SQLite or PostgreSQL.

What it promises:

* ``open_store`` makes or migrates the tables by itself, and refuses, with a ``StoreError`` of one line, what is not
  ours, is newer, or is being written to by another process. A writer keeps no reader out.
* ``Store.commit`` writes journal records, stream cursors and the projection's delta in one transaction: after a crash
  at any instant either all of it is there, durably, or nothing. Sequence numbers have no holes. That no version of an
  object comes twice is up to the one writer (``kspan.daemon``); ``Store.known_versions`` tells it what is there.
* ``Store.load_projection`` reads what is live or unresolved and nothing else; ``Store.rebuild`` replaces the
  projection in one transaction; what was emitted stays marked as emitted through both.
* Whatever a database or its driver raises comes out as ``StoreError``, chained.

Importing this package imports SQLAlchemy.
"""

from kspan.store.engine import is_about_data
from kspan.store.open import open_store
from kspan.store.results import ClusterStats, FoldPeriod, KnownVersion, Projection
from kspan.store.store import Store

__all__ = ["ClusterStats", "FoldPeriod", "KnownVersion", "Projection", "Store", "is_about_data", "open_store"]
