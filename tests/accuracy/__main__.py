"""``make accuracy``: scores recordings that have a truth; ``make accuracy RECORDINGS=DIR`` those below a folder."""

import math
import sys
import tempfile
from pathlib import Path

from tests.accuracy.score_traces import score
from tests.accuracy.scoring import export
from tests.recordings import RECORDINGS

COLUMNS = ("found", "grouping", "root", "above", "times")


def main(folder: Path) -> None:
    print(f"{'scenario':32}{'events':>7}{'traces':>7}" + "".join(f"{column:>10}" for column in COLUMNS))
    rows = []
    for truth in sorted(folder.glob("*/truth.json*")):
        with tempfile.TemporaryDirectory() as scratch:
            spans = Path(scratch) / "spans.jsonl"
            export(truth.parent / "recording.jsonl.gz", spans)
            row = score(str(truth), str(spans))
        rows.append(row)
        print(_line(row["scenario"], row), flush=True)
    print(_line("mean", {column: _mean([row[column] for row in rows]) for column in COLUMNS}))


def _line(name: str, row: dict[str, float]) -> str:
    counts = f"{row['events']:7}{row['traces']:7}" if "events" in row else " " * 14
    return f"{name:32}{counts}" + "".join(f"{row[column]:10.3f}" for column in COLUMNS)


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known)


main(Path(sys.argv[1]) if len(sys.argv) > 1 else RECORDINGS)
