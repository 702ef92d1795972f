"""Discovery documents: the API groups and resources that an API server serves. Pure.

Sources: k8s.io/apimachinery pkg/apis/meta/v1 types.go (APIGroupList, APIResourceList).
"""

import msgspec

from kspan.k8s.resources import ServerResource
from kspan.k8s.strict_json import DECODE_ERRORS, explain


class _GroupVersion(msgspec.Struct):
    version: str = ""


class _Group(msgspec.Struct, rename="camel"):
    name: str
    versions: list[_GroupVersion] = []
    preferred_version: _GroupVersion | None = None


class _GroupList(msgspec.Struct):
    groups: list[_Group] | None = None


class _Resource(msgspec.Struct, rename="camel"):
    name: str
    kind: str
    namespaced: bool = False
    singular_name: str = ""
    short_names: list[str] | None = None
    verbs: list[str] | None = None


class _ResourceList(msgspec.Struct):
    resources: list[_Resource] | None = None


_decode_groups = msgspec.json.Decoder(_GroupList).decode
_decode_resources = msgspec.json.Decoder(_ResourceList).decode


def group_version(group: str, version: str) -> str:
    """Return the API version of a group and a version: ``apps/v1``; ``v1`` for the core group."""
    return f"{group}/{version}" if group else version


def read_groups(body: bytes) -> dict[str, str]:
    """Return the preferred version of each named API group. Raises ValueError ("the document …")."""
    try:
        groups = _decode_groups(body).groups or []
    except DECODE_ERRORS as error:
        raise ValueError(f"the document {explain(error, body)}") from error
    return {group.name: version for group in groups if (version := _preferred(group))}


def read_resources(group: str, version: str, body: bytes) -> list[ServerResource]:
    """Return the resources of one API version, without subresources. Raises ValueError ("the document …")."""
    try:
        resources = _decode_resources(body).resources or []
    except DECODE_ERRORS as error:
        raise ValueError(f"the document {explain(error, body)}") from error
    # The name of a subresource contains a slash: pods/status.
    return [_server_resource(group, version, item) for item in resources if "/" not in item.name]


def _preferred(group: _Group) -> str:
    if group.preferred_version is not None and group.preferred_version.version:
        return group.preferred_version.version
    return group.versions[0].version if group.versions else ""


def _server_resource(group: str, version: str, item: _Resource) -> ServerResource:
    words = {item.name, item.singular_name, item.kind.lower(), *(item.short_names or ())} - {""}
    verbs = item.verbs or ()
    watchable = "list" in verbs and "watch" in verbs
    return ServerResource(group, version, item.name, item.kind, item.namespaced, watchable, frozenset(words))
