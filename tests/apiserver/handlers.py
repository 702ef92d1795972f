"""The answers of the server: discovery, lists and their pages, single objects, writes."""

import base64
import copy
import json
import random
import string
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.apiserver import resources as r
from tests.apiserver import statuses, views
from tests.apiserver.http import Request
from tests.apiserver.resources import Json, Resource
from tests.apiserver.storage import Collection, ExpiredError, Storage, Stored, decode, key_of

_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class NoRouteError(Exception):
    """404 page not found: the path or the resource does not exist."""


@dataclass(frozen=True)
class Target:
    """The target of a path: a resource, in a namespace or (empty) in all, and optionally one object."""

    collection: Collection
    namespace: str
    name: str

    @property
    def resource(self) -> Resource:
        return self.collection.resource


def find_target(storage: Storage, path: str) -> Target | None:
    """Return the target of a path below ``/api/v1`` or ``/apis/GROUP/VERSION``, else None. Raises NoRouteError."""
    parts = path.strip("/").split("/")
    if parts[:1] == ["api"] and len(parts) > 2:
        version, rest = parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        version, rest = "/".join(parts[1:3]), parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    collection = storage.find(f"{version}/{rest[0]}")
    if collection is None or len(rest) > 2 or (namespace and not collection.resource.namespaced):
        raise NoRouteError(path)
    return Target(collection, namespace, rest[1] if len(rest) == 2 else "")


def verb_of(request: Request, target: Target) -> str:
    """list, continue, watch, get, create, update, patch or delete; raises StatusError for any other method."""
    verb = _VERBS.get(request.method)
    if (
        verb is None
        or (verb in ("update", "patch", "delete") and not target.name)
        or (verb == "create" and target.name)
    ):
        message = "the server does not allow this method on the requested resource"
        raise statuses.StatusError(statuses.status(405, "MethodNotAllowed", message, {}))
    if verb != "get" or target.name:
        return verb
    if flag(request.params, "watch"):
        return "watch"
    return "continue" if request.params.get("continue") else "list"


def flag(params: Mapping[str, str], name: str) -> bool:
    return params.get(name, "").lower() in ("1", "true", "t")


def number(params: Mapping[str, str], name: str) -> int | None:
    """Return an integer parameter; None if it is missing or empty. Raises StatusError for any other value."""
    text = params.get(name, "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise statuses.bad_request(f'{name}: Invalid value: "{text}": invalid syntax') from error


def select(request: Request, target: Target) -> views.Select | None:
    params = request.params
    try:
        return views.selector(target.namespace, params.get("fieldSelector", ""), params.get("labelSelector", ""))
    except ValueError as error:
        raise statuses.bad_request(str(error)) from error


def discover(storage: Storage, path: str) -> Json:
    """Return the documents of ``/version``, ``/api``, ``/apis`` and below. Raises NoRouteError."""
    found = storage.resources()
    parts = path.strip("/").split("/")
    answer: Json | None = None
    match parts:
        case ["version"]:
            answer = r.VERSION
        case ["api"]:
            answer = r.API_VERSIONS
        case ["apis"]:
            answer = r.group_list(found)
        case ["apis", group]:
            answer = r.group_of(group, found)
        case ["api", version]:
            answer = r.resource_list(version, found)
        case ["apis", group, version]:
            answer = r.resource_list(f"{group}/{version}", found)
    if answer is None:
        raise NoRouteError(path)
    return answer


# lists ---------------------------------------------------------------------------------------------------------------


def list_objects(storage: Storage, target: Target, request: Request, spoil: views.Render) -> bytes:
    """Return the body of a list or of one of its pages. Raises StatusError."""
    params = request.params
    metadata = views.wants_metadata(request.headers.get("accept", ""))
    limit = number(params, "limit") or 0
    version, stored, start = _state(storage, target, params)
    chosen = select(request, target)
    if start:
        stored = stored[bisect_right(stored, start, key=key_of) :]
    if chosen is not None:
        stored = [item for item in stored if chosen(item)]
    head: Json = {"resourceVersion": str(version)}
    if limit and len(stored) > limit:
        head["continue"] = _token(target, version, stored[limit - 1])
        if not (params.get("fieldSelector") or params.get("labelSelector")):
            head["remainingItemCount"] = len(stored) - limit
        stored = stored[:limit]
    kind, api_version = views.list_head(target.resource, metadata=metadata)
    render = views.item_renderer(target.resource, metadata=metadata)
    items = b",".join(render(spoil(item.raw)) for item in stored)
    body = {"kind": kind, "apiVersion": api_version, "metadata": head}
    tail = b"null" if metadata and not stored else b"[" + items + b"]"
    return json.dumps(body, separators=(",", ":")).encode()[:-1] + b',"items":' + tail + b"}\n"


def _state(storage: Storage, target: Target, params: Mapping[str, str]) -> tuple[int, list[Stored], str]:
    """Return (resourceVersion, objects, key after which to continue) of a list request."""
    collection = target.collection
    token = params.get("continue")
    if token:
        version, start = _read_token(token)
        try:
            return *storage.snapshot(collection, None if version == -1 else version), _whole_key(target, start)
        except ExpiredError as error:
            raise expired_continue(token) from error
    wanted = number(params, "resourceVersion")
    exact = params.get("resourceVersionMatch") == "Exact"
    with storage.lock:
        current = storage.position(collection)
        if wanted and wanted > current:
            raise statuses.version_too_large(wanted, current)
        try:
            return *storage.snapshot(collection, wanted if exact else None), ""
        except ExpiredError as error:
            raise statuses.list_too_old() from error


def expired_continue(token: str) -> statuses.StatusError:
    """Return the 410 of a continue token, with a token for an inconsistent continuation."""
    _, start = _read_token(token)
    return statuses.continue_too_old(_pack(-1, start))


def _pack(version: int, start: str) -> str:
    body = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def _token(target: Target, version: int, last: Stored) -> str:
    # Relative to the path of the request, like etcd's keys: "/name" in a namespace, "name" for cluster-scoped objects.
    prefix = last.namespace if target.resource.namespaced and not target.namespace else ""
    slash = "/" if target.resource.namespaced else ""
    return _pack(version, f"{prefix}{slash}{last.name}\0")


def _read_token(token: str) -> tuple[int, str]:
    try:
        found = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(found["rv"]), str(found["start"])
    except (ValueError, KeyError, TypeError) as error:
        raise statuses.bad_request("continue key is not valid") from error


def _whole_key(target: Target, start: str) -> str:
    key = start.removesuffix("\0")
    if target.namespace:
        return target.namespace + key
    return key if target.resource.namespaced else f"/{key}"


# single objects ------------------------------------------------------------------------------------------------------


def get_object(storage: Storage, target: Target, request: Request) -> bytes:
    raw = _existing(storage, target).raw
    return (views.metadata_only(raw) if views.wants_metadata(request.headers.get("accept", "")) else raw) + b"\n"


def write_object(storage: Storage, target: Target, request: Request) -> tuple[int, bytes]:
    """Return (HTTP status, body) of a create, update, patch or delete. Raises StatusError."""
    with storage.lock:
        if request.verb == "create":
            return 201, _create(storage, target, _body(request))
        existing = _existing(storage, target)
        if request.verb == "delete":
            storage.delete(target.resource.name, existing.namespace, existing.name)
            done = statuses.success(target.resource, existing.name, existing.uid)
            return 200, json.dumps(done, separators=(",", ":")).encode() + b"\n"
        obj = _body(request)
        if request.verb == "patch":
            obj = merge(decode(existing.raw), obj)
        elif (obj.get("metadata") or {}).get("resourceVersion", str(existing.version)) != str(existing.version):
            raise statuses.conflict(target.resource, existing.name)
        return 200, _put(storage, target, obj, decode(existing.raw))


def merge(into: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(into) if isinstance(into, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def _body(request: Request) -> Json:
    try:
        body = request.json()
    except ValueError as error:
        raise statuses.bad_request(f"couldn't get version/kind; json parse error: {error}") from error
    if not isinstance(body, dict):
        raise statuses.bad_request("the body of the request is not a JSON object")
    return body


def _existing(storage: Storage, target: Target) -> Stored:
    stored = target.collection.objects.get((target.namespace, target.name))
    if stored is None:
        raise statuses.not_found(target.resource, target.name)
    return stored


def _create(storage: Storage, target: Target, obj: Json) -> bytes:
    obj = copy.deepcopy(obj)
    metadata = obj.setdefault("metadata", {})
    if not metadata.get("name"):
        if not metadata.get("generateName"):
            raise statuses.bad_request("name or generateName is required")
        metadata["name"] = metadata["generateName"] + "".join(random.choices(string.ascii_lowercase, k=5))
    name = str(metadata["name"])
    if (target.namespace, name) in target.collection.objects:
        raise statuses.already_exists(target.resource, name)
    return _put(storage, target, obj, {})


def _put(storage: Storage, target: Target, obj: Json, old: Json) -> bytes:
    metadata = obj.setdefault("metadata", {})
    if target.resource.namespaced:
        metadata["namespace"] = target.namespace
    if "generation" in metadata and old.get("spec") != obj.get("spec"):
        # The server, not the client, counts the changes of the spec.
        metadata["generation"] = int((old.get("metadata") or {}).get("generation", 0)) + 1
    return storage.put(target.resource.name, obj).raw + b"\n"
