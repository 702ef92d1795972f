"""Which cluster, and as whom: the official client's own loaders, with our words for what goes wrong."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kspan.ingest.kube.backoff import Timing
from kspan.ingest.kube.connection import Connection
from kspan.ingest.kube.errors import KubeconfigError

log = logging.getLogger("kspan.watch")

POOL = 100
"""Connections that are kept: more than there are streams, or urllib3 warns of each one that it lets go."""

_DEFAULT_PATH = "~/.kube/config"


def connect(kubeconfig: str | None = None, context: str | None = None, timing: Timing | None = None) -> Connection:
    """A connection to the cluster of this kubeconfig (None: ``$KUBECONFIG``, ``~/.kube/config``, else the pod's own
    service account) and this context (None: the current one). Nothing is sent yet.

    Raises KubeconfigError. Takes a quarter of a second, nearly all of it for importing ``kubernetes``.
    """
    path = kubeconfig or os.environ.get("KUBECONFIG") or ""
    if not path and Path(_DEFAULT_PATH).expanduser().exists():
        path = _DEFAULT_PATH
    load = _file_loader(path, context) if path else _in_cluster_loader(context)
    return Connection(load, timing or Timing())


def _file_loader(path: str, context: str | None) -> Callable[[], Any]:
    if not any(Path(part).expanduser().is_file() for part in path.split(os.pathsep) if part):
        raise KubeconfigError(f"{path}: there is no such kubeconfig")

    def load() -> Any:
        from kubernetes import config

        load_file: Any = config.load_kube_config
        configuration = _new_configuration()
        _translating(path, lambda: load_file(path, context, client_configuration=configuration))
        return _tuned(configuration)

    return load


def _in_cluster_loader(context: str | None) -> Callable[[], Any]:
    if context:
        raise KubeconfigError(f"there is no kubeconfig to have a context {context!r} in: use --kubeconfig")
    if not os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise KubeconfigError("there is no kubeconfig, and this is no pod of a cluster: use --kubeconfig")

    def load() -> Any:
        from kubernetes import config

        load_account: Any = config.load_incluster_config
        configuration = _new_configuration()
        _translating("the pod's service account", lambda: load_account(configuration))
        return _tuned(configuration)

    return load


def _new_configuration() -> Any:
    from kubernetes.client.configuration import Configuration

    return Configuration()


def _translating(source: str, load: Callable[[], None]) -> None:
    try:
        load()
    except Exception as error:
        # The loaders let through whatever YAML, base64, OAuth and a plugin's output make of a bad file.
        text = " ".join(str(error).split()) or type(error).__name__
        raise KubeconfigError(f"{source}: {text}") from error


def _tuned(configuration: Any) -> Any:
    from urllib3 import Retry

    # Every retry is ours: urllib3's would sleep through a Retry-After, deaf to a stop.
    configuration.retries = Retry(False)
    # A peer that is gone without a word shows in a minute, and not in twice a watch's timeout.
    configuration.keep_alive = True
    configuration.connection_pool_maxsize = POOL
    if not configuration.verify_ssl:
        import urllib3

        log.warning("the API server's certificate is not verified (insecure-skip-tls-verify)")
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return configuration
