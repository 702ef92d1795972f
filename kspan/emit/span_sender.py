"""The interface of all span senders: it takes spans and returns a failure as a value."""

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


class FailureKind(Enum):
    """Whether a failure concerns the spans that were sent."""

    TEMPORARY = "temporary"
    """It does not: send them again later."""
    AMBIGUOUS = "ambiguous"
    """It may concern the spans or the route: 403 from a proxy that inspects requests, or expired credentials."""
    REJECTED = "rejected"
    """The receiver will never accept these spans."""


class SendFailure(msgspec.Struct, frozen=True):
    """Why spans were not accepted."""

    reason: str
    """One line for people."""
    kind: FailureKind = FailureKind.TEMPORARY
    retry_after: float = 0.0
    """Seconds that the receiver asks to wait."""


class SpanSender(Protocol):
    """Sends spans to a receiver or into a file."""

    def send(self, spans: "Sequence[ReadableSpan]") -> SendFailure | None:
        """Send the spans in one request, without retries. None: they were accepted (a file: they are on the disk)."""

    def close(self) -> None:
        """Close connections and files."""
