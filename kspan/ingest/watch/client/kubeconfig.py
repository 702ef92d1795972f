"""Which cluster, and as whom: the official client's own loaders, with our words for what goes wrong."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kspan.ingest.watch.backoff import Timing
from kspan.ingest.watch.client import credentials
from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.errors import KubeconfigError

_DEFAULT_PATH = "~/.kube/config"


def connect(kubeconfig: str | None = None, context: str | None = None, timing: Timing | None = None) -> Connection:
    """A connection to the cluster of this kubeconfig (None: ``$KUBECONFIG``, ``~/.kube/config``, else the pod's own
    service account) and this context (None: the current one). Nothing is sent yet to the API server.

    Raises KubeconfigError. Takes a quarter of a second, nearly all of it for importing ``kubernetes``.
    """
    path = kubeconfig or os.environ.get("KUBECONFIG") or ""
    if not path and Path(_DEFAULT_PATH).expanduser().exists():
        path = _DEFAULT_PATH
    if not path:
        return Connection(_in_cluster_loader(context), timing or Timing())
    config = _Kubeconfig(path, context)
    return Connection(config.load, timing or Timing(), config.stamp)


class _Kubeconfig:
    """A file, or several with ``:`` between them. Its context stays the one with which it was loaded first: that of
    ``kubectl config use-context`` is somebody else's current one by then."""

    def __init__(self, path: str, context: str | None) -> None:
        self._path = path
        self._context = context
        self._files = [Path(part).expanduser() for part in path.split(os.pathsep) if part]
        if not any(file.is_file() for file in self._files):
            raise KubeconfigError(f"{path}: there is no such kubeconfig")

    def load(self) -> Any:
        """The client's configuration. Raises KubeconfigError."""
        found, self._context = _translating(self._path, lambda: credentials.of_kubeconfig(self._path, self._context))
        return found

    def stamp(self) -> list[tuple[int, int, int]]:
        """Another one once a file is another."""
        return [_stamp(file) for file in self._files]


def _in_cluster_loader(context: str | None) -> Callable[[], Any]:
    if context:
        raise KubeconfigError(f"there is no kubeconfig to have a context {context!r} in: use --kubeconfig")
    if not os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise KubeconfigError("there is no kubeconfig, and this is no pod of a cluster: use --kubeconfig")
    return lambda: _translating("the pod's service account", credentials.of_service_account)


def _translating(source: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except Exception as error:
        # The loaders let through whatever YAML, base64, OAuth and a plugin's output make of a bad file.
        text = " ".join(str(error).split())[:500] or type(error).__name__
        raise KubeconfigError(f"{source}: {text}") from error


def _stamp(file: Path) -> tuple[int, int, int]:
    """What changes with the content of a file, or with what it is a symbolic link to; zeros if it is gone."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns
