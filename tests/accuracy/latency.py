"""``python -m tests.accuracy.latency [DIR]``: how long it takes until a trace can be exported. Writes docs/latency.md.

Traces are closed in event time, so the figures are the same on every machine. Not included is what the receiver and the
database take.
"""

import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kspan.graph import built_in_rules
from kspan.graph.observe.failures import FailureObserver
from kspan.graph.observe.object_state import observed_object
from kspan.k8s.objects import decode_event, decode_object
from kspan.model import LogRecord, Outcome, RecordType
from kspan.settings import FoldSettings
from kspan.times import SECOND
from kspan.vocabulary import EVENT_COUNT, EVENT_RULE, OUTCOME
from tests.recordings import RECORDINGS, Rows, fold, journal_of

EXPORT = 1 * SECOND
"""Event time advances each second, and closed traces are exported at once (daemon/scheduler.py)."""

SLOW = frozenset(["scheduling", "volume", "sandbox", "claim", "replica-refused", "pod-refused"])
"""Failures that often heal by themselves."""

LIMITS = {"well": 25.0, "fast": 45.0, "slow": 75.0}
"""Seconds: p90 when all goes well, and of the first trace of a failure."""

DOCUMENT = Path(__file__).parents[2] / "docs" / "latency.md"

OVERLAPS = Path(__file__).parents[1] / "data" / "latency"
"""Recordings in which something begins on the objects of a trace just before that is closed."""


def recordings_in(*folders: Path) -> dict[str, Path]:
    """The recordings in folders, by name."""
    return {path.parent.name: path for folder in folders for path in folder.glob("*/recording.jsonl.gz")}


FILES = recordings_in(RECORDINGS, OVERLAPS)
"""The recordings of the repository, by name."""


class Latency(NamedTuple):
    """Figures of a recording, in seconds; nan: nothing to measure."""

    scenario: str
    events: int
    p50: float
    p90: float
    quiet: float
    """p90 from the last of its traces' spans to the export."""
    failures: list[tuple[str, float]]
    """Name of the failure that closed a trace, and the time from its first sign to the export."""


def measure(file: Path) -> Latency:
    """Fold a recording and measure its traces."""
    cluster, records = journal_of(file)
    rows = fold(cluster, records)
    closed = {trace["trace_id"]: trace["closed_at"] for trace in rows["traces"]}
    traces = _quiet_traces(rows)
    found = _delays(rows, records, closed, traces)
    quiet = [
        (t["closed_at"] + EXPORT - max(t["end_time"], t["opened_at"])) / SECOND
        for t in rows["traces"]
        if t["trace_id"] in traces
    ]
    shares = _share(found, 0.5), _share(found, 0.9), _share(quiet, 0.9)
    return Latency(file.parent.name, len(found), *shares, _first_reports(rows, records))


def _quiet_traces(rows: Rows) -> set[str]:
    """The traces without a Warning whose objects are not waited for, and not of Events that are routine."""
    routine = {rule.name for rule in built_in_rules().rules if rule.means == "routine"}
    left_out = (s["trace_id"] for s in rows["spans"] if s["error"] or s["attributes"].get(EVENT_RULE) in routine)
    troubled = set(left_out)
    return {t["trace_id"] for t in rows["traces"] if not t["incomplete"]} - troubled


def _delays(rows: Rows, records: Sequence[LogRecord], closed: dict[str, int], traces: set[str]) -> list[float]:
    """Seconds from the delivery of each Event to the export of its span."""
    at: dict[tuple[str, int], str] = {}
    for span in rows["spans"]:
        if span["event_uid"]:
            at[span["event_uid"], span["event_count"]] = span["trace_id"]
            at |= {
                (span["event_uid"], event.attributes[EVENT_COUNT]): span["trace_id"]
                for event in span["events"]
                if EVENT_COUNT in event.attributes
            }
    delays = []
    for record in records:
        event = decode_event(record.payload) if record.kind == "Event" and record.type in _NEWS else None
        if event is not None:
            trace = at.get((event.metadata.uid, event.series.count if event.series else event.count or 1))
            if trace in traces:
                delays.append((closed[trace] + EXPORT - record.recorded_at) / SECOND)
    return delays


_NEWS = (RecordType.ADDED, RecordType.MODIFIED)


def _first_reports(rows: Rows, records: Sequence[LogRecord]) -> list[tuple[str, float]]:
    """The failures that closed a trace which continues no other, each with the seconds from its first sign."""
    roots = {span["span_id"]: span for span in rows["spans"]}
    signs = _signs(records)
    objects: dict[str, set[str]] = defaultdict(set)
    for span in rows["spans"]:
        objects[span["trace_id"]].add(span["object_uid"])
    found = []
    for trace in rows["traces"]:
        root: dict[str, Any] = roots[trace["root_span_id"]]
        if root["attributes"].get(OUTCOME) != Outcome.FAILING or trace["previous_trace_id"]:
            continue
        begun = trace["opened_at"] - FoldSettings().hold
        own = [(max(time, begun), name) for uid in objects[trace["trace_id"]] for time, name in signs[uid]]
        # The failure with the least patience left closed the trace.
        time, name = min(own, key=lambda sign: (sign[0] + _patience(sign[1]), sign[1]))
        found.append((name, (trace["closed_at"] + EXPORT - time) / SECOND))
    return sorted(found)


def _patience(name: str) -> int:
    return next(rule.patience for rule in built_in_rules().failures.rules if rule.name == name)


def _signs(records: Iterable[LogRecord]) -> dict[str, list[tuple[int, str]]]:
    """When which failures of an object were seen, by its uid."""
    rules = built_in_rules().failures
    observer = FailureObserver(rules, FoldSettings())
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for record in records:
        if record.kind == "Event":
            event = decode_event(record.payload)
            about = event.involvedObject if event is not None else None
            if event is not None and about is not None:
                rule = rules.in_event(about.kind, event.reason, event.message)
                if rule is not None:
                    found[about.uid].append((record.recorded_at, rule.name))
        elif (obj := decode_object(record.payload)) is not None:
            found[obj.metadata.uid] += [
                (record.recorded_at, name) for name in observer.shown(observed_object(record, obj, None))
            ]
    return found


def _share(values: Sequence[float], share: float) -> float:
    """The smallest value that is not below this share of the values."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan


def failures_above(latency: Latency) -> list[tuple[str, float]]:
    """The failures whose first trace took longer than the limit."""
    return [(name, took) for name, took in latency.failures if took > LIMITS["slow" if name in SLOW else "fast"]]


HEAD = """\
# Latency

Written by `python -m tests.accuracy.latency DIR`, from the recordings of the repository and those below `DIR`. Traces
are closed in event time, so the figures are the same on every machine. One second is added for the export; what the
receiver takes is not included.

- **Events**: from the delivery of each Event to the export of its span, in traces without a Warning. A trace waits for
  what is in progress: the first Events of a Job or of a rolling update wait for its end (07, 28, 37). It does not wait
  for a change that begins another trace just before it is closed, such as a second rollout (35) or the binding of a
  claim for a new Pod (26).
- **after the end**: from the end of the last span of such a trace to its export, p90. A Job that still runs keeps its
  trace open without a further span (37), and so do Events that arrive late (15).
- **first trace of a failure**: from the first sign of the failure (an Event, or the status of the object) to the export
  of the trace. The names are those of the `[[failure]]` rules ([rules.md](rules.md)).

Tests keep p90 of the Events below 25 s in all recordings but 07 and 37, whose Jobs run for longer. In the recordings of
the repository, they also keep p90 after the end of a trace below 25 s, and the first trace of a failure below 45 s
(images, crash loops, configuration, rollouts) and 75 s (scheduling, volumes, quotas).

| recording | Events | p50 | p90 | after the end, p90 | first trace of each failure |
|---|---|---|---|---|---|
"""


def document(found: Iterable[Latency]) -> str:
    """The text of the document."""
    lines = []
    for one in found:
        failures = ", ".join(f"{name} {took:.0f} s" for name, took in one.failures) or "none"
        figures = " | ".join(
            "none" if math.isnan(value) else f"{value:.0f} s" for value in (one.p50, one.p90, one.quiet)
        )
        lines.append(f"| {one.scenario} | {one.events} | {figures} | {failures} |\n")
    return HEAD + "".join(lines)


def main(other: Path | None) -> None:
    files = FILES | (recordings_in(other) if other is not None else {})
    text = document(measure(files[name]) for name in sorted(files))
    print(text.partition("|---")[0].rpartition("\n\n")[2] + text.partition("|---")[2].partition("\n")[2], end="")
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
