"""Asks the API server which resources it serves, and which of them serves a kind."""

import logging
from collections.abc import Callable
from typing import TypeVar

from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.errors import ApiError, NotFoundError, ServerError
from kspan.k8s.discovery_api import group_version, read_groups, read_resources
from kspan.k8s.resources import CRDS, ServerResource, WatchTarget
from kspan.k8s.wire import read_head

log = logging.getLogger("kspan.watch")

_CORE_VERSION = "v1"

_T = TypeVar("_T")


class Discovery:
    """The API server's resources, requested when needed and cached until ``forget``. For one thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._versions: dict[str, str] | None = None
        self._resources: dict[str, list[ServerResource]] = {}
        self._before: dict[str, list[ServerResource]] = {}
        self.silent: set[str] = set()
        """The API versions that did not answer ``everything``."""

    def forget(self) -> None:
        """Drop the cache: kinds may have been added or removed."""
        self._versions = None
        self._before |= self._resources
        self._resources = {}

    def resolve(self, api_version: str, kind: str) -> ServerResource | None:
        """Return the resource that serves a kind, or None. Raises ApiError.

        The group's preferred version wins if it has the kind, so that no kind is watched in two versions.
        """
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
        """Return all resources in the preferred version of their group, in the server's order. Raises ApiError.

        For a group that does not answer (its API service is down), return the resources that it had before.
        """
        found: list[ServerResource] = []
        for group, version in self._preferred_versions().items():
            key = group_version(group, version)
            try:
                found.extend(self._of_version(group, version))
            except ApiError as error:
                log.warning("discovery of %s failed: %s", key, error, extra={"group": group})
                self.silent.add(key)
                found.extend(self._before.get(key, []))
        return found

    def version(self, api_version: str) -> list[ServerResource]:
        """Return the resources of one API version, preferred or not; empty if it is not served. Raises ApiError."""
        group, _, version = api_version.rpartition("/")
        return self._of_version(group, version)

    def definition_version(self, target: WatchTarget) -> str:
        """Return the resourceVersion of a custom resource's definition.

        Empty if the resource is built in, or if the definition cannot be read: it is of use, but not necessary.
        """
        if "." not in target.group:
            return ""
        try:
            return self._get(
                f"{CRDS.path()}/{target.plural}.{target.group}",
                lambda body: read_head(CRDS.resource, body).resource_version,
            )
        except ApiError as error:
            log.debug("the definition of %s cannot be read: %s", target.resource, error)
            return ""

    # -----------------------------------------------------------------------------------------------------------------

    def _preferred_versions(self) -> dict[str, str]:
        if self._versions is None:
            self._versions = {"": _CORE_VERSION} | self._get("/apis", read_groups)
        return self._versions

    def _of_version(self, group: str, version: str) -> list[ServerResource]:
        key = group_version(group, version)
        known = self._resources.get(key)
        if known is None:
            path = f"/apis/{key}" if group else f"/api/{key}"
            try:
                known = self._get(path, lambda body: read_resources(group, version, body))
            except NotFoundError:
                known = []
            self._resources[key] = known
        return known

    def _get(self, path: str, read: Callable[[bytes], _T]) -> _T:
        body = self._connection.get(path)
        try:
            return read(body)
        except ValueError as error:
            raise ServerError(f"GET {path}: {error}") from error
