"""Finds the Service of a daemon, and says which right is missing and which command grants it."""

import re
import shlex
from typing import Any, Final
from urllib.parse import quote

import msgspec

from kspan.cli.remote_option import RemoteName
from kspan.errors import KspanError
from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.errors import ApiError, ForbiddenError
from kspan.terminal.text import harmless

LABEL: Final = "app.kubernetes.io/name=kspan"
"""On the Services of the Helm chart and of deploy/kubernetes.yaml."""

_PORT: Final = "http"
"""Name of the port in the chart."""

_USER: Final = re.compile(r'User "([^"]+)"')
_ACCOUNT: Final = "system:serviceaccount:"


class UnansweredError(KspanError):
    """The daemon does not answer at the moment. Asking again can help."""


class Service(msgspec.Struct, frozen=True):
    """A Service as the API server's proxy names it. ``port`` is a name or a number."""

    namespace: str
    name: str
    scheme: str
    port: str

    @property
    def written(self) -> str:
        """As in ``--remote``."""
        return f"{self.namespace}/{self.name}"

    @property
    def path(self) -> str:
        """The path of the service itself."""
        return f"/api/v1/namespaces/{self.namespace}/services/{self.name}"

    @property
    def proxy(self) -> str:
        """The path of its proxy, to which the path for the daemon is added."""
        named = quote(f"{self.scheme}:{self.name}:{self.port}", safe=":")
        return f"/api/v1/namespaces/{self.namespace}/services/{named}/proxy"


def named_service(name: RemoteName) -> Service:
    """Return the Service that ``--remote`` names."""
    return Service(name.namespace, name.service, name.scheme or "http", name.port or _PORT)


def find_service(connection: Connection) -> Service:
    """Return the only Service with the label of kspan. Raises KspanError."""
    try:
        found = connection.get_json("/api/v1/services", {"labelSelector": LABEL})
    except ForbiddenError as error:
        who = _subject(error)
        raise KspanError(
            "--remote: you may not list services in all namespaces: name the Service with --remote=NAMESPACE/SERVICE, "
            "or let somebody grant the right: kubectl create clusterrole list-services --verb=list --resource=services "
            f"&& kubectl create clusterrolebinding list-services --clusterrole=list-services {who}"
        ) from error
    except ApiError as error:
        raise unreachable(connection, error) from error
    services = [service for each in _items(found) if (service := _service(each)) is not None]
    if not services:
        raise KspanError(
            f"--remote: no Service has the label {LABEL}: install kspan in the cluster, or name its Service with "
            "--remote=NAMESPACE/SERVICE"
        )
    if len(services) > 1:
        choices = " or ".join(f"--remote={service.written}" for service in services[:8])
        raise KspanError(f"--remote: several Services have the label {LABEL}: choose one with {choices}")
    return services[0]


def _items(found: Any) -> list[Any]:
    items = found.get("items") if isinstance(found, dict) else None
    return items if isinstance(items, list) else []


def _service(found: Any) -> Service | None:
    try:
        meta, ports = found["metadata"], found["spec"]["ports"]
        port = next((each for each in ports if each.get("name") == _PORT), ports[0])
        secure = port.get("appProtocol") == "https" or port.get("name") == "https"
        named = str(port.get("name") or port["port"])
        return Service(harmless(meta["namespace"]), harmless(meta["name"]), "https" if secure else "http", named)
    except (LookupError, TypeError, AttributeError):
        return None


def no_proxy(service: Service, error: ForbiddenError, verb: str, also: str) -> KspanError:
    """Return the error for the missing right to use the proxy of a Service.

    Args:
        service: the Service.
        error: what the API server said.
        verb: ``get``, or ``create`` for a statement.
        also: the right that is missing for the other way.
    """
    here, named = f"kubectl -n {service.namespace} create", f"{service.scheme}:{service.name}:{service.port}"
    if verb == "get":
        # The ClusterRole of the Helm chart.
        role = service.name if service.name == service.namespace else f"{service.namespace}-{service.name}"
        grant = f"{here} rolebinding kspan-readers --clusterrole={role}-reader {_subject(error)}"
    else:
        role = f"--verb={verb} --resource=services/proxy --resource-name={named}"
        grant = f"{here} role kspan-sql {role} && {here} rolebinding kspan-sql --role=kspan-sql {_subject(error)}"
    what = f"{verb} services/proxy of {service.written}"
    return KspanError(f"--remote: you may not {what}{also}: let somebody grant the right: {grant}")


def no_forwarding(service: Service, error: ForbiddenError) -> KspanError:
    """Return the error for a missing right to forward a port."""
    role, namespace = "kspan-pages", service.namespace
    rights = "get services, list pods, create pods/portforward"
    return KspanError(
        f"--remote: you may not forward a port of {service.written} ({rights}): "
        f"let somebody grant the right: kubectl -n {namespace} create role {role} --verb=get,list,create "
        f"--resource=services,pods,pods/portforward && kubectl -n {namespace} create rolebinding {role} --role={role} "
        f"{_subject(error)}"
    )


def unreachable(connection: Connection, error: ApiError, hint: str = "") -> KspanError:
    """Return the error for a request that the API server did not answer as it should; ``hint`` is added to it."""
    where = f"the API server {connection.host}"
    if error.status == 401:
        return KspanError(f"--remote: {where} does not know you: {error}: renew your credentials, or use --context")
    if error.status:
        return error_of_status(error.status, f"--remote: {where} answered: {error}{hint}")
    return UnansweredError(f"--remote: no answer from {where}: {error}")


def error_of_status(status: int, text: str) -> KspanError:
    """Return the error for an HTTP status."""
    return UnansweredError(text) if status >= 500 or status == 429 else KspanError(text)


def _subject(error: ApiError) -> str:
    """The option of ``kubectl create rolebinding`` for the user whom the API server names in a refusal."""
    found = _USER.search(str(error))
    user = found[1] if found else "YOU"
    if user.startswith(_ACCOUNT) and user.count(":") == 3:
        return shlex.quote(f"--serviceaccount={user.removeprefix(_ACCOUNT)}")
    return f"--user={shlex.quote(user)}"
