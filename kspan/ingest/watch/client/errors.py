"""What can go wrong between us and an API server, in our words. Pure."""

from kspan.errors import KspanError, SettingsError
from kspan.ingest.watch.backoff import Ending


class Stopped(Exception):  # noqa: N818 -- not an error: the caller asked for it
    """The daemon stops: a ``deliver`` raises it to end the thread that called it."""


class KubeconfigError(SettingsError):
    """There is no usable configuration to reach a cluster with."""


class ApiError(KspanError):
    """A request failed. ``status`` is the HTTP status (0: there was no answer), ``body`` what came with it.

    ``retry_after`` is in seconds, 0 where the server named no time.
    """

    ending = Ending.SERVER_ERROR

    def __init__(self, message: str, *, status: int = 0, body: bytes = b"", retry_after: float = 0.0) -> None:
        self.status = status
        self.body = body
        self.retry_after = retry_after
        super().__init__(message)


class GoneError(ApiError):
    """410: this resourceVersion or continue token is too old (400: it is none)."""

    ending = Ending.GONE


class UnauthorizedError(ApiError):
    """401, with credentials that were read afresh; or they cannot be had at all."""

    ending = Ending.UNAUTHORIZED


class RefusedError(ApiError):
    """403, 404, 405, 406 …: asking again soon will not help."""

    ending = Ending.REFUSED


class ForbiddenError(RefusedError):
    """403."""


class NotFoundError(RefusedError):
    """404."""


class TooManyRequestsError(ApiError):
    """429."""

    ending = Ending.THROTTLED


class ServerError(ApiError):
    """5xx, or an answer that makes no sense."""


class DisconnectedError(ApiError):
    """No connection, or it broke."""

    ending = Ending.DISCONNECTED


class TornError(DisconnectedError):
    """The stream ended in the middle of a line."""

    ending = Ending.TORN


class StalledError(ApiError):
    """Nothing came for longer than anything healthy is silent."""

    ending = Ending.STALLED


_BY_STATUS: dict[int, type[ApiError]] = {
    400: GoneError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    410: GoneError,
    429: TooManyRequestsError,
}


def error_of(status: int, message: str, body: bytes = b"", retry_after: float = 0.0) -> ApiError:
    """The error that an HTTP status stands for."""
    fallback = RefusedError if 400 <= status < 500 and status != 408 else ServerError
    return _BY_STATUS.get(status, fallback)(message, status=status, body=body, retry_after=retry_after)
