"""The traces of a simulated cluster, drawn as text, and variations that must not change them.

One line for each span, indented by two spaces for each level: ``Kind.Reason name  by service  [rule]``, then ``+n`` for
n repeats, ``error`` for the status and ``->`` for a link to another trace than the one that an episode continues.
Above the root, a trace has the outcome failing, recovered or superseded.
Traces are in the order of the start of their roots. On request, ``*`` below a span is a note (a condition) on it.
"""

import random
import re
from collections import defaultdict
from textwrap import dedent
from typing import Any

import msgspec

from kspan.graph import Fold, built_in_rules
from kspan.model import ENDED, LogRecord, OwnerRow, RecordType
from kspan.pipeline.rebuild import KEYS
from kspan.settings import FoldSettings
from kspan.times import MILLISECOND
from kspan.vocabulary import INCOMPLETE, LINK, OUTCOME, SUPERSEDED, is_repeat
from tests.causality.actors import kill, new_replicas, rolled_out, scale
from tests.causality.cluster import Cluster
from tests.graph.cause.fingerprint import fold_checked
from tests.recordings import RUN_OUT, Rows, apply_delta, fold, structure

JITTER = 2_000
"""Milliseconds by which a record can be late: within ``hold``."""

CLUSTER = "5f1e7a0c-0000-4000-8000-000000000000"


def shows(cluster: Cluster, drawing: str, *, notes: bool = False) -> None:
    """Assert that the traces of the cluster are those drawn: for each order of arrival, with restarts, with other
    names, with unrelated changes, and without a change of state by any question to a chooser."""
    cluster.receive_all()
    records = cluster.records
    rows = fold(CLUSTER, records)
    drawn = draw(rows, notes=notes)
    assert drawn == dedent(drawing).strip(), f"drawn:\n{drawn}"
    restarted = draw(fold_with_restarts(records), notes=notes)
    assert restarted == drawn, f"with restarts:\n{restarted}"
    for seed in range(3):
        other = fold(CLUSTER, jittered(records, seed))
        assert structure(other) == structure(rows), f"in another order ({seed}):\n{draw(other)}"
    other = fold(CLUSTER, renamed(records))
    assert structure(other) == structure(rows), f"under other names:\n{draw(other)}"
    fold_checked(CLUSTER, records)
    other = fold(CLUSTER, with_company(records))
    assert structure(rows).items() <= structure(other).items(), f"in company:\n{draw(other)}"


def draw(rows: Rows, *, notes: bool = False) -> str:
    """The drawing of a projection whose traces are all closed."""
    spans = {row["span_id"]: row for row in rows["spans"]}
    children: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(spans.values(), key=lambda r: (r["start_time"], r["name"], r["object_name"], r["span_id"])):
        parent = row["parent_span_id"]
        children["" if row["remote_parent"] else parent].append(row)
    traces = {row["trace_id"]: row for row in rows["traces"]}
    return "\n\n".join("\n".join(_trace(root, children, traces, spans, notes=notes)) for root in children[""])


def _trace(
    root: dict[str, Any],
    children: dict[str, list[dict[str, Any]]],
    traces: dict[str, dict[str, Any]],
    spans: dict[str, dict[str, Any]],
    *,
    notes: bool,
) -> list[str]:
    trace = traces[root["trace_id"]]
    lines = []
    if trace["previous_trace_id"]:
        before = spans[traces[trace["previous_trace_id"]]["root_span_id"]]
        lines.append(f"(continues {before['name']} {before['object_name']} trace)")
    assert root["attributes"].get(INCOMPLETE, False) == trace["incomplete"], "the root span has the mark in exports"
    if trace["incomplete"]:
        lines.append("(incomplete)")
    outcome = root["attributes"].get(OUTCOME, "")
    if outcome in ("failing", "recovered", "superseded"):
        lines.append(f"({outcome})")
    waiting = [(0, root)]
    while waiting:
        depth, row = waiting.pop()
        lines.append("  " * depth + _line(row, trace["previous_trace_id"]))
        lines += ["  " * (depth + 1) + f"* {name}" for name in _noted(row)] if notes else []
        waiting.extend((depth + 1, child) for child in reversed(children[row["span_id"]]))
    return lines


def _noted(row: dict[str, Any]) -> list[str]:
    return [event.name for event in row["events"] if not is_repeat(event.attributes)]


def _line(row: dict[str, Any], previous: str) -> str:
    line = f"{row['name']} {row['object_name']}  by {row['service']}  [{row['rule']}]"
    repeats = len(row["events"]) - len(_noted(row))
    line += f" +{repeats}" if repeats else ""
    line += " error" if row["error"] else ""
    links = [link for link in row["links"] if link.attributes[LINK] != SUPERSEDED]
    linked = [link.trace_id for link in links if link.trace_id != previous]
    return f"{line} -> {' '.join(linked)}" if linked else line


def jittered(records: list[LogRecord], seed: int) -> list[LogRecord]:
    """The records in another possible order of arrival: each stream keeps its own order."""
    chance = random.Random(seed)
    latest: dict[str, int] = defaultdict(int)
    arrivals = []
    for number, record in enumerate(records):
        at = max(latest[record.resource], record.recorded_at + chance.randint(0, JITTER) * MILLISECOND)
        latest[record.resource] = at
        arrivals.append((at, number, record))
    return [record for _, _, record in sorted(arrivals, key=lambda a: a[:2])]


def renamed(records: list[LogRecord]) -> list[LogRecord]:
    """The records of the same cluster with other names, which sort in reverse order."""
    names = sorted({record.name for record in records if record.kind not in ("Event", "Namespace", "")})
    others = {name: f"{len(names) - rank:03}-other" for rank, name in enumerate(names)}
    some = "|".join(sorted(names, key=len, reverse=True))
    # After a slash it may be an image's, but not so in the messages of Flux ("Deployment/shop/web configured") and
    # Karpenter ("nodeclaim/default-x").
    # Argo CD's mark of what it applies begins with a name, too.
    begins = r"(?<![\w/:-])|(?<=t/shop/)|(?<=ConfigMap/shop/)|(?<= shop/)|(?<=nodeclaim/)|(?<=ConfigMap/)"
    word = re.compile(rf"(?:{begins})({some})(?:(?![\w:-])|(?=:apps/))".encode())

    def rename(record: LogRecord) -> LogRecord:
        payload = word.sub(lambda found: others[found[1].decode()].encode(), record.payload)
        return msgspec.structs.replace(record, name=others.get(record.name, record.name), payload=payload)

    return [rename(record) for record in records] if names else records


def with_company(records: list[LogRecord]) -> list[LogRecord]:
    """The records together with those of an unrelated rollout in the same cluster."""
    other = Cluster()
    other.numbered = 1_000_000
    web, rs, (pod,) = rolled_out(other, "elsewhere", namespace="elsewhere")
    other.apply("ResourceQuota", "elsewhere", namespace="elsewhere", hard={"pods": "3"})
    other.wait(1)
    other.update(web, by="kubectl-set", image="app:v9")
    scale(other, web, new_replicas(other, web, "elsewhere-2", 0), 1)
    scale(other, web, rs, 0)
    kill(other, pod, by=rs)
    other.gone(pod)
    shift = records[0].recorded_at - other.records[0].recorded_at if records else 0
    moved = [msgspec.structs.replace(r, recorded_at=r.recorded_at + shift) for r in other.records]
    return sorted([*records, *moved], key=lambda record: record.recorded_at)


def fold_with_restarts(records: list[LogRecord], settings: FoldSettings | None = None) -> Rows:
    """The rows of a fold that is restarted from its rows after every record."""
    tables: dict[str, dict[Any, Any]] = {table: {} for table in KEYS}
    clock, now = b"", 0
    for number, record in enumerate(
        [*records, LogRecord(RecordType.TICK, records[-1].recorded_at + RUN_OUT, reason=ENDED)], 1
    ):
        folding = Fold(CLUSTER, built_in_rules(), settings)
        living = {row.uid for row in tables["objects"].values() if row.state}
        owners: list[OwnerRow] = [row for row in tables["owners"].values() if row.uid in living]
        waiting = [row.fold for row in tables["pending"].values()]
        waiting += [row.fold for row in tables["spans"].values() if row.state != "closed"]
        folding.load(
            [row.state for row in tables["objects"].values() if row.state],
            owners,
            waiting,
            [row.fold for row in tables["traces"].values() if row.state != "closed"],
            clock,
        )
        assert folding.now == now
        folding.apply(number, record)
        delta, now = folding.take_delta(), folding.now
        clock = delta.clock or clock
        apply_delta(tables, delta)
    return {table: [msgspec.structs.asdict(row) for _, row in sorted(found.items())] for table, found in tables.items()}
