"""Decides how to continue after a request or a watch has ended. Pure: a decision is a value, and the caller acts."""

from enum import Enum, StrEnum

import msgspec

from kspan.backoff import Backoff


class Ending(StrEnum):
    """How a request or a watch ended. The values are the ``reason`` in metrics and logs."""

    TIMEOUT = "timeout"
    """The server ended the watch as requested."""
    GONE = "gone"
    """The resourceVersion is too old."""
    ERROR = "error"
    """An ERROR frame other than 410."""
    TORN = "torn"
    """The stream ended in the middle of a line."""
    DISCONNECTED = "disconnected"
    STALLED = "stalled"
    THROTTLED = "throttled"
    SERVER_ERROR = "server-error"
    UNAUTHORIZED = "unauthorized"
    REFUSED = "refused"
    """403, 404 and the like: retrying soon does not help."""


class Timing(msgspec.Struct, frozen=True):
    """All intervals of a reflector, in seconds unless stated otherwise."""

    first: float = 1.0
    """The delay after a first failure; it doubles with each further one."""

    ceiling: float = 30.0
    """The longest delay: an API server that recovers is found within this time."""

    healthy: float = 60.0
    """A watch that lasted this long resets the count of failures."""

    shortest: float = 1.0
    """A watch that ends sooner without news counts as failed: a broken proxy must not cause a busy loop."""

    refused: float = 600.0
    """Longest delay between two attempts at a resource that is forbidden or missing and was never watched, and between
    two rounds of discovery."""

    refused_first: float = 5.0
    """The first such delay; it doubles with each further refusal."""

    retry_after: float = 300.0
    """A longer Retry-After is shortened to this."""

    errors: int = 3
    """ERROR frames in a row after which a stream is listed again: the version that it resumes from may be the cause."""

    watch_min: float = 240.0
    watch_max: float = 480.0
    """Bounds of a watch's timeoutSeconds. It is random so that the streams do not end at the same time."""

    short_min: float = 120.0
    short_max: float = 180.0
    """The same bounds while a stream receives no bookmarks: then only the end of a watch shows that it was alive."""

    silent: float = 90.0
    """A watch without a line for this long may be dead: the API server sends a bookmark about every minute."""

    grace: float = 10.0
    """The end of a watch is overdue this long after its timeoutSeconds."""

    check: float = 5.0
    """Between two checks for silent watches."""

    stall: float = 2.0
    """A watch is stalled after this many times its timeoutSeconds without a byte."""

    connect: float = 10.0
    """Timeout of a connection attempt."""

    answer: float = 60.0
    """Timeout of a list or document, until it begins and between two parts. It is the API server's limit for a list."""

    open: float = 30.0
    """Timeout of a watch until it begins. The API server sends the head of its answer at once, or after at most 15 s
    in a queue of API priority and fairness, a quarter of the request timeout (k8s.io/apiserver pkg/server/options)."""

    page: int = 500
    """Objects in a page of a list."""

    expired: int = 2
    """After this many lists with an expired continue token, a list is requested unpaged: paging may be too slow."""

    settle: float = 0.5
    """From a change of the CRDs to a new discovery: they are installed in groups and served a little later."""

    @property
    def backoff(self) -> Backoff:
        """The delays between attempts."""
        return Backoff(self.first, self.ceiling)


class Action(Enum):
    """The next step."""

    RESUME = "resume"
    """Continue from the newest version seen."""
    RELIST = "relist"
    REFUSED = "refused"
    """Report it, and try again later, or as soon as something else shows that the API server has changed."""


class Attempt(msgspec.Struct, frozen=True):
    """A request or a watch that ended."""

    ending: Ending
    lasted: float
    """Seconds."""
    news: int = 0
    """The number of lines that were not bookmarks."""
    retry_after: float = 0.0
    """The server's Retry-After in seconds; 0 if it sent none."""
    watched: bool = True
    """The resource was listed or watched before, now or by an earlier process."""


class Decision(msgspec.Struct, frozen=True):
    """The next step after an attempt, and the delay before it."""

    action: Action
    delay: float
    """Seconds to wait first."""
    failures: int
    """Failures in a row, including this one."""


def decide(attempt: Attempt, failures: int, timing: Timing, jitter: float) -> Decision:
    """Decide how to continue after an attempt.

    What was watched before is retried soon even if it is refused now: an API server that has just been started refuses
    everything until it knows its roles.

    Args:
        attempt: the attempt that ended.
        failures: failures in a row before it.
        timing: the intervals.
        jitter: a random number from 0 to 1; shortens a delay by up to a half.
    """
    ending = attempt.ending
    if ending is Ending.REFUSED:
        backoff = timing.backoff if attempt.watched else Backoff(timing.refused_first, timing.refused)
        return Decision(Action.REFUSED, backoff.delay(failures + 1, jitter), failures + 1)
    if ending is Ending.TIMEOUT and (attempt.news or attempt.lasted >= timing.shortest):
        return Decision(Action.RESUME, 0.0, 0)
    count = 1 + (0 if attempt.lasted >= timing.healthy else failures)
    delay = max(timing.backoff.delay(count, jitter), min(attempt.retry_after, timing.retry_after))
    unresumable = ending is Ending.GONE or (ending is Ending.ERROR and count >= timing.errors)
    return Decision(Action.RELIST if unresumable else Action.RESUME, delay, count)
