"""The value that choosing a cause returns. Pure data."""

from typing import NamedTuple

from kspan.graph.state.records import KnownChange, Occurrence

CARRIED, SUBJECT, OWN, OWNER, PLACE, ROOT = "carried", "subject", "own", "owner", "place", "root"
"""The rules by which a cause is chosen (docs/architecture.md), as they are stored with the span."""


class Choice(NamedTuple):
    """A chosen cause. ``actor`` and ``message`` describe the change that it explains, where the cause determines them;
    empty, they stay as observed."""

    cause: KnownChange | None  # None: a root
    rule: str
    confidence: float  # from 0 to 1
    actor: str = ""
    message: str = ""

    @classmethod
    def event(cls, event: Occurrence, rule: str, confidence: float) -> "Choice":
        """An Event as the cause."""
        return cls(KnownChange(event.id, "", event.rv, event.time, trace=event.place.trace), rule, confidence)


UNKNOWN = Choice(None, ROOT, 0.3)
