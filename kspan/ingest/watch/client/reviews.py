"""Asks an API server who owns a token and what a user may do: TokenReview and SubjectAccessReview."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.errors import ServerError

_TOKENS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCESS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

SECONDS: Final = 5.0
"""Timeout of a review. Somebody waits for it."""

_Answer = TypeVar("_Answer")


class User(msgspec.Struct, frozen=True):
    """A user as the API server knows it."""

    username: str = ""
    uid: str = ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}


class _TokenStatus(msgspec.Struct):
    authenticated: bool = False
    user: User = User()


class _TokenReview(msgspec.Struct):
    status: _TokenStatus


class _AccessStatus(msgspec.Struct):
    allowed: bool = False
    denied: bool = False


class _AccessReview(msgspec.Struct):
    status: _AccessStatus


class Reviews:
    """The reviews of one API server. kspan needs the rights of the ClusterRole ``system:auth-delegator`` for them.

    All methods raise ApiError.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def user(self, token: str) -> User | None:
        """Return the owner of a token; None if it is not valid."""
        found = self._ask(_TOKENS, "TokenReview", {"token": token}, _TokenReview).status
        return found.user if found.authenticated and found.user.username else None

    def may_get(self, user: User, path: str) -> bool:
        """Return whether the user may ``get`` a path that is not a resource."""
        return self._may(user, {"nonResourceAttributes": {"path": path, "verb": "get"}})

    def may_list_events(self, user: User, namespace: str) -> bool:
        """Return whether the user may list Events in a namespace; empty: in all."""
        wanted = {"verb": "list", "group": "", "version": "v1", "resource": "events", "namespace": namespace}
        return self._may(user, {"resourceAttributes": wanted})

    def _may(self, user: User, wanted: Mapping[str, Any]) -> bool:
        who = {"user": user.username, "uid": user.uid, "groups": user.groups, "extra": user.extra}
        found = self._ask(_ACCESS, "SubjectAccessReview", {**who, **wanted}, _AccessReview).status
        return found.allowed and not found.denied

    def _ask(self, path: str, kind: str, spec: Mapping[str, Any], answer: type[_Answer]) -> _Answer:
        group = path.removeprefix("/apis/").rpartition("/")[0]
        document = {"apiVersion": group, "kind": kind, "metadata": {}, "spec": spec}
        try:
            return msgspec.convert(self._connection.post_json(path, document, SECONDS), answer)
        except msgspec.ValidationError as error:
            raise ServerError(f"POST {path}: {error}") from error
