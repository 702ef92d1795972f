"""The official client's configuration, from a kubeconfig or a service account, and the renewal of credentials.

The client's own loaders are used, with these additions:

* An exec plugin is run here, because the client only logs its errors and then continues without credentials.
* The certificate of an OpenID Connect provider is verified even if the kubeconfig names no CA for it.
* The credentials in a proxy's URL are sent to the proxy.

Functions raise whatever the loaders raise; ``kubeconfig`` translates these errors.
"""

import base64
import logging
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from kspan.ingest.watch.client.errors import KubeconfigError
from kspan.ingest.watch.client.sockets import socket_options
from kspan.ingest.watch.client.text import one_line
from kspan.times import SECOND, parse_time

log = logging.getLogger("kspan.watch")

POOL = 100
"""Connections that are kept open: more than there are streams, as urllib3 warns about each one that it discards."""

RENEW_BEFORE = 300 * SECOND
"""A token is renewed this long (ns) before it expires, as the client does."""

_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
"""The schemes that kubectl accepts (k8s.io/client-go tools/clientcmd/client_config.go)."""

_IDP_CA = "idp-certificate-authority"


class ClientSettings(msgspec.Struct, frozen=True):
    """The client's configuration, and how its credentials are renewed."""

    configuration: Any
    renew: Callable[[], str]
    """Renews credentials that are about to expire; called before each request. Returns an empty text, or the reason of
    a failure if the old ones can still be used. Raises any exception if no usable credentials are left."""


def _check_context(config: Any, context: str | None) -> None:
    """Raise KubeconfigError if the kubeconfig has no such context."""
    entries = config.value.get("contexts") if context and config is not None else None
    if not isinstance(entries, list):
        return
    found = [entry.value for entry in entries]
    names = [str(entry["name"]) for entry in found if isinstance(entry, dict) and "name" in entry]
    if context not in names:
        raise KubeconfigError(f"no context {context!r}: use one of {', '.join(names)}")


def of_kubeconfig(path: str, context: str | None) -> tuple[ClientSettings, str]:
    """Return the settings of a context (None: the current one), and its name. Runs an exec plugin, or renews tokens."""
    from kubernetes.client.configuration import Configuration
    from kubernetes.config import kube_config

    untyped: Any = kube_config
    files, configuration = untyped.KubeConfigMerger(path), Configuration()
    _check_context(files.config, context)
    our_ca: list[dict[str, Any]] = []
    loader = untyped.KubeConfigLoader(
        files.config, context, config_base_path=None, config_persister=lambda: _save_tokens(files, our_ca)
    )
    names = loader.current_context["context"]
    name = names.get("user") or ""
    entry: Any = files.config["users"].get_with_name(name, safe=True) if name else None
    user: dict[str, Any] = (entry.value.get("user") if entry is not None else None) or {}
    method = _method_of(name, user)
    renew = None
    with _naming(name, method):
        if method == "exec":
            plugin = ExecPlugin(entry["user"]["exec"], files.config["clusters"].get_with_name(names["cluster"]))
            entry.value["user"] = {key: value for key, value in user.items() if key != "exec"} | plugin.run()
            loader.set_active_context(loader.current_context["name"])
            renew = _renewal_by_plugin(configuration, plugin)
        elif method:
            _set_provider_ca(user, our_ca)
        loader.load_and_set(configuration)
    if method and not configuration.api_key and not configuration.cert_file:
        raise KubeconfigError(f"user {name!r}, {method}: it gives no credentials")
    _tune(configuration)
    return ClientSettings(configuration, renew or _renewal_by_hook(configuration)), loader.current_context["name"]


def of_service_account() -> ClientSettings:
    """Return the settings of a pod. The client reads the token again every minute."""
    from kubernetes import config
    from kubernetes.client.configuration import Configuration

    load: Any = config.load_incluster_config
    configuration = Configuration()
    load(configuration)
    _tune(configuration)
    return ClientSettings(configuration, _renewal_by_hook(configuration))


def _method_of(name: str, user: Mapping[str, Any]) -> str:
    """``exec`` or ``auth-provider`` if the user's credentials come from there, else empty."""
    if user.get("as"):
        raise KubeconfigError(f"user {name!r} impersonates {user['as']!r}, which kspan cannot: use another context")
    method = next((key for key in ("exec", "auth-provider") if user.get(key)), "")
    if method and not isinstance(user[method], dict):
        raise KubeconfigError(f"user {name!r}, {method}: it has to be an object")
    # The client prefers a token over a plugin.
    return "" if method == "exec" and (user.get("token") or user.get("tokenFile")) else method


@contextmanager
def _naming(user: str, method: str) -> Iterator[None]:
    """Add the user and the source of the credentials to any error."""
    try:
        yield
    except Exception as error:
        if not method:
            raise
        raise KubeconfigError(f"user {user!r}, {method}: {error}") from error


# renewal -----------------------------------------------------------------------------------------------------------


def _renewal_by_hook(configuration: Any) -> Callable[[], str]:
    """Renewal by the hook that the client's loader has set, which raises its errors.

    The hook is called before a request and not by the client within it, so that its errors can be distinguished.
    """
    hook, configuration.refresh_api_key_hook = configuration.refresh_api_key_hook, None

    def renew() -> str:
        if hook is not None:
            try:
                hook(configuration)
            finally:
                configuration.refresh_api_key_hook = None  # The hook sets itself again.
        return ""

    return renew


def _renewal_by_plugin(configuration: Any, plugin: "ExecPlugin") -> Callable[[], str]:
    """Renewal of a token by an exec plugin. A certificate is renewed only when the API server rejects it."""

    def renew() -> str:
        configuration.refresh_api_key_hook = None
        if not configuration.api_key or not plugin.expires_soon():
            return ""
        try:
            configuration.api_key["BearerToken"] = f"Bearer {plugin.run()['token']}"
        except Exception as error:
            return one_line(error)
        return ""

    return renew


class ExecPlugin:
    """An exec plugin of a kubeconfig (client.authentication.k8s.io ExecCredential), run by the official client's code.

    ``settings`` and ``cluster`` are nodes of the kubeconfig: the ``exec`` of the user, and the entry of the cluster.
    """

    def __init__(self, settings: Any, cluster: Any) -> None:
        self._settings = settings
        self._cluster = cluster["cluster"]
        self._expires = 0

    def expires_soon(self) -> bool:
        """True if the credentials have expired or are about to."""
        return bool(self._expires) and time.time_ns() > self._expires - RENEW_BEFORE

    def run(self) -> dict[str, str]:
        """Return the fields of a user entry with the plugin's credentials. Raises any exception."""
        from kubernetes.config import exec_provider

        untyped: Any = exec_provider
        folder = str(Path(self._cluster.path).parent.absolute()) if self._cluster.path else ""
        try:
            status: dict[str, str] = untyped.ExecProvider(self._settings, folder, self._cluster).run()
        except Exception as error:
            hint = " ".join(str(self._settings.value.get("installHint") or "").split())
            raise KubeconfigError(f"{error}{f' ({hint})' if hint else ''}") from error
        self._expires = parse_time(status["expirationTimestamp"]) if status.get("expirationTimestamp") else 0
        if status.get("token"):
            return {"token": status["token"]}
        if not status.get("clientCertificateData"):
            raise KubeconfigError("exec: the plugin's output has no token and no clientCertificateData")
        if not status.get("clientKeyData"):
            raise KubeconfigError("exec: the plugin's output has no clientKeyData")
        return {
            "client-certificate-data": _base64(status["clientCertificateData"]),
            "client-key-data": _base64(status["clientKeyData"]),
        }


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# OpenID Connect ----------------------------------------------------------------------------------------------------


def _set_provider_ca(user: Mapping[str, Any], our_ca: list[dict[str, Any]]) -> None:
    """Let the system's CAs verify the OpenID Connect provider if the kubeconfig names no CA for it.

    Without a CA the client verifies nothing, and would send the refresh token and the client's secret to anybody.
    """
    provider = user.get("auth-provider") or {}
    settings = provider.get("config")
    if provider.get("name") != "oidc" or not isinstance(settings, dict):
        return
    if _IDP_CA not in settings and f"{_IDP_CA}-data" not in settings:
        settings[_IDP_CA] = os.environ.get("REQUESTS_CA_BUNDLE") or ssl.get_default_verify_paths().cafile or _bundled()
        our_ca.append(settings)


def _bundled() -> str:
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    return str(DEFAULT_CA_BUNDLE_PATH)


def _save_tokens(files: Any, our_ca: list[dict[str, Any]]) -> None:
    """Save new tokens in the kubeconfig, as kubectl does: a refresh token may be valid for one use only."""
    paths = [settings.pop(_IDP_CA) for settings in our_ca]
    try:
        files.save_changes()
    except OSError as error:
        log.warning("the new tokens of the OpenID Connect provider cannot be saved in the kubeconfig: %s", error)
    for settings, path in zip(our_ca, paths, strict=True):
        settings[_IDP_CA] = path


# connections -------------------------------------------------------------------------------------------------------


def _tune(configuration: Any) -> None:
    from urllib3 import Retry

    # All retries are ours: urllib3 would sleep for a Retry-After and ignore a stop.
    configuration.retries = Retry(False)
    configuration.socket_options = socket_options()
    configuration.connection_pool_maxsize = POOL
    if configuration.proxy:
        _set_proxy_credentials(configuration)
    if not configuration.verify_ssl:
        import urllib3

        log.warning("the API server's certificate is not verified (insecure-skip-tls-verify)")
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


def _set_proxy_credentials(configuration: Any) -> None:
    from urllib3.util import make_headers

    url = urlsplit(configuration.proxy if isinstance(configuration.proxy, str) else "")
    if url.scheme not in _PROXY_SCHEMES or not url.hostname:
        raise KubeconfigError(f"invalid proxy URL: use one of {', '.join(f'{name}://' for name in _PROXY_SCHEMES)}")
    if url.scheme.startswith("socks"):
        if not find_spec("socks"):
            raise KubeconfigError("a SOCKS proxy needs PySocks: pip install 'urllib3[socks]'")
    elif url.username is not None:
        credentials = f"{unquote(url.username)}:{unquote(url.password or '')}"
        configuration.proxy_headers = make_headers(proxy_basic_auth=credentials)
