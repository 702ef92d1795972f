"""The official client's configuration from a kubeconfig or a service account, with what its loaders leave out.

They go on as nobody where a plugin fails, do not check who the OpenID Connect provider is where its CA is not named,
and do not send the credentials in a proxy's URL. Errors are whatever they raise; ``kubeconfig`` translates them.
"""

import logging
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, urlsplit

from kspan.ingest.watch.client.errors import KubeconfigError

log = logging.getLogger("kspan.watch")

POOL = 100
"""Connections that are kept: more than there are streams, or urllib3 warns of each one that it lets go."""

_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
"""Those that kubectl knows too (k8s.io/client-go, tools/clientcmd/client_config.go)."""

_IDP_CA = "idp-certificate-authority"


def of_kubeconfig(path: str, context: str | None) -> tuple[Any, str]:
    """The configuration of a context (None: the current one), and its name. Runs the plugin, or asks for new tokens."""
    from kubernetes.client.configuration import Configuration
    from kubernetes.config import kube_config

    untyped: Any = kube_config
    files, configuration = untyped.KubeConfigMerger(path), Configuration()
    borrowed: list[dict[str, Any]] = []
    loader = untyped.KubeConfigLoader(
        files.config, context, config_base_path=None, config_persister=lambda: _save(files, borrowed)
    )
    name = loader.current_context["context"].get("user")
    entry = files.config["users"].get_with_name(name, safe=True) if name else None
    user: dict[str, Any] = dict((entry.value if entry is not None else {}).get("user") or {})
    if user.get("as"):
        raise KubeconfigError(f"user {name!r} acts as {user['as']!r}: kspan does not impersonate, use another context")
    asked = next((kind for kind in ("exec", "auth-provider") if user.get(kind)), "")
    if asked and not isinstance(user[asked], dict):
        raise KubeconfigError(f"user {name!r}, {asked}: it has to be an object")
    _name_authority(user, borrowed)
    with overhearing() as complaints, _naming(name, asked):
        loader.load_and_set(configuration)
    if asked and not configuration.api_key and not configuration.cert_file:
        hint = " ".join(str(user["exec"].get("installHint") or "").split()) if asked == "exec" else ""
        text = complaints[0] if complaints else "it gives no credentials"
        raise KubeconfigError(f"user {name!r}, {asked}: {text}{f' ({hint})' if hint else ''}")
    return _tuned(configuration), loader.current_context["name"]


def of_service_account() -> Any:
    """The configuration of a pod: the token is read again each minute."""
    from kubernetes import config
    from kubernetes.client.configuration import Configuration

    load: Any = config.load_incluster_config
    configuration = Configuration()
    load(configuration)
    return _tuned(configuration)


@contextmanager
def _naming(user: str, asked: str) -> Iterator[None]:
    """Says where the credentials were to come from in whatever is raised meanwhile."""
    try:
        yield
    except Exception as error:
        if not asked:
            raise
        raise KubeconfigError(f"user {user!r}, {asked}: {error}") from error


@contextmanager
def overhearing() -> Iterator[list[str]]:
    """What the client's loaders say to the root logger of a plugin that failed, and to nobody else."""
    heard: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        heard.append(record.getMessage())
        return False

    root = logging.getLogger()
    root.addFilter(keep)
    try:
        yield heard
    finally:
        root.removeFilter(keep)


def _name_authority(user: Mapping[str, Any], borrowed: list[dict[str, Any]]) -> None:
    """Who vouches for the OpenID Connect provider, where the kubeconfig does not say: whom the system trusts.

    The client would ask anybody for the address to send the refresh token and the client's secret to.
    """
    provider = user.get("auth-provider") or {}
    settings = provider.get("config")
    if provider.get("name") != "oidc" or not isinstance(settings, dict):
        return
    if _IDP_CA not in settings and f"{_IDP_CA}-data" not in settings:
        settings[_IDP_CA] = os.environ.get("REQUESTS_CA_BUNDLE") or ssl.get_default_verify_paths().cafile or _bundled()
        borrowed.append(settings)


def _bundled() -> str:
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    return str(DEFAULT_CA_BUNDLE_PATH)


def _save(files: Any, borrowed: list[dict[str, Any]]) -> None:
    """Keeps new tokens, as kubectl does: a refresh token may be good for one use only."""
    ours = [settings.pop(_IDP_CA) for settings in borrowed]
    try:
        files.save_changes()
    except OSError as error:
        log.warning("the new tokens of the OpenID Connect provider cannot be kept in the kubeconfig: %s", error)
    for settings, path in zip(borrowed, ours, strict=True):
        settings[_IDP_CA] = path


def _tuned(configuration: Any) -> Any:
    from urllib3 import Retry

    # Every retry is ours: urllib3's would sleep through a Retry-After, deaf to a stop.
    configuration.retries = Retry(False)
    # A peer that is gone without a word shows in a minute, and not in twice a watch's timeout.
    configuration.keep_alive = True
    configuration.connection_pool_maxsize = POOL
    if configuration.proxy:
        _by_proxy(configuration)
    if not configuration.verify_ssl:
        import urllib3

        log.warning("the API server's certificate is not verified (insecure-skip-tls-verify)")
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return configuration


def _by_proxy(configuration: Any) -> None:
    from urllib3.util import make_headers

    url = urlsplit(configuration.proxy if isinstance(configuration.proxy, str) else "")
    if url.scheme not in _PROXY_SCHEMES or not url.hostname:
        raise KubeconfigError(f"the proxy is no URL of a kind that is known ({', '.join(_PROXY_SCHEMES)})")
    if url.scheme.startswith("socks"):
        if not find_spec("socks"):
            raise KubeconfigError("a SOCKS proxy needs PySocks: pip install 'urllib3[socks]'")
    elif url.username is not None:
        credentials = f"{unquote(url.username)}:{unquote(url.password or '')}"
        configuration.proxy_headers = make_headers(proxy_basic_auth=credentials)
