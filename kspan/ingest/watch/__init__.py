"""Watches a live cluster: connection, discovery, and one reflector per resource.

``Watcher`` delivers frames as ``JournalBuilder`` reads them: for every resource LIST, its LISTED items, one BOOKMARK
with the list's resourceVersion, then the changes from the watch. The order holds within a resource, not across
resources. A stream is resumed from the newest version seen, or listed again after an ERROR frame with the reason, until
the watcher is stopped. Nothing here writes to the cluster. Importing this package does not import ``kubernetes``.
"""

from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.errors import ApiError, KubeconfigError, Stopped
from kspan.ingest.watch.client.kubeconfig import connect
from kspan.ingest.watch.recorder import Recorded, record
from kspan.ingest.watch.resources.plan import check_names
from kspan.ingest.watch.resources.selection import Selection
from kspan.ingest.watch.retry import Timing
from kspan.ingest.watch.stream_status import WatchObserver
from kspan.ingest.watch.watcher import Watcher
from kspan.k8s.resources import WatchTarget

__all__ = [
    "ApiError",
    "Connection",
    "KubeconfigError",
    "Recorded",
    "Selection",
    "Stopped",
    "Timing",
    "WatchObserver",
    "WatchTarget",
    "Watcher",
    "check_names",
    "connect",
    "record",
]
