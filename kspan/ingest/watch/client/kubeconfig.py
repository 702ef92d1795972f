"""Finds the configuration of a cluster (kubeconfig or service account) and opens a connection with it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from kspan.ingest.watch.client import credentials
from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.credentials import ClientSettings
from kspan.ingest.watch.client.errors import KubeconfigError
from kspan.ingest.watch.client.text import one_line
from kspan.ingest.watch.retry import Timing
from kspan.paths import exists, expanded, why_unusable

_DEFAULT_PATH = "~/.kube/config"

_T = TypeVar("_T")


def connect(kubeconfig: str | None = None, context: str | None = None, timing: Timing | None = None) -> Connection:
    """Return a connection to a cluster. Nothing is sent to the API server yet.

    This takes a quarter of a second, mostly for importing ``kubernetes``.

    Args:
        kubeconfig: None: ``$KUBECONFIG``, else ``~/.kube/config``, else the pod's service account.
        context: None: the current context of the kubeconfig.
        timing: intervals and timeouts.

    Raises:
        KubeconfigError: there is no usable configuration, or no credentials.
    """
    path = kubeconfig or os.environ.get("KUBECONFIG") or ""
    if not path and exists(expanded(_DEFAULT_PATH)):
        path = _DEFAULT_PATH
    if not path:
        return Connection(_service_account_loader(context), timing or Timing())
    config = _Kubeconfig(path, context)
    return Connection(config.load, timing or Timing(), config.stamp)


class _Kubeconfig:
    """One kubeconfig file, or several separated by ``:``.

    Once loaded, the context is fixed: ``kubectl config use-context`` changes the current one for somebody else.
    """

    def __init__(self, path: str, context: str | None) -> None:
        self._path = path
        self._context = context
        self._files = [expanded(part) for part in path.split(os.pathsep) if part]
        # As in kubectl, a file of several may be missing, but not unreadable. The client's errors do not fit one line.
        if not [file for file in self._files if _is_readable(file)]:
            raise KubeconfigError(f"{path}: no such file")

    def load(self) -> ClientSettings:
        """Load the client's settings. Raises KubeconfigError."""
        found, self._context = _translated(self._path, lambda: credentials.of_kubeconfig(self._path, self._context))
        return found

    def stamp(self) -> list[tuple[int, int, int]]:
        """A value that changes when one of the files changes."""
        return [_stamp(file) for file in self._files]


def _service_account_loader(context: str | None) -> Callable[[], ClientSettings]:
    if context:
        raise KubeconfigError(f"no kubeconfig found, so there is no context {context!r}: use --kubeconfig")
    if not os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise KubeconfigError("no kubeconfig found, and this is not a pod in a cluster: use --kubeconfig")
    return lambda: _translated("the pod's service account", credentials.of_service_account)


def _translated(source: str, load: Callable[[], _T]) -> _T:
    try:
        return load()
    except Exception as error:
        # The client's loaders let through the errors of YAML, base64, OAuth and plugins.
        raise KubeconfigError(f"{source}: {one_line(error, 500)}") from error


def _is_readable(file: Path) -> bool:
    """Return False for a missing file. Raises KubeconfigError for one that exists and cannot be read."""
    try:
        # Not a pipe: it could be read only once, and the file is read again when it changes.
        if not file.is_file() and not file.is_dir():
            return False
        with file.open("rb"):
            return True
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"{file}: {why_unusable(error)}") from error


def _stamp(file: Path) -> tuple[int, int, int]:
    """Changes with the content of a file, or with the file that a symbolic link points to; zeros if it is missing."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns
