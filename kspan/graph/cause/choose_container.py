"""Why a container ended, and what follows from it. Pure: nothing is changed by choosing.

The kubelet reports a probe that fails (Unhealthy), then that it stops the container (Killing); the status shows the
end. A container that ends by itself has no such Event: it goes back to the newest change of its Pod. Then the kubelet
starts it again, at once or after a back-off, which it reports (BackOff).
"""

import re
from collections.abc import Callable

from kspan.graph.cause import evidence
from kspan.graph.cause.choice import OWN, PLACE, UNKNOWN, Choice
from kspan.graph.cause.prerequisites import Prerequisites
from kspan.graph.state.records import ContainerTurn, ObjectState, Occurrence
from kspan.graph.state.state import State
from kspan.k8s.containers import Ended
from kspan.times import parse_time_or_zero

_PROBE = re.compile(r"failed (liveness|startup) probe", re.IGNORECASE)
"""In a message of Killing: the probe that failed (pkg/kubelet/kuberuntime, computePodActions)."""

_BACK_OFF = "restarting failed container"
"""In a message of BackOff: it is not the pull of an image that is retried (kuberuntime_manager.go, doBackOff)."""

_LOST_WITH_NODE = frozenset(["ContainerStatusUnknown", "Unknown"])
"""Reasons of an end that nobody saw, because the node or its runtime was restarted."""


class ContainerChooser:
    """Chooses causes of ends and restarts of containers, and of Events about them.

    Args:
        prerequisites: raises PrerequisiteError if something has to be decided first.
        of_disruption: chooses the cause of the disruption of a Pod.
    """

    def __init__(
        self, state: State, prerequisites: Prerequisites, of_disruption: Callable[[Occurrence, ObjectState], Choice]
    ) -> None:
        self.state = state
        self.prerequisites = prerequisites
        self.of_disruption = of_disruption

    def of_turn(self, occ: Occurrence) -> Choice:
        """The cause of the end of a container, or of its restart."""
        pod, run = self.state.object(occ.uid), occ.run
        if pod is None or run is None:
            return UNKNOWN
        self.prerequisites.require_inferred(pod, occ)
        if not isinstance(run, Ended):
            last = self._last_end([t for t in _ends(pod, run.field_path) if t.number < run.number])
            return last or self._of_pod(occ, pod)
        killing = self._killing(occ, run)
        if killing is not None:
            return Choice.event(killing, OWN, 0.95)
        disrupted = self.of_disruption(occ, pod) if pod.disruption and not pod.deleting else UNKNOWN
        if disrupted.cause is not None:
            return disrupted
        return self._with_node(occ, run, pod) or self._of_pod(occ, pod)

    def of_event(self, occ: Occurrence, pod: ObjectState) -> Choice | None:
        """The cause of an Event with a field path, which is about a container: the failed probe for which it is
        stopped, the end after which it is not started again at once. None for other Events, and if that was not
        seen."""
        if occ.kind != "Pod":
            return None
        if occ.reason == "BackOff" and _BACK_OFF in occ.message:
            before = [t for t in _ends(pod, occ.field_path) if t.time <= occ.latest + evidence.SLACK]
            return self._last_end(before)
        probe = _PROBE.search(occ.message) if occ.reason == "Killing" else None
        if probe is None:
            return None
        failures = [
            event
            for event in self.state.of_containers(occ.reported_uid, "Unhealthy", occ.field_path)
            if event.message.lower().startswith(probe[1].lower())
        ]
        failed = self._newest(failures, 0, occ.latest)
        return Choice.event(failed, OWN, 0.95) if failed is not None else None

    def _last_end(self, ends: list[ContainerTurn]) -> Choice | None:
        """The newest of these ends of a container as a cause, if it was seen to happen."""
        last = max(ends, key=lambda t: (t.number, t.time), default=None)
        if last is None or not (last.trace or self.state.occurrence(last.span)):
            return None
        self.prerequisites.require_decided([last.span])
        return Choice(last.as_cause(), OWN, 0.95)

    def _killing(self, occ: Occurrence, run: Ended) -> Occurrence | None:
        """The Event in which the kubelet reports that it stops this run of the container."""
        events = self.state.of_containers(occ.uid, "Killing", occ.field_path)
        return self._newest(events, parse_time_or_zero(run.started), occ.time) if events else None

    def _newest(self, events: list[Occurrence], since: int, until: int) -> Occurrence | None:
        """The Event that was last reported between two times (ns, each with some slack); repeats count."""
        waiting = [event.id for event in events if event.time <= until + evidence.SLACK]
        self.prerequisites.require_decided(waiting)
        found: list[tuple[int, str, Occurrence]] = []
        for event in events:
            times = [event.time, *(repeat.time for repeat in event.repeats)]
            fitting = [t for t in times if since - evidence.SLACK <= t <= until + evidence.SLACK]
            if fitting and event.decided:
                found.append((max(fitting), event.id, event))
        return max(found, key=lambda each: each[:2])[2] if found else None

    def _with_node(self, occ: Occurrence, run: Ended, pod: ObjectState) -> Choice | None:
        """The failure of the node with which a container was lost."""
        if run.reason not in _LOST_WITH_NODE or not pod.node:
            return None
        started = parse_time_or_zero(run.started)
        for node in reversed(self.state.objects.named("Node", "", pod.node)):
            failed = evidence.newest_transition((t for t in node.transitions if t.bad and t.time >= started), occ)
            if failed is not None:
                return Choice(self.prerequisites.require_cause(failed), PLACE, 0.8)
        return None

    def _of_pod(self, occ: Occurrence, pod: ObjectState) -> Choice:
        """The newest change of the Pod before. A container can have ended before the Pod was deleted."""
        own = evidence.newest(
            c for c in pod.changes if c.rv <= occ.rv and (c.verb != "Delete" or c.time <= occ.time + evidence.SLACK)
        )
        return Choice(own, OWN, 0.8) if own is not None else UNKNOWN


def _ends(pod: ObjectState, field_path: str) -> list[ContainerTurn]:
    return [turn for turn in pod.containers if turn.ended and turn.field_path == field_path]
