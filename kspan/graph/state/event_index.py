"""Events in the graph, by the object they are about and by what they report. Pure data."""

from collections import defaultdict
from typing import TypeVar

from kspan.graph.state.event_tracks import EventTracks
from kspan.graph.state.records import Occurrence

Name = tuple[str, str, str]
"""Kind, namespace and name of an object."""

Key = TypeVar("Key")


class EventIndex:
    """Span ids of Events, in the order of arrival, and the tracks of their repeats."""

    def __init__(self) -> None:
        self.tracks = EventTracks()
        self._about: dict[Name, list[str]] = defaultdict(list)
        self._decisions: dict[str, list[str]] = defaultdict(list)
        self._top_level: dict[Name, list[str]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self.tracks) + len(self._about) + len(self._decisions) + len(self._top_level)

    def add(self, occ: Occurrence) -> None:
        """Index an occurrence."""
        if occ.event_uid:
            self.tracks.add(occ)
        self.add_subject(occ)
        if occ.top_level:
            self._top_level[occ.kind, occ.namespace, occ.name].append(occ.id)
        if occ.subject is not None and occ.subject.starts:
            self._decisions[occ.reported_uid].append(occ.id)

    def add_subject(self, occ: Occurrence) -> None:
        """Index an Event about another object under that object's name."""
        if occ.subject is not None and occ.subject.name:
            self._about[occ.subject.kind, occ.subject.namespace, occ.subject.name].append(occ.id)

    def remove(self, occ: Occurrence) -> None:
        """Remove an occurrence."""
        if occ.event_uid:
            self.tracks.forget(occ)
        subject = occ.subject
        if subject is not None and subject.name:
            _remove(self._about, (subject.kind, subject.namespace, subject.name), occ.id)
        if subject is not None and subject.starts:
            _remove(self._decisions, occ.reported_uid, occ.id)
        if occ.top_level:
            _remove(self._top_level, (occ.kind, occ.namespace, occ.name), occ.id)

    def about(self, kind: str, namespace: str, name: str) -> list[str]:
        """Events of other objects that are about this one."""
        return self._about.get((kind, namespace, name), [])

    def decisions(self, uid: str) -> list[str]:
        """Events in which an object's own controller reports what it decided."""
        return self._decisions.get(uid, [])

    def top_level(self, kind: str, namespace: str, name: str) -> list[str]:
        """Events of an object that start a trace."""
        return self._top_level.get((kind, namespace, name), []) if self._top_level else []


def _remove(index: dict[Key, list[str]], key: Key, span: str) -> None:
    index[key].remove(span)
    if not index[key]:
        del index[key]
