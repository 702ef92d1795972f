"""Why a container ended, and what follows from it. Pure: nothing is changed by choosing.

The kubelet reports a probe that fails (Unhealthy) or why it stops the whole Pod (Evicted), then that it stops the
container (Killing); the status shows the end. A container that ends by itself has no such Event: it goes back to the
newest change of its Pod. Then the kubelet starts it again, at once or after a back-off, which it reports (BackOff).
"""

import re
from collections.abc import Callable

from kspan.graph.cause import evidence
from kspan.graph.cause.choice import OWN, PLACE, UNKNOWN, Choice
from kspan.graph.cause.prerequisites import Prerequisites
from kspan.graph.rules.patterns import COMBINED
from kspan.graph.state.event_index import STOPS
from kspan.graph.state.records import ContainerTurn, ObjectState, Occurrence
from kspan.graph.state.state import State
from kspan.k8s.containers import Ended, Restarted
from kspan.times import SECOND, parse_time_or_zero

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
            last = self._last_end(_ends_before(pod, run))
            return last or self._of_pod(occ, pod)
        killing = self._killing(occ, run, pod) or self.of_stop(occ)
        if killing is not None:
            return Choice.event(killing, OWN, 0.95)
        disrupted = self.of_disruption(occ, pod) if pod.disruption and not pod.deleting else UNKNOWN
        if disrupted.cause is not None:
            return disrupted
        return self._with_node(occ, run, pod) or self._of_pod(occ, pod)

    def of_event(self, occ: Occurrence, pod: ObjectState) -> Choice | None:
        """The cause of an Event about a container: the failed probe or the decision about its Pod for which it is
        stopped, the end after which it is not started again at once. Of that decision, the state of the node. None for
        other Events, and if that was not seen."""
        if occ.kind != "Pod":
            return None
        if occ.reason in STOPS:
            return self._of_pressure(occ, pod) if occ.actor == "kubelet" else None
        if occ.reason == "BackOff" and _BACK_OFF in occ.message:
            before = [t for t in _ends(pod, occ.field_path) if t.time <= occ.latest + evidence.SLACK]
            return self._last_end(before)
        if occ.reason != "Killing":
            return None
        probe = _PROBE.search(occ.message)
        if probe is None:
            stop = self.of_stop(occ) if not pod.deleting else None
            return Choice.event(stop, OWN, 0.95) if stop is not None else None
        failures = self.state.of_containers(occ.reported_uid, "Unhealthy", occ.field_path)
        failed = self._newest(failures, 0, occ.latest, of=f"{probe[1]} probe".lower())
        return Choice.event(failed, OWN, 0.95) if failed is not None else None

    def of_stop(self, occ: Occurrence) -> Occurrence | None:
        """The Event before an occurrence of a Pod in which its kubelet reports that it is going to stop it."""
        events = [e for reason in STOPS for e in self.state.of_containers(occ.uid, reason, "") if e.actor == "kubelet"]
        return self._newest(events, 0, occ.latest) if events else None

    def _of_pressure(self, occ: Occurrence, pod: ObjectState) -> Choice | None:
        """The last condition of its node that became bad, if a Pod is evicted for it."""
        if occ.reason != "Evicted":
            return None
        for node in reversed(self.state.objects.named("Node", "", pod.node)) if pod.node else ():
            pressure = evidence.newest_transition((t for t in node.transitions if t.type.endswith("Pressure")), occ)
            if pressure is not None and pressure.bad:
                return Choice(self.prerequisites.require_cause(pressure), PLACE, 0.8)
        return None

    def _last_end(self, ends: list[ContainerTurn]) -> Choice | None:
        """The newest of these ends of a container as a cause, if it was seen to happen."""
        last = max(ends, key=lambda t: (t.time, t.number), default=None)
        if last is None or not (last.trace or self.state.occurrence(last.span)):
            return None
        self.prerequisites.require_decided([last.span])
        return Choice(last.as_cause(), OWN, 0.95)

    def _killing(self, occ: Occurrence, run: Ended, pod: ObjectState) -> Occurrence | None:
        """The Event in which the kubelet reports that it stops this run of the container, and not an earlier one.

        An earlier run that was stopped ended after that was reported, and within the second in which it finished.
        """
        events = self.state.of_containers(occ.uid, "Killing", occ.field_path)
        if not events:
            return None
        since = parse_time_or_zero(run.started)
        before = max((turn.time for turn in _ends_before(pod, run)), default=0)
        since = max(since, min(before, since or before) + SECOND) if before else since - evidence.SLACK
        return self._newest(events, since, occ.time)

    def _newest(self, events: list[Occurrence], since: int, until: int, *, of: str = "") -> Occurrence | None:
        """The Event that was last reported between two times (ns; the second with some slack). Repeats count.

        ``of``: how its message begins, in lower case. That of a combined Event changes with each repeat.
        """
        until += evidence.SLACK
        self.prerequisites.require_decided([event.id for event in events if event.time <= until])
        found: list[tuple[int, str, Occurrence]] = []
        for event in events:
            reports = [(event.time, event.message), *((repeat.time, repeat.message) for repeat in event.repeats)]
            fitting = [
                time
                for time, message in reports
                if since <= time <= until and message.removeprefix(COMBINED).lower().startswith(of)
            ]
            if fitting and event.decided:
                found.append((max(fitting), event.id, event))
        return max(found, key=lambda each: each[:2])[2] if found else None

    def _with_node(self, occ: Occurrence, run: Ended, pod: ObjectState) -> Choice | None:
        """The reboot or the failure of the node with which a container was lost."""
        if run.reason not in _LOST_WITH_NODE or not pod.node:
            return None
        started = parse_time_or_zero(run.started)
        for node in reversed(self.state.objects.named("Node", "", pod.node)):
            # The kubelet reports a reboot once it runs again, with the name of its node as the uid.
            reports = [e for uid in (node.uid, node.name) for e in self.state.of_containers(uid, "Rebooted", "")]
            rebooted = self._newest(reports, started, occ.received) if reports else None
            if rebooted is not None:
                return Choice.event(rebooted, PLACE, 0.9)
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


def _ends_before(pod: ObjectState, run: Ended | Restarted) -> list[ContainerTurn]:
    """The ends of earlier runs of a container.

    Their numbers need not be lower: they start again at 0 where a runtime has lost its state (kuberuntime_container.go,
    startContainer).
    """
    started = parse_time_or_zero(run.started)
    return [turn for turn in _ends(pod, run.field_path) if turn.number < run.number or turn.time < started]
