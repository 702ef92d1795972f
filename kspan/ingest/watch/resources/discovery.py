"""What the API server has: its resources, and which of them serves a kind."""

import logging
from typing import Any, TypeVar

import msgspec

from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.errors import ApiError, NotFoundError, ServerError
from kspan.k8s.resources import ServerResource

log = logging.getLogger("kspan.watch")

CORE = "v1"

_T = TypeVar("_T")


class _Version(msgspec.Struct, rename="camel"):
    group_version: str = ""
    version: str = ""


class _Group(msgspec.Struct, rename="camel"):
    name: str
    versions: list[_Version] = []
    preferred_version: _Version | None = None

    @property
    def preferred(self) -> str:
        if self.preferred_version is not None and self.preferred_version.version:
            return self.preferred_version.version
        return self.versions[0].version if self.versions else ""


class _Groups(msgspec.Struct):
    groups: list[_Group] | None = None


class _Resource(msgspec.Struct, rename="camel"):
    name: str
    kind: str
    namespaced: bool = False
    singular_name: str = ""
    short_names: list[str] | None = None
    verbs: list[str] | None = None


class _Resources(msgspec.Struct):
    resources: list[_Resource] | None = None


class Discovery:
    """The API server's resources, asked for as they are needed and remembered until ``forget``. For one thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._groups: dict[str, str] | None = None
        self._resources: dict[str, list[ServerResource]] = {}
        self._before: dict[str, list[ServerResource]] = {}

    def forget(self) -> None:
        """Ask again: kinds came or went."""
        self._groups = None
        self._before |= self._resources
        self._resources = {}

    def resolve(self, api_version: str, kind: str) -> ServerResource | None:
        """The resource that serves a kind: in its group's preferred version if that has it, so that a kind is not
        watched in two versions. None if there is none. Raises ApiError."""
        group, _, version = api_version.rpartition("/")
        preferred = self._preferred_versions().get(group)
        if preferred is None:
            return None
        for candidate in dict.fromkeys((preferred, version)):
            for resource in self._of_version(group, candidate):
                if resource.kind == kind:
                    return resource
        return None

    def everything(self) -> list[ServerResource]:
        """All resources in their groups' preferred versions, in the server's order. Raises ApiError.

        Of a group that does not answer (its API service is down) there is what it had before.
        """
        found: list[ServerResource] = []
        for group, version in self._preferred_versions().items():
            key = _group_version(group, version)
            try:
                found.extend(self._of_version(group, version))
            except ApiError as error:
                log.warning("no discovery of %s: %s", key, error, extra={"group": group})
                found.extend(self._before.get(key, []))
        return found

    def version(self, api_version: str) -> list[ServerResource]:
        """The resources of one API version, preferred or not; none if it is not served. Raises ApiError."""
        group, _, version = api_version.rpartition("/")
        return self._of_version(group, version)

    # ------------------------------------------------------------------------------------------------------------------

    def _preferred_versions(self) -> dict[str, str]:
        if self._groups is None:
            groups = self._get("/apis", _Groups).groups or []
            self._groups = {"": CORE} | {group.name: group.preferred for group in groups if group.preferred}
        return self._groups

    def _of_version(self, group: str, version: str) -> list[ServerResource]:
        key = _group_version(group, version)
        known = self._resources.get(key)
        if known is None:
            try:
                listed = self._get(f"/apis/{key}" if group else f"/api/{key}", _Resources).resources or []
            except NotFoundError:
                listed = []
            # A name with a slash is a subresource: pods/status.
            known = [_server_resource(group, version, item) for item in listed if "/" not in item.name]
            self._resources[key] = known
        return known

    def _get(self, path: str, shape: type[_T]) -> _T:
        body = self._connection.get(path)
        try:
            return msgspec.json.decode(body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ServerError(f"GET {path}: {error}") from error


def _group_version(group: str, version: str) -> str:
    return f"{group}/{version}" if group else version


def _server_resource(group: str, version: str, item: Any) -> ServerResource:
    words = {item.name, item.singular_name, item.kind.lower(), *(item.short_names or ())} - {""}
    verbs = item.verbs or ()
    watchable = "list" in verbs and "watch" in verbs
    return ServerResource(group, version, item.name, item.kind, item.namespaced, watchable, frozenset(words))
