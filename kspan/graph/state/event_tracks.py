"""How far the repeats of each Event object were followed. Pure.

For an Event with occurrences in the graph this is known from the occurrences. Once their traces are closed, the object
keeps it. So an Event that arrives writes no row but its own.
"""

from kspan.graph.state.records import EventTrack, ObjectState, Occurrence

TRACKED_EVENTS = 64
"""Event objects that an object remembers after their traces: a Pod has about ten, a hostile reporter any number."""


class _Followed:
    """The occurrences of one Event in the graph, in the order of arrival. ``newest`` and ``placed`` are None if they
    have to be computed again."""

    __slots__ = ("live", "newest", "placed")

    def __init__(self) -> None:
        self.live: dict[str, Occurrence] = {}
        self.newest: EventTrack | None = None
        self.placed: Occurrence | None = None


def _track(occ: Occurrence) -> EventTrack:
    """The track as of the newest repeat of an occurrence."""
    last = max(occ.repeats, key=lambda repeat: repeat.arrival) if occ.repeats else None
    if last is None or last.arrival < occ.arrival:
        return EventTrack(occ.event_count, occ.message, occ.arrival)
    return EventTrack(last.count, last.message, last.arrival)


class EventTracks:
    """Events with occurrences in the graph, by uid."""

    def __init__(self) -> None:
        self._events: dict[str, _Followed] = {}

    def __len__(self) -> int:
        return len(self._events)

    def add(self, occ: Occurrence) -> None:
        """Add an occurrence of an Event, in the order of arrival."""
        event = self._events.get(occ.event_uid)
        if event is None:
            event = self._events[occ.event_uid] = _Followed()
        newest, track = event.newest, _track(occ)
        if not event.live or (newest is not None and newest.arrival < track.arrival):
            event.newest = track
        event.live[occ.id] = occ

    def newest(self, obj: ObjectState, event_uid: str) -> EventTrack | None:
        """How far an Event about this object was followed, if it was."""
        kept, event = obj.events.get(event_uid), self._events.get(event_uid)
        if event is None:
            return kept
        if event.newest is None:
            event.newest = max(map(_track, event.live.values()), key=lambda track: track.arrival)
        return kept if kept is not None and kept.arrival > event.newest.arrival else event.newest

    def placed(self, occ: Occurrence) -> None:
        """Note that an occurrence was placed in a trace."""
        event = self._events[occ.event_uid]
        if event.placed is not None and event.placed.arrival < occ.arrival:
            event.placed = occ

    def placed_before(self, occ: Occurrence) -> Occurrence | None:
        """The newest other occurrence of the same Event that is in a trace."""
        event = self._events.get(occ.event_uid)
        if event is not None and event.placed is None:
            for other in reversed(event.live.values()):
                if other.place.trace and other is not occ:
                    event.placed = other
                    break
        return event.placed if event is not None else None

    def forget(self, occ: Occurrence) -> None:
        """Remove an occurrence."""
        event = self._events[occ.event_uid]
        del event.live[occ.id]
        if not event.live:
            del self._events[occ.event_uid]
            return
        if event.newest is not None and (occ.repeats or event.newest.arrival == occ.arrival):
            event.newest = None
        if event.placed is occ:
            event.placed = None

    def merged(self, occ: Occurrence) -> None:
        """Remove an occurrence that became the newest repeat of another: the track is the same."""
        event = self._events[occ.event_uid]
        del event.live[occ.id]
        if event.placed is occ:
            event.placed = None

    def keep(self, occ: Occurrence, obj: ObjectState) -> bool:
        """Keep the track of an occurrence whose trace is closed on its object. True if that changed the object."""
        track, kept = _track(occ), obj.events.get(occ.event_uid)
        if kept is not None and kept.arrival > track.arrival:
            return False
        obj.events[occ.event_uid] = track
        if len(obj.events) > TRACKED_EVENTS:
            del obj.events[next(iter(obj.events))]
        return True
