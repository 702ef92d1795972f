"""``python -m tests.simulator NAME|all --seeds N``: the table of scores of simulated recordings."""

import argparse
import math
import tempfile
from pathlib import Path

from tests.simulator.scenario import SCENARIOS
from tests.simulator.scored import COLUMNS, mean, score_scenario


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", choices=["all", *SCENARIOS], help="scenarios, or 'all'")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="recordings of each (default: 1)")
    parser.add_argument(
        "--late", type=float, metavar="SECONDS", help="how far reporters may be behind (default: drawn)"
    )
    parser.add_argument("--dropped", type=float, default=0.0, metavar="SHARE", help="of the Events (default: none)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the recordings here")
    args = parser.parse_args()
    print(f"{'scenario':20}{'Events':>8}" + "".join(f"{column:>10}" for column in COLUMNS) + f"{'worst':>10}")
    with tempfile.TemporaryDirectory() as scratch:
        base = args.keep or Path(scratch)
        for name in SCENARIOS if "all" in args.names else args.names:
            rows = [
                score_scenario(name, seed, base / name / str(seed), late=args.late, dropped=args.dropped)
                for seed in range(args.seeds)
            ]
            print(line(name, rows), flush=True)


def line(name: str, rows: list[dict[str, float]]) -> str:
    worst = min((r[c] for r in rows for c in ("grouping", "root") if not math.isnan(r[c])), default=math.nan)
    figures = [*(mean(rows, column) for column in COLUMNS), worst]
    return f"{name:20}{mean(rows, 'events'):8.0f}" + "".join(
        "-".rjust(10) if math.isnan(x) else f"{x:10.3f}" for x in figures
    )


if __name__ == "__main__":
    main()
