"""A small stateful Kubernetes API server for tests, over real HTTP(S), with the wording of a real one (1.36).

It stores objects with resourceVersions, serves discovery, lists (with pages), watches (with bookmarks and 410s) and
writes, can serve a recording, and injects faults on demand::

    with ApiServer(token="s") as server:
        server.put("v1/pods", {"metadata": {"name": "web-1", "namespace": "shop"}, "spec": {}})
        server.faults.add(ErrorFrame(410), resource="v1/pods", times=1)
        ...
        assert server.requests_seen("v1/pods", "list") == 2

``python -m tests.apiserver --help`` runs it as a process, which is controlled under ``/_test/...`` (control.py).
"""

from tests.apiserver.faults import (
    BadLine,
    Break,
    EmptyWatch,
    ErrorFrame,
    Gone,
    HugeLine,
    Injection,
    OffSchema,
    Refuse,
    Slow,
    Stall,
)
from tests.apiserver.replaying import Replay
from tests.apiserver.server import ApiServer

__all__ = [
    "ApiServer",
    "BadLine",
    "Break",
    "EmptyWatch",
    "ErrorFrame",
    "Gone",
    "HugeLine",
    "Injection",
    "OffSchema",
    "Refuse",
    "Replay",
    "Slow",
    "Stall",
]
