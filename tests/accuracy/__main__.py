"""``make accuracy``: scores the recordings of the repository and writes ``docs/accuracy.md``.

``make accuracy RECORDINGS=DIR`` scores those below a folder, too, that the repository does not have.
"""

import sys
from pathlib import Path
from typing import Any

from tests.accuracy.document import COLUMNS, DOCUMENT, Scored, folders, mean, score_recording, write
from tests.recordings import RECORDINGS


def main(other: Path | None) -> None:
    print(f"{'scenario':32}{'events':>7}{'traces':>7}" + "".join(f"{column:>10}" for column in COLUMNS))
    ours = [_score(folder) for folder in folders(RECORDINGS)]
    known = {one.row["scenario"] for one in ours}
    others = [_score(folder) for folder in folders(other) if folder.name not in known] if other is not None else []
    print(_line("mean", mean(one.row for one in (*ours, *others))))
    write(ours, others)
    print(f"written: {DOCUMENT.name}, with {sum(len(one.misses) for one in (*ours, *others))} misses")


def _score(folder: Path) -> Scored:
    scored = score_recording(folder)
    print(_line(scored.row["scenario"], scored.row), flush=True)
    return scored


def _line(name: str, row: dict[str, Any]) -> str:
    counts = f"{row['events']:7}{row['traces']:7}" if "events" in row else " " * 14
    return f"{name:32}{counts}" + "".join(f"{row[column]:10.3f}" for column in COLUMNS)


main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
