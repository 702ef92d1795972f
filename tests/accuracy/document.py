"""``docs/accuracy.md``: what was measured, and what still fails. The same on every machine."""

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
"""Misses of a scenario that are listed one by one; what is over is counted by kind."""

HEAD = """\
# Accuracy

What the traces are worth: scored against what really happened, as the audit log of the API server told it. The log is
not in the recordings, and nothing in kspan reads it. `make accuracy` prints the tables and writes this document.

| column | tells |
|---|---|
| found | share of the Events' occurrences that are in the traces at all |
| grouping | do the occurrences of one action, and no others, share one trace? (F1 of B-cubed) |
| root | share of the occurrences whose trace starts with the right action |
| above | share of the occurrences that have among their ancestors the Event that led to them |
| times | share of the spans that neither end before they start nor start before their parent |

`nan`: there is nothing in the recording that the column could be about. The scorer is `tests/accuracy/score_traces.py`.
"""

WHY = {
    ("13-custom-controller", "Widget.Ready"): """\
the Event's series says that it was last observed 26 s after its start and after the patch of the
  Widget; the truth has the second occurrence next to the first.""",
    ("15-storm", "Pod.MissingClusterDNS"): """\
the kubelet repeats this Event all the time, also while a rollout deletes the Pod. The newest that
  happened to the Pod is then its deletion, and a repeat does not say which version of the Pod its reporter looked at.
  The truth counts all repeats to the creation.""",
    ("15-storm", "ReplicaSet.SuccessfulDelete"): """\
the Event of the Deployment that scaled the ReplicaSet came a minute after it, when all below had
  been decided without it, and took no place above.""",
}
"""What was found out about misses, by scenario and kind; it is told where there still are any."""

OURS, OTHERS = "ours", "others"
TITLES = {
    OURS: """\
## The recordings of the repository

Made with `make accuracy`; a test holds this section to what that writes.""",
    OTHERS: """\
## With other recordings

Made with `make accuracy RECORDINGS=DIR`, where DIR held further recordings with their truth (too large for the
repository). The mean is that of all, those of the repository included.""",
}


class Scored(NamedTuple):
    """One scenario: its row of the table and its misses."""

    row: dict[str, Any]
    misses: list[Miss]


def score_recording(folder: Path, spans: Path | None = None) -> Scored:
    """Replays the recording in ``folder`` and scores it; the spans stay in the file ``spans`` if one is named."""
    truth = next(folder.glob("truth.json*"))
    with tempfile.TemporaryDirectory() as scratch:
        path = spans or Path(scratch) / "spans.jsonl"
        export(folder / "recording.jsonl.gz", path)
        return Scored(score(str(truth), str(path)), find_misses(truth, path))


def folders(folder: Path) -> list[Path]:
    """The recordings below a folder that have a truth."""
    return sorted(path.parent for path in folder.glob("*/truth.json*"))


def mean(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The mean of each column, over the rows that have a value."""
    rows = list(rows)
    return {column: _mean([row[column] for row in rows]) for column in COLUMNS}


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known)


def section(name: str, scored: Sequence[Scored], also: Sequence[Scored] = ()) -> str:
    """One section of the document. The mean is over ``also`` too."""
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
        lines.append(f"  belongs to {miss.belongs}; is in the trace of {miss.found}, by rule {miss.rule}")
    more = Counter(miss.kind for miss in scored.misses[LISTED:])
    if more:
        counted = sorted(more.items(), key=lambda item: (-item[1], item[0]))
        lines.append(f"- and {several - LISTED} more: " + ", ".join(f"{count} {kind}" for kind, count in counted))
    return [*lines, ""]


def read_section(text: str, name: str) -> str:
    """A section of a document that was written before; empty where it has none."""
    begin, end = _marks(name)
    if begin not in text or end not in text:
        return ""
    return text.partition(begin)[2].partition(end)[0].strip("\n") + "\n"


def document(ours: str, others: str) -> str:
    """The whole document of its two sections."""
    parts = [HEAD]
    for name, body in ((OURS, ours), (OTHERS, others)):
        begin, end = _marks(name)
        if body.strip():
            parts.append(f"{begin}\n{body}{end}\n")
    return "\n".join(parts)


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- begin {name} -->", f"<!-- end {name} -->"


def write(ours: Sequence[Scored], others: Sequence[Scored], path: Path = DOCUMENT) -> None:
    """Writes the document; without other recordings their section stays as it was."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = section(OTHERS, others, ours) if others else read_section(before, OTHERS)
    path.write_text(document(section(OURS, ours), kept), encoding="utf-8")


__all__ = ["RECORDINGS", "Scored", "document", "folders", "mean", "score_recording", "section", "write"]
