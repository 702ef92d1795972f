"""TokenReview and SubjectAccessReview, over users and their rights that a test sets."""

import json
from dataclasses import dataclass, field

from tests.apiserver import statuses
from tests.apiserver.http import Request
from tests.apiserver.resources import Json, Resource

TOKEN_REVIEWS = Resource("authentication.k8s.io/v1/tokenreviews", "TokenReview", False, verbs=("create",))
ACCESS_REVIEWS = Resource(
    "authorization.k8s.io/v1/subjectaccessreviews", "SubjectAccessReview", False, verbs=("create",)
)

_BY_PATH = {f"/apis/{each.name}": each for each in (TOKEN_REVIEWS, ACCESS_REVIEWS)}

_AUTHENTICATED = "system:authenticated"
_DISCOVERY = (
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
)
"""What every authenticated user may get (ClusterRole system:discovery)."""


@dataclass
class Users:
    """Users by token, and what they may do besides discovery. Names of groups stand for their members."""

    tokens: dict[str, Json] = field(default_factory=dict)
    paths: set[tuple[str, str]] = field(default_factory=set)
    """(user or group, nonResourceURL): ``get`` on it. A ``*`` at its end stands for any text."""
    lists: set[tuple[str, str, str]] = field(default_factory=set)
    """(user or group, resource, namespace): ``list`` there; an empty namespace stands for the whole cluster."""

    def add(self, token: str, name: str, *groups: str) -> None:
        """Let a token be valid."""
        self.tokens[token] = {"username": name, "uid": f"uid-of-{name}", "groups": [*groups, _AUTHENTICATED]}

    def may(self, subject: Json) -> bool:
        """Decide on the ``spec`` of a SubjectAccessReview."""
        names = {subject["user"], *(subject.get("groups") or [])}
        if wanted := subject.get("nonResourceAttributes"):
            discovered = _AUTHENTICATED in names and any(_fits(wanted["path"], rule) for rule in _DISCOVERY)
            granted = any(who in names and _fits(wanted["path"], rule) for who, rule in self.paths)
            return wanted["verb"] == "get" and (discovered or granted)
        wanted = subject["resourceAttributes"]
        if wanted["verb"] != "list" or wanted.get("group"):
            return False
        namespaces = {"", wanted.get("namespace", "")}
        return any((who, wanted["resource"], namespace) in self.lists for who in names for namespace in namespaces)


def _fits(path: str, rule: str) -> bool:
    return path.startswith(rule.removesuffix("*")) if rule.endswith("*") else path == rule


def find_review(request: Request) -> Resource | None:
    """Return the kind of review that a request creates; None if it does not."""
    return _BY_PATH.get(request.path) if request.method == "POST" else None


def answer(users: Users, resource: Resource, request: Request) -> bytes:
    """Return the review with its status. Raises StatusError."""
    try:
        review: Json = request.json()
        spec: Json = review["spec"]
    except (ValueError, KeyError, TypeError) as error:
        raise statuses.bad_request(f"the body is not a {resource.kind}: {error}") from error
    if resource is ACCESS_REVIEWS:
        status: Json = {"allowed": users.may(spec)}
    elif user := users.tokens.get(spec.get("token", "")):
        status = {"authenticated": True, "user": user, "audiences": ["https://kubernetes.default.svc"]}
    else:
        status = {"user": {}, "error": "[invalid bearer token, token lookup failed]"}
    head = {"kind": resource.kind, "apiVersion": resource.group_version, "metadata": {}}
    return json.dumps({**head, "spec": spec, "status": status}, separators=(",", ":")).encode() + b"\n"
