"""The proxy of Services. As a real one it removes ``Authorization`` and adds no name of the user.

See apimachinery pkg/util/proxy/upgradeaware.go and pkg/registry/core/service/proxy.go of Kubernetes.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from tests.apiserver import statuses
from tests.apiserver.http import Connection, Request
from tests.apiserver.resources import Json

PROXY = "v1/services/proxy"
_PROXY = re.compile(r"/api/v1/namespaces/([^/]+)/services/(?:(https?):)?([^/:]+)(?::([^/:]+))?/proxy(/.*)?")
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "proxy-authorization"})
_VERBS = {"GET": "get", "HEAD": "get", "POST": "create"}

Address = tuple[str, int]

_TLS = ssl.create_default_context()
_TLS.check_hostname = False
_TLS.verify_mode = ssl.CERT_NONE


@dataclass
class Backends:
    """What runs behind Services, by (namespace, name)."""

    addresses: dict[tuple[str, str], Address] = field(default_factory=dict)
    received: list[Request] = field(default_factory=list)
    """The requests that were passed on, as they were sent."""


@dataclass(frozen=True)
class Proxied:
    """The target of a proxied request."""

    namespace: str
    name: str
    scheme: str
    """What the request names, or nothing: the API server does not read the Service's ``appProtocol``."""
    port: str
    named: str
    path: str


def service_and_pod(namespace: str, name: str, labels: Json | None = None) -> Iterator[tuple[str, Json]]:
    """Yield a Service as the Helm chart creates it, or with other labels, and its Pod, each with its resource."""
    selector = {"app.kubernetes.io/name": "kspan", "app.kubernetes.io/instance": name}
    here = {"name": name, "namespace": namespace, "labels": selector if labels is None else labels}
    port = {"name": "http", "port": 8474, "targetPort": "http"}
    yield "v1/services", {"metadata": here, "spec": {"selector": selector, "ports": [port]}}
    container = {"name": "kspan", "ports": [{"name": "http", "containerPort": 8474}]}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    pod = {"name": f"{name}-0", "namespace": namespace, "labels": selector}
    yield "v1/pods", {"metadata": pod, "spec": {"containers": [container]}, "status": status}


def find_proxied(request: Request) -> Proxied | None:
    """Return the target of a request to the proxy of a Service; None if it is none."""
    found = _PROXY.fullmatch(request.path)
    if found is None:
        return None
    namespace, scheme, name, port, path = found.groups(default="")
    return Proxied(namespace, name, scheme, port, ":".join(filter(None, [scheme, name, port])), path or "/")


def verb_of(request: Request) -> str:
    return _VERBS[request.method]


def forbidden(target: Proxied, verb: str, user: str) -> statuses.StatusError:
    message = (
        f'services "{target.named}" is forbidden: User "{user}" cannot {verb} resource "services/proxy" in API group '
        f'"" in the namespace "{target.namespace}"'
    )
    return statuses.StatusError(statuses.status(403, "Forbidden", message, {"name": target.named, "kind": "services"}))


async def forward(
    backends: Backends, connection: Connection, request: Request, target: Proxied, is_cut: Callable[[], bool]
) -> None:
    """Pass a request on to the backend, and its answer back.

    If ``is_cut`` returns True, the answer ends after its first half. It is called for each part of an answer that comes
    in parts. Raises StatusError if nothing listens there.
    """
    address = backends.addresses.get((target.namespace, target.name))
    if address is None:
        message = f'no endpoints available for service "{target.named}"'
        raise statuses.StatusError(statuses.status(503, "ServiceUnavailable", message))
    backends.received.append(request)
    try:
        reader, writer = await asyncio.open_connection(*address, ssl=_TLS if target.scheme == "https" else None)
    except OSError as error:
        message = f"error trying to reach service: dial tcp {address[0]}:{address[1]}: connect: connection refused"
        raise statuses.StatusError(statuses.status(503, "ServiceUnavailable", message)) from error
    query = f"?{urlencode(request.params)}" if request.params else ""
    headers = {name: value for name, value in request.headers.items() if name not in _HOP | {"host", "authorization"}}
    headers |= {"host": f"{address[0]}:{address[1]}", "connection": "close", "x-forwarded-for": "127.0.0.1"}
    head = f"{request.method} {quote(target.path)}{query} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"{head}\r\n".encode("latin-1") + request.body)
    try:
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError) as error:
            message = "error trying to reach service: EOF"
            raise statuses.StatusError(statuses.status(503, "ServiceUnavailable", message)) from error
        first, *lines = raw.decode("latin-1").rstrip().split("\r\n")
        found = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        kind = found.pop("content-type", "text/plain")
        kept = {name: value for name, value in found.items() if name not in _HOP | {"content-length", "cache-control"}}
        connection.begin(request, int(first.split(" ")[1]), kind, kept)
        async for part in _parts(reader, chunked=found.get("transfer-encoding") == "chunked"):
            if is_cut():
                connection.chunk(part[: len(part) // 2])
                await connection.cut(reset=False)
                return
            connection.chunk(part)
            await connection.writer.drain()
    finally:
        writer.close()
    await connection.end()


async def _parts(reader: asyncio.StreamReader, *, chunked: bool) -> AsyncIterator[bytes]:
    """Yield the chunks of a body, as they come."""
    if not chunked:
        yield await reader.read(-1)
        return
    while size := int(await reader.readline() or b"0", 16):
        yield await reader.readexactly(size)
        await reader.readline()
