"""The truth: which action caused each Event. The simulator knows, because it made them.

A controller's act goes back to the newest change of its owner that its cache showed; an eviction to the node's change;
a Pod's own Events to what created the Pod. ``above`` is the Event that reported the change which the action answers.
"""

from dataclasses import dataclass, field
from typing import Any


class Note:
    """An Event that a reporter made. It has a uid once it is written: a dropped or late one may never have."""

    def __init__(self) -> None:
        self.written: str | None = None
        self.reported_by: Note | None = None

    @property
    def uid(self) -> str | None:
        return self.reported_by.uid if self.reported_by else self.written


@dataclass
class Truth:
    """``actions`` and ``events`` in the form of truth.json; an event's ``above`` is a Note until it is saved."""

    actions: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def document(self, scenario: str, namespace: str, start: float) -> dict[str, Any]:
        """What truth.json holds. What goes back to an action before the recording goes back to nothing in it."""
        known = {a["id"] for a in self.actions if a["time"] >= start}
        events = [
            e | {"action": e["action"] if e["action"] in known else None, "above": e["above"] and e["above"].uid}
            for e in self.events
        ]
        return {"scenario": scenario, "namespaces": [namespace], "actions": self.actions, "events": events}
