"""Errors of requests to an API server. Pure."""

from collections.abc import Mapping

from kspan.errors import KspanError, SettingsError
from kspan.ingest.watch.retry import Ending


class Stopped(Exception):  # noqa: N818 -- not an error: the caller asked for it
    """The watcher stops. ``deliver`` raises it to end the thread that called it."""


class KubeconfigError(SettingsError):
    """There is no usable configuration or no credentials to reach a cluster."""


class ApiError(KspanError):
    """A request failed.

    ``status`` is the HTTP status (0: no answer), ``body`` the body of the answer, ``retry_after`` the seconds that
    the server asked to wait (0: it named no time), ``headers`` those of the answer.
    """

    ending = Ending.SERVER_ERROR

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        body: bytes = b"",
        retry_after: float = 0.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.retry_after = retry_after
        self.headers: Mapping[str, str] = headers or {}
        super().__init__(message)


class GoneError(ApiError):
    """410: the resourceVersion or continue token is too old. 400: it is not valid."""

    ending = Ending.GONE


class UnauthorizedError(ApiError):
    """401 with reloaded credentials, or the credentials cannot be loaded at all."""

    ending = Ending.UNAUTHORIZED


class RefusedError(ApiError):
    """403, 404, 405, 406 and the like: retrying soon does not help."""

    ending = Ending.REFUSED


class ForbiddenError(RefusedError):
    """403."""


class NotFoundError(RefusedError):
    """404."""


class TooManyRequestsError(ApiError):
    """429."""

    ending = Ending.THROTTLED


class ServerError(ApiError):
    """5xx, or an answer that is not valid."""


class DisconnectedError(ApiError):
    """The connection could not be opened, or broke."""

    ending = Ending.DISCONNECTED


class TornError(DisconnectedError):
    """The stream ended in the middle of a line."""

    ending = Ending.TORN


class StalledError(ApiError):
    """No data arrived before the timeout."""

    ending = Ending.STALLED


_BY_STATUS: dict[int, type[ApiError]] = {
    400: GoneError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    410: GoneError,
    429: TooManyRequestsError,
}


def error_of(
    status: int,
    message: str,
    body: bytes = b"",
    retry_after: float = 0.0,
    headers: Mapping[str, str] | None = None,
) -> ApiError:
    """Return the error for an HTTP status."""
    fallback = RefusedError if 400 <= status < 500 and status != 408 else ServerError
    of = _BY_STATUS.get(status, fallback)
    return of(message, status=status, body=body, retry_after=retry_after, headers=headers)
