"""Why a container ended, from its ends so far and its recorded limits."""

from collections.abc import Sequence
from statistics import median_low
from typing import Final

from sqlalchemy import Connection

from kspan import vocabulary
from kspan.k8s.containers import GONE, OOM_KILLED
from kspan.model import ObjectRow, SpanRow
from kspan.query import spans as reading
from kspan.query.explain import manifests
from kspan.query.explain.own import TERMINATED, container_of, exit_code, is_end, run_of
from kspan.query.explain.reasons.reason import Reason
from kspan.store.schema import tables as schema
from kspan.times import LATEST, parse_time_or_zero

_READ: Final = 1_000
"""Maximum number of ends of one Pod that are read."""

_OTHERWISE: Final = {
    "StartError": "its program could not be started",  # containerd
    "ContainerCannotRun": "its program could not be started",  # dockershim
    GONE: "its runtime lost it: nobody saw how it ended",
}

_SIGNALS: Final = {1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE"}
_SIGNALS_TOO: Final = {9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM"}


def reason(
    connection: Connection, cluster: str, pod: ObjectRow, shown: SpanRow, behind: Sequence[SpanRow]
) -> Reason | None:
    """Return why a container failed: it ran out of memory, or its program exited or could not be started. None if it
    was stopped, ended with its node, or has another reason, which says it itself."""
    ended = str(shown.attributes.get(vocabulary.CONTAINER_TERMINATED_REASON, ""))
    stopped = bool(behind) and (behind[0].reason == "Killing" or behind[0].object_kind == "Node")
    if not shown.error or stopped:
        return None
    if ended == OOM_KILLED:
        kind, text = "memory", f"it ran out of memory{_limit(connection, cluster, pod, shown)}"
    elif ended == "Error":
        kind, text = "exit", f"its program exited with {exit_code(shown)}{_signal(shown)}"
    elif ended in _OTHERWISE:
        kind, text = "exit", _OTHERWISE[ended]
    else:
        return None
    before = _ends(connection, cluster, pod, shown)
    alike = [each for each in before if _how(each) == _how(shown)]
    lasted = [long for each in alike if (long := _lasted(each)) is not None]
    return Reason(
        kind=kind,
        text=text,
        runs=max(run_of(shown), len(before)),
        alike=len(alike),
        unseen=max(run_of(shown) - len(before), 0),
        first=min((each.start_time for each in alike), default=shown.start_time),
        lasted=median_low(lasted) if lasted else 0,
    )


def _ends(connection: Connection, cluster: str, pod: ObjectRow, shown: SpanRow) -> list[SpanRow]:
    """The ends of the same container so far, this one included."""
    spans = schema.spans.c
    query = reading.of_object(cluster, pod).where(spans.reason == TERMINATED, spans.start_time <= shown.start_time)
    found = reading.fetch(connection, cluster, query.limit(_READ))
    return [each for each in found if is_end(each) and container_of(each) == container_of(shown)]


def _how(end: SpanRow) -> tuple[object, int]:
    return end.attributes.get(vocabulary.CONTAINER_TERMINATED_REASON), exit_code(end)


def _lasted(end: SpanRow) -> int | None:
    began = parse_time_or_zero(str(end.attributes.get(vocabulary.STARTED_AT, "")))
    finished = parse_time_or_zero(str(end.attributes.get(vocabulary.FINISHED_AT, "")))
    return finished - began if began and finished >= began else None


def _signal(end: SpanRow) -> str:
    """A program that exits with more than 128 says by which signal it was ended, but any program can say so."""
    number = exit_code(end) - 128
    name = _SIGNALS.get(number) or _SIGNALS_TOO.get(number)
    return f" (as after {name})" if name else ""


def _limit(connection: Connection, cluster: str, pod: ObjectRow, shown: SpanRow) -> str:
    """The memory limit of a container when it ended; empty if it is not recorded."""
    found = manifests.manifest(connection, cluster, pod, shown.start_time)
    if not found:
        found = manifests.manifest(connection, cluster, pod, LATEST)
        # A later version has the same resources, unless they were changed in place. That raises the generation.
        if (manifests.number(manifests.mapping(found.get("metadata")), "generation") or 0) > 1:
            return ""
    spec = manifests.mapping(found.get("spec"))
    for part in ("containers", "initContainers", "ephemeralContainers"):
        for each in manifests.entries(spec, part):
            if manifests.text(each, "name") == container_of(shown):
                limit = _memory(each) or _memory(spec)
                return f" (its limit is {limit})" if limit else " (it has no memory limit)"
    return ""


def _memory(where: manifests.Json) -> str:
    limits = manifests.mapping(manifests.mapping(where.get("resources")).get("limits"))
    value = limits.get("memory")
    return str(value) if isinstance(value, str | int) else ""
