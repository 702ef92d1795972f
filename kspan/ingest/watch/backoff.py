"""What to do after a request or a watch has ended, and when. Pure: a decision is a value, the caller acts."""

from enum import Enum, StrEnum

import msgspec

from kspan.backoff import Backoff


class Ending(StrEnum):
    """How a request or a watch ended; its value is the ``reason`` that metrics and logs carry."""

    TIMEOUT = "timeout"
    """The server ended the watch in good order."""
    GONE = "gone"
    ERROR = "error"
    """An ERROR frame that is not 410."""
    TORN = "torn"
    DISCONNECTED = "disconnected"
    STALLED = "stalled"
    THROTTLED = "throttled"
    SERVER_ERROR = "server-error"
    UNAUTHORIZED = "unauthorized"
    REFUSED = "refused"


class Timing(msgspec.Struct, frozen=True):
    """Every interval of a reflector. Seconds, but for ``page`` (objects) and the counts."""

    first: float = 1.0
    """The wait after a first failure; it doubles with each further one."""

    ceiling: float = 30.0
    """The longest wait: an API server that is back is found within this time."""

    healthy: float = 60.0
    """What failed after it had run for this long counts as a first failure again."""

    shortest: float = 1.0
    """A watch that ends before this without news is a failure, or a broken proxy would make us a busy loop."""

    refused: float = 600.0
    """Between two tries of a resource that is forbidden or not there, and between two rounds of discovery."""

    retry_after: float = 300.0
    """The longest Retry-After that is believed."""

    errors: int = 3
    """ERROR frames in a row after which a stream is listed anew: the version that it resumes from may be the reason."""

    watch_min: float = 240.0
    watch_max: float = 480.0
    """Bounds of a watch's timeoutSeconds. Random, so that not all streams end at once."""

    stall: float = 2.0
    """Times its timeoutSeconds that a watch may be silent."""

    connect: float = 10.0
    """To connect."""

    answer: float = 60.0
    """For a list or a document to begin, and between two parts of it: an API server's own limit for a list."""

    page: int = 500
    """Objects in a page of a list."""

    expired: int = 2
    """Lists whose continue token expired, after which one is fetched unpaged: we may be too slow for pages."""

    settle: float = 0.5
    """From a change of the CRDs to a new discovery: they are installed in bundles, and not served at once."""

    @property
    def backoff(self) -> Backoff:
        """The delays between attempts."""
        return Backoff(self.first, self.ceiling)


class Action(Enum):
    """What comes next."""

    RESUME = "resume"
    """Go on from the newest version that was seen."""
    RELIST = "relist"
    REFUSED = "refused"
    """Report it and try again much later."""


class Attempt(msgspec.Struct, frozen=True):
    """What is known of a request or a watch that ended. Seconds; ``news`` counts lines that were no bookmarks."""

    ending: Ending
    lasted: float
    news: int = 0
    retry_after: float = 0.0


class Decision(msgspec.Struct, frozen=True):
    """``delay`` in seconds; ``failures`` in a row, this one included."""

    action: Action
    delay: float
    failures: int


def decide(attempt: Attempt, failures: int, timing: Timing, jitter: float) -> Decision:
    """What follows an attempt after ``failures`` in a row; ``jitter`` in 0..1 shortens a wait by up to a half."""
    ending = attempt.ending
    if ending is Ending.REFUSED:
        return Decision(Action.REFUSED, timing.refused * (1 - jitter / 10), 0)
    if ending is Ending.TIMEOUT and (attempt.news or attempt.lasted >= timing.shortest):
        return Decision(Action.RESUME, 0.0, 0)
    count = 1 + (0 if attempt.lasted >= timing.healthy else failures)
    delay = max(timing.backoff.delay(count, jitter), min(attempt.retry_after, timing.retry_after))
    hopeless = ending is Ending.ERROR and count >= timing.errors
    return Decision(Action.RELIST if ending is Ending.GONE or hopeless else Action.RESUME, delay, count)
