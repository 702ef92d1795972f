"""A live cluster as frames: connection, discovery, one reflector a resource.

``Watcher`` delivers what ``Streams`` reads: for every resource LIST, LISTED items, one BOOKMARK with the list's
resourceVersion, then what the watch says. Order holds within a resource, not across resources. It goes on for as long
as it takes: whatever the API server does, a stream is resumed from the newest version it saw, or listed anew after an
ERROR frame that says why. Nothing here writes to the cluster. Importing this package does not import ``kubernetes``.
"""

from kspan.ingest.kube.backoff import Timing
from kspan.ingest.kube.connection import Connection
from kspan.ingest.kube.errors import ApiError, KubeconfigError, Stopped
from kspan.ingest.kube.kubeconfig import connect
from kspan.ingest.kube.recorder import Recorded, record
from kspan.ingest.kube.selection import Selection, Target
from kspan.ingest.kube.status import WatchObserver
from kspan.ingest.kube.watcher import Watcher

__all__ = [
    "ApiError",
    "Connection",
    "KubeconfigError",
    "Recorded",
    "Selection",
    "Stopped",
    "Target",
    "Timing",
    "WatchObserver",
    "Watcher",
    "connect",
    "record",
]
