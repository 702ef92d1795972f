"""Events in the graph, by the object they are about and by what they report. Pure data."""

from collections import defaultdict
from typing import TypeVar

from kspan.graph.state.event_tracks import EventTracks
from kspan.graph.state.records import Occurrence

Name = tuple[str, str, str]
"""Kind, namespace and name of an object."""

STOPS = ("DeadlineExceeded", "Evicted", "NodeShutdown", "Preempting")
"""Reasons of Events in which the kubelet reports that it is going to stop all containers of a Pod (pkg/kubelet
active_deadline.go, eviction/eviction_manager.go, nodeshutdown, preemption)."""

OF_CONTAINERS = frozenset(["Killing", "Rebooted", "Unhealthy", *STOPS])
"""Reasons of Events of the kubelet that explain why a container ended."""

Key = TypeVar("Key")


class EventIndex:
    """Events in the order of arrival, and the tracks of their repeats."""

    def __init__(self) -> None:
        self.tracks = EventTracks()
        self._about: dict[Name, list[Occurrence]] = defaultdict(list)
        self._decisions: dict[str, list[Occurrence]] = defaultdict(list)
        self._of_containers: dict[tuple[str, str], list[Occurrence]] = defaultdict(list)
        self._top_level: dict[Name, list[Occurrence]] = defaultdict(list)

    def __len__(self) -> int:
        indexes = (self._about, self._decisions, self._of_containers, self._top_level)
        return len(self.tracks) + sum(len(index) for index in indexes)

    def add(self, occ: Occurrence) -> None:
        """Index an occurrence of an Event."""
        self.tracks.add(occ)
        if occ.subject is not None:
            self.add_subject(occ)
            if occ.subject.starts:
                self._decisions[occ.reported_uid].append(occ)
        if occ.reason in OF_CONTAINERS:
            self._of_containers[occ.reported_uid, occ.reason].append(occ)
        if occ.top_level:
            self._top_level[occ.kind, occ.namespace, occ.name].append(occ)

    def add_subject(self, occ: Occurrence) -> None:
        """Index an Event about another object under that object's name."""
        if occ.subject is not None and occ.subject.name:
            self._about[occ.subject.kind, occ.subject.namespace, occ.subject.name].append(occ)
        for name in occ.others:
            self._about[name].append(occ)

    def remove(self, occ: Occurrence, *, is_repeat: bool = False) -> None:
        """Remove an occurrence of an Event. ``is_repeat``: it became a repeat of another one."""
        if is_repeat:
            self.tracks.merged(occ)
        else:
            self.tracks.forget(occ)
        subject = occ.subject
        if subject is not None and subject.name:
            _remove(self._about, (subject.kind, subject.namespace, subject.name), occ)
        for name in occ.others:
            _remove(self._about, name, occ)
        if subject is not None and subject.starts:
            _remove(self._decisions, occ.reported_uid, occ)
        if occ.reason in OF_CONTAINERS:
            _remove(self._of_containers, (occ.reported_uid, occ.reason), occ)
        if occ.top_level:
            _remove(self._top_level, (occ.kind, occ.namespace, occ.name), occ)

    def about(self, kind: str, namespace: str, name: str) -> list[Occurrence]:
        """The Events of other objects that are about the object with this name."""
        return self._about.get((kind, namespace, name), [])

    def decisions(self, uid: str) -> list[Occurrence]:
        """The Events in which an object's own controller reports what it decided."""
        return self._decisions.get(uid, [])

    def of_containers(self, uid: str, reason: str, field_path: str) -> list[Occurrence]:
        """The Events with a reason that is one of ``OF_CONTAINERS``, about a container of a Pod or, without a
        ``field_path``, about the Pod or Node itself."""
        return [occ for occ in self._of_containers.get((uid, reason), ()) if occ.field_path == field_path]

    def top_level(self, kind: str, namespace: str, name: str) -> list[Occurrence]:
        """The Events of the object with this name that start a trace."""
        return self._top_level.get((kind, namespace, name), []) if self._top_level else []


def _remove(index: dict[Key, list[Occurrence]], key: Key, occ: Occurrence) -> None:
    index[key] = [other for other in index[key] if other is not occ]
    if not index[key]:
        del index[key]
