"""A live cluster as frames: connection, discovery, one reflector a resource.

``Watcher`` delivers what ``ListWatch`` reads: for every resource LIST, LISTED items, one BOOKMARK with the list's
resourceVersion, then what the watch says. Order holds within a resource, not across resources. It goes on for as long
as it takes: whatever the API server does, a stream is resumed from the newest version it saw, or listed anew after an
ERROR frame that says why. Nothing here writes to the cluster. Importing this package does not import ``kubernetes``.
"""

from kspan.ingest.watch.backoff import Timing
from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.errors import ApiError, KubeconfigError, Stopped
from kspan.ingest.watch.client.kubeconfig import connect
from kspan.ingest.watch.recorder import Recorded, record
from kspan.ingest.watch.resources.selection import Selection
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
    "connect",
    "record",
]
