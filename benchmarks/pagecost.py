"""Measures how much processor time each page costs the process that serves it.

    python -m benchmarks.pagecost [RECORDING] [--events 100000] [--database FILE]

The database has the Events of a storm, watched over loopback as in ``python -m benchmarks``; its newest traces are all
open, which is the most expensive case. Processor time is that of the whole process, which does nothing else meanwhile.
"""

import argparse
import http.client
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks import watching
from benchmarks.serving import PATHS
from benchmarks.table import head, machine, row, say
from kspan.store import open_store
from tests.recordings import all_files
from tests.web.pages.site import Address, site

LIMIT_MS: Final = 40
"""Milliseconds of processor time for a page."""

AVERAGE_MS: Final = 25
"""Milliseconds for a page on average: 12 of them a second are less than a third of a core."""

RUNS: Final = 8
"""Times that a page is opened; the first ones fill caches of statements and templates, so the least counts."""


def cost(address: Address, path: str) -> float:
    """Return the milliseconds of processor time that an answer takes."""
    connection = http.client.HTTPConnection(*address)
    times: list[float] = []
    for _ in range(RUNS):
        began = time.process_time()
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        times.append(time.process_time() - began)
        if answer.status != 200:
            raise RuntimeError(f"{path} answers {answer.status}")
    connection.close()
    return min(times) * 1_000


def measure(database: Path) -> dict[str, float]:
    """Return the milliseconds of processor time of each page."""
    with open_store(str(database), read_only=True) as store, site(store, store.clusters()[0]) as address:
        return {path: cost(address, path) for path in PATHS}


def main() -> None:
    options = _parse()
    machine()
    if options.database is not None:
        found = measure(options.database)
    else:
        with tempfile.TemporaryDirectory() as name:
            made = Path(name) / "made.jsonl"
            say(f"making {options.events:,} lines")
            watching.write_copies(options.recording, ["v1/events"], options.events, 500, made)
            watching.watch(made, "v1/events", Path(name), 0)
            found = measure(Path(name) / "v1-events-0.sqlite")
    head("processor time (ms)", "figure", "limit", "ratio")
    for path, milliseconds in found.items():
        row(path, milliseconds, LIMIT_MS)
    row("average", sum(found.values()) / len(found), AVERAGE_MS)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pagecost", description=__doc__.partition("\n")[0])
    parser.add_argument("recording", type=Path, nargs="?", default=Path(all_files()[1]))
    parser.add_argument("--events", type=int, default=100_000, help="lines in the database")
    parser.add_argument("--database", type=Path, help="measure this SQLite file instead")
    return parser.parse_args()


if __name__ == "__main__":
    main()
