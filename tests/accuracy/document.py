"""Writes ``docs/accuracy.md``: the scores, and the occurrences in the wrong place. The same on every machine."""

import math
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.accuracy.misses import Miss, find_misses
from tests.accuracy.score_traces import score
from tests.accuracy.scoring import export
from tests.recordings import RECORDINGS

DOCUMENT = Path(__file__).parents[2] / "docs" / "accuracy.md"
COLUMNS = ("found", "grouping", "root", "above", "times")

LISTED = 12
"""Maximum number of misses of a scenario that are listed; the others are counted by kind."""

HEAD = """\
# Accuracy

These scores compare the traces with the audit log of the API server, which records the true cause of every change. The
recordings do not contain the audit log, and kspan does not read it. `make accuracy` prints the tables and writes this
document.

| column | score |
|---|---|
| found | share of the occurrences of Events that are in a trace |
| grouping | F1 (B-cubed) of the grouping into traces: one trace should contain exactly the occurrences of one action |
| root | share of the occurrences whose trace has the right root cause |
| above | share of the occurrences whose ancestors include the Event that led to them |
| times | share of the spans that start no earlier than their parent and end no earlier than they start |

`nan` means that a recording has nothing to score. The scorer is `tests/accuracy/score_traces.py`.
"""

WHY = {
    ("13-custom-controller", "Widget.Ready"): """\
the series of the Event was last observed 26 s after its start, after the patch of the Widget. The
  audit log has the second occurrence right after the first.""",
    ("15-storm", "Pod.MissingClusterDNS"): """\
the kubelet repeats this Event continuously, also while a rollout deletes the Pod. The newest change
  of the Pod is then its deletion, and a repeat does not name the version of the Pod that the kubelet saw. The audit log
  assigns all repeats to the creation.""",
    ("15-storm", "ReplicaSet.SuccessfulDelete"): """\
the Event of the Deployment that scaled the ReplicaSet arrived a minute late, when the causes below
  it had been chosen without it.""",
}
"""Known reasons of misses, by scenario and kind."""

OURS, OTHERS = "ours", "others"
TITLES = {
    OURS: """\
## The recordings of the repository

Written by `make accuracy`. A test checks that this section is up to date.""",
    OTHERS: """\
## With other recordings

Written by `make accuracy RECORDINGS=DIR`, with recordings that are too large for the repository. The mean includes the
recordings of the repository.""",
}


class Scored(NamedTuple):
    """The scores of one scenario: its row of the table, and its misses."""

    row: dict[str, Any]
    misses: list[Miss]


def score_recording(folder: Path, spans: Path | None = None) -> Scored:
    """Replay the recording in ``folder`` and score it. Keep the spans in the file ``spans``, if given."""
    truth = next(folder.glob("truth.json*"))
    with tempfile.TemporaryDirectory() as scratch:
        path = spans or Path(scratch) / "spans.jsonl"
        export(folder / "recording.jsonl.gz", path)
        return Scored(score(str(truth), str(path)), find_misses(truth, path))


def folders(folder: Path) -> list[Path]:
    """Return the recordings below a folder that can be scored."""
    return sorted(path.parent for path in folder.glob("*/truth.json*"))


def mean(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean of each column, over the rows with a value."""
    rows = list(rows)
    return {column: _mean([row[column] for row in rows]) for column in COLUMNS}


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known)


def section(name: str, scored: Sequence[Scored], also: Sequence[Scored] = ()) -> str:
    """Return one section of the document. The mean includes the scenarios ``also``."""
    rows = [one.row for one in scored]
    lines = [TITLES[name], "", "| scenario | events | traces | " + " | ".join(COLUMNS) + " |", "|---" * 8 + "|"]
    lines += [_table_line(row["scenario"], row["events"], row["traces"], row) for row in rows]
    average = mean([*rows, *(one.row for one in also)])
    lines += [_table_line(f"**mean of {len(rows) + len(also)}**", "", "", average), "", "### What still fails", ""]
    for one in scored:
        lines += _misses(one)
    if not any(one.misses for one in scored):
        lines.append("Nothing.")
    return "\n".join(lines).rstrip() + "\n"


def _table_line(name: str, events: object, traces: object, row: dict[str, Any]) -> str:
    return f"| {name} | {events} | {traces} | " + " | ".join(f"{row[column]:.3f}" for column in COLUMNS) + " |"


def _misses(scored: Scored) -> list[str]:
    if not scored.misses:
        return []
    several = len(scored.misses)
    lines = [f"**{scored.row['scenario']}**: {several} of {scored.row['events']} occurrences", ""]
    kinds = dict.fromkeys(miss.kind for miss in scored.misses)
    known = [(kind, WHY[scored.row["scenario"], kind]) for kind in kinds if (scored.row["scenario"], kind) in WHY]
    lines += [f"- Why {kind}: {why}" for kind, why in known]
    for miss in scored.misses[:LISTED]:
        lines.append(f"- `{miss.occurrence}` ({', '.join(miss.columns)})")
        lines.append(f"  belongs to {miss.belongs}; is in the trace of {miss.found}, rule {miss.rule}")
    more = Counter(miss.kind for miss in scored.misses[LISTED:])
    if more:
        counted = sorted(more.items(), key=lambda item: (-item[1], item[0]))
        lines.append(f"- and {several - LISTED} more: " + ", ".join(f"{count} {kind}" for kind, count in counted))
    return [*lines, ""]


def read_section(text: str, name: str) -> str:
    """Return a section of an existing document; empty if it has none."""
    begin, end = _marks(name)
    if begin not in text or end not in text:
        return ""
    return text.partition(begin)[2].partition(end)[0].strip("\n") + "\n"


def document(ours: str, others: str) -> str:
    """Return the document with its two sections."""
    parts = [HEAD]
    for name, body in ((OURS, ours), (OTHERS, others)):
        begin, end = _marks(name)
        if body.strip():
            parts.append(f"{begin}\n{body}{end}\n")
    return "\n".join(parts)


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- begin {name} -->", f"<!-- end {name} -->"


def write(ours: Sequence[Scored], others: Sequence[Scored], path: Path = DOCUMENT) -> None:
    """Write the document. Without other recordings, their section is kept."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = section(OTHERS, others, ours) if others else read_section(before, OTHERS)
    path.write_text(document(section(OURS, ours), kept), encoding="utf-8")


__all__ = ["RECORDINGS", "Scored", "document", "folders", "mean", "score_recording", "section", "write"]
