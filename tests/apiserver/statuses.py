"""Errors of the API server: Status bodies with the wording of a real one (Kubernetes 1.36)."""

from tests.apiserver.resources import EVENTS, Json, Resource

TOO_OLD_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


USER = "kspan"
"""The user that refusals name."""


class StatusError(Exception):
    """An answer that is a Status: ``code`` is the HTTP status, ``body`` the Status, ``retry_after`` in seconds."""

    def __init__(self, body: Json, retry_after: int | None = None) -> None:
        super().__init__(body["message"])
        self.body = body
        self.code: int = body["code"]
        self.retry_after = retry_after


def status(code: int, reason: str, message: str, details: Json | None = None, metadata: Json | None = None) -> Json:
    body: Json = {"kind": "Status", "apiVersion": "v1", "metadata": metadata or {}, "status": "Failure"}
    body |= {"message": message, "reason": reason}
    if details is not None:
        body["details"] = details
    return body | {"code": code}


def success(resource: Resource, name: str, uid: str) -> Json:
    details: Json = {"name": name, "kind": resource.plural, "uid": uid}
    if resource.group:
        details["group"] = resource.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _details(resource: Resource, name: str) -> Json:
    details: Json = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    return details | {"kind": resource.plural}


def not_found(resource: Resource, name: str) -> StatusError:
    message = f'{resource.qualified} "{name}" not found'
    return StatusError(status(404, "NotFound", message, _details(resource, name)))


def already_exists(resource: Resource, name: str) -> StatusError:
    message = f'{resource.qualified} "{name}" already exists'
    return StatusError(status(409, "AlreadyExists", message, _details(resource, name)))


def conflict(resource: Resource, name: str) -> StatusError:
    message = (
        f'Operation cannot be fulfilled on {resource.qualified} "{name}": the object has been modified; please apply '
        "your changes to the latest version and try again"
    )
    return StatusError(status(409, "Conflict", message, _details(resource, name)))


def bad_request(message: str) -> StatusError:
    return StatusError(status(400, "BadRequest", message))


def unauthorized() -> StatusError:
    return StatusError(status(401, "Unauthorized", "Unauthorized"))


def forbidden(resource: Resource, verb: str, namespace: str, name: str = "") -> StatusError:
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    called = f' "{name}"' if name else ""
    message = (
        f'{resource.qualified}{called} is forbidden: User "{USER}" cannot {verb} resource "{resource.plural}" '
        f'in API group "{resource.group}" {where}'
    )
    return StatusError(status(403, "Forbidden", message, _details(resource, name)))


def list_too_old() -> StatusError:
    return StatusError(status(410, "Expired", "The resourceVersion for the provided list is too old."))


def continue_too_old(token: str) -> StatusError:
    """``token`` continues the list with the current state."""
    return StatusError(status(410, "Expired", TOO_OLD_CONTINUE, metadata={"continue": token}))


def watch_too_old(resource: Resource, version: int, oldest: int) -> Json:
    """The Status of an ERROR frame: Events come from etcd, the rest from a watch cache, with different wording."""
    if resource.name in EVENTS:
        return status(410, "Expired", "The resourceVersion for the provided watch is too old.")
    return status(410, "Expired", f"too old resource version: {version} ({oldest})")


def version_too_large(version: int, current: int) -> StatusError:
    message = f"Timeout: Too large resource version: {version}, current: {current}"
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    return StatusError(status(504, "Timeout", message, details), retry_after=1)


def initial_events_refused() -> StatusError:
    rule = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    message = f'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: {rule}'
    cause = {"reason": "FieldValueForbidden", "message": rule, "field": "resourceVersionMatch"}
    details = {"group": "meta.k8s.io", "kind": "ListOptions", "causes": [cause]}
    return StatusError(status(422, "Invalid", message, details))


_GENERIC = {
    400: ("BadRequest", "the server rejected our request for an unknown reason"),
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", "forbidden"),
    404: ("NotFound", "the server could not find the requested resource"),
    500: ("InternalError", "Internal error occurred: etcdserver: request timed out"),
    502: ("InternalError", "Bad Gateway"),
    503: ("ServiceUnavailable", "apiserver is shutting down"),
    504: ("Timeout", "Timeout: request did not complete within the allotted timeout"),
}


def generic(code: int) -> Json:
    """Return a Status for an HTTP code, with the usual wording."""
    return status(code, *_GENERIC.get(code, ("Unknown", "an error on the server has prevented the request")))
