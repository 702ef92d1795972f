"""How far the repeats of each Event object were followed. Pure.

Of an Event that has an occurrence in the graph the occurrences themselves tell; once their traces are closed, the
object keeps it. So an Event that is taken in writes no row but its own.
"""

from kspan.graph.facts import EventTrack, ObjectState, Occurrence

TRACKED_EVENTS = 64
"""Event objects that an object remembers past their traces: a Pod has about ten, a hostile reporter any number."""

Key = tuple[str, str]
"""The uid of the object on which an Event is tracked, and the Event's."""


def _key(occ: Occurrence) -> Key:
    return occ.reported_uid, occ.event_uid


def _track(occ: Occurrence) -> EventTrack:
    """What the newest that an occurrence gathered says."""
    last = max(occ.repeats, key=lambda repeat: repeat.arrival) if occ.repeats else None
    if last is None or last.arrival < occ.arrival:
        return EventTrack(occ.event_count, occ.message, occ.arrival)
    return EventTrack(last.count, last.message, last.arrival)


class EventTracks:
    """The occurrences of Events that are in the graph, by Event. Two look-ups are kept, and made again when asked."""

    def __init__(self) -> None:
        self._live: dict[Key, dict[str, Occurrence]] = {}
        self._newest: dict[Key, EventTrack] = {}
        self._placed: dict[Key, Occurrence] = {}

    def add(self, occ: Occurrence) -> None:
        """Takes in an occurrence of an Event, in the order of arrival."""
        key = _key(occ)
        live = self._live.setdefault(key, {})
        known, track = self._newest.get(key), _track(occ)
        if not live or (known is not None and known.arrival < track.arrival):
            self._newest[key] = track
        live[occ.id] = occ

    def newest(self, obj: ObjectState, event_uid: str) -> EventTrack | None:
        """How far an Event of this object was followed, if it was."""
        key = obj.uid, event_uid
        kept, track = obj.events.get(event_uid), self._newest.get(key)
        if track is None and key in self._live:
            track = self._newest[key] = max(map(_track, self._live[key].values()), key=lambda t: t.arrival)
        if track is None or (kept is not None and kept.arrival > track.arrival):
            return kept
        return track

    def placed(self, occ: Occurrence) -> None:
        """Notes that an occurrence has its place in a trace."""
        known = self._placed.get(_key(occ))
        if known is not None and known.arrival < occ.arrival:
            self._placed[_key(occ)] = occ

    def placed_before(self, occ: Occurrence) -> Occurrence | None:
        """The newest occurrence of the same Event that is in a trace."""
        key = _key(occ)
        found = self._placed.get(key)
        if found is None:
            there = reversed(self._live.get(key, {}).values())
            found = next((other for other in there if other.trace and other is not occ), None)
            if found is not None:
                self._placed[key] = found
        return found

    def forget(self, occ: Occurrence) -> None:
        """Lets an occurrence go."""
        key = _key(occ)
        live = self._live[key]
        del live[occ.id]
        if not live:
            del self._live[key]
            self._newest.pop(key, None)
            self._placed.pop(key, None)
            return
        newest = self._newest.get(key)
        if newest is not None and (occ.repeats or newest.arrival == occ.arrival):
            del self._newest[key]
        if self._placed.get(key) is occ:
            del self._placed[key]

    def keep(self, occ: Occurrence, obj: ObjectState) -> bool:
        """Has the object remember how far this occurrence goes, whose trace is closed; whether that is news."""
        track, kept = _track(occ), obj.events.get(occ.event_uid)
        if kept is not None and kept.arrival > track.arrival:
            return False
        obj.events[occ.event_uid] = track
        if len(obj.events) > TRACKED_EVENTS:
            del obj.events[next(iter(obj.events))]
        return True

    def __len__(self) -> int:
        return len(self._live)
