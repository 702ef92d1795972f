"""The ends and restarts of containers become occurrences. Pure.

A status shows the same end twice, as the state and then as the last state, and again in each list. Its identity is the
container's id in its runtime or, if there is none, the number of the run. A restart is identified by that number and by
when the run was started: numbers start again at 0 where a runtime has lost its state.
"""

from functools import lru_cache

from msgspec.structs import replace

from kspan.graph.observe.object_state import ObservedObject
from kspan.graph.observe.timing import estimate_time
from kspan.graph.state.records import ContainerTurn, ObjectState, Occurrence
from kspan.graph.state.state import State
from kspan.ids import span_id
from kspan.k8s.containers import EPHEMERAL, OOM_KILLED, Ended, Restarted, container_runs, sentence
from kspan.times import SECOND, parse_time_or_zero

TERMINATED, RESTARTED = "ContainerTerminated", "ContainerRestarted"
"""Reasons of these occurrences."""


# The next versions of a Pod, within seconds mostly, show the same ends again.
_span_id = lru_cache(maxsize=1024)(span_id)


class ContainerObserver:
    """Creates the occurrences of containers that ended or were started again."""

    def __init__(self, state: State) -> None:
        self.state = state

    def remember(self, seen: ObservedObject, pod: ObjectState) -> None:
        """Note what the first list shows: it happened before, and starts no trace."""
        for run in container_runs(seen.status):
            self.state.objects.add_container_turn(pod, self._turn(seen, pod, run, self._span(pod, run)))

    def observe(self, seen: ObservedObject, pod: ObjectState) -> None:
        """Add the ends and restarts that a record of a Pod shows for the first time."""
        runs = container_runs(seen.status)
        if not runs:
            return
        known = {turn.span for turn in pod.containers}
        for run in runs:
            span = self._span(pod, run)
            if span in known:
                continue
            turn = self._turn(seen, pod, run, span)
            if isinstance(run, Ended) and (missed := _missed(turn, pod)):
                run = replace(run, missed=missed)
            self.state.add_container_turn(pod, self._occurrence(pod, run, turn), turn)

    def _span(self, pod: ObjectState, run: Ended | Restarted) -> str:
        number = f"{run.field_path}#{run.number}"
        if isinstance(run, Ended):
            return _span_id(self.state.cluster, pod.uid, "ended", run.id or number)
        return _span_id(self.state.cluster, pod.uid, "restarted", f"{number}@{run.started}")

    def _turn(self, seen: ObservedObject, pod: ObjectState, run: Ended | Restarted, span: str) -> ContainerTurn:
        return ContainerTurn(
            span=span,
            field_path=run.field_path,
            ended=isinstance(run, Ended),
            number=run.number,
            rv=pod.rv,
            time=_time(seen, pod, run.finished if isinstance(run, Ended) else run.started),
        )

    def _occurrence(self, pod: ObjectState, run: Ended | Restarted, turn: ContainerTurn) -> Occurrence:
        # A container that was stopped with its Pod has not failed, whatever the exit code.
        failed = isinstance(run, Ended) and _has_failed(run) and not pod.deleting
        return Occurrence(
            id=turn.span,
            uid=pod.uid,
            kind=pod.kind,
            namespace=pod.namespace,
            name=pod.name,
            reason=TERMINATED if turn.ended else RESTARTED,
            arrival=self.state.clock.next_arrival(),
            received=self.state.clock.now,
            time=turn.time,
            latest=turn.time,
            rv=pod.rv,
            api_version=pod.api_version,
            resource_version=pod.resource_version,
            generation=pod.generation,
            field_path=run.field_path,
            actor="kubelet",
            warning=failed,
            message=sentence(run),
            run=run,
        )


def _has_failed(run: Ended) -> bool:
    """True if the end of a run is a failure.

    A process that survives its child's death from lack of memory can exit with 0. Ephemeral containers are for people
    who look into a Pod: they are not restarted, and the Pod does not depend on them.
    """
    return (run.exit_code != 0 or run.reason == OOM_KILLED) and not run.field_path.startswith(EPHEMERAL)


def _time(seen: ObservedObject, pod: ObjectState, stated: str) -> int:
    """When a container ended or started (ns): as stated, in whole seconds, if that is plausible."""
    time = parse_time_or_zero(stated)
    plausible = pod.created <= time <= seen.record.recorded_at + SECOND
    return min(time, seen.record.recorded_at) if plausible else estimate_time(seen.record, 0)


def _missed(turn: ContainerTurn, pod: ObjectState) -> int:
    """How many runs of the container ended unseen since the last end that is known."""
    ends = (t.number for t in pod.containers if t.ended and t.field_path == turn.field_path)
    return max(turn.number - max(ends, default=-1) - 1, 0)
