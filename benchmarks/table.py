"""What benchmarks share: the table that they print (figure, limit, their ratio), and a folder for their files."""

import os
import platform
import sys
from pathlib import Path


def say(text: str) -> None:
    """Print progress on standard error."""
    print(f"  {text}", file=sys.stderr, flush=True)


def machine() -> None:
    """Print the machine and its load."""
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load average {load:.1f}")


def head(*columns: str) -> None:
    """Print the first line of a table."""
    print(f"{columns[0]:50}" + "".join(f"{column:>12}" for column in columns[1:]), flush=True)


def row(what: str, figure: float, limit: float, unit: str = "") -> None:
    """Print a figure with its limit."""
    digits = 2 if figure < 100 and figure != int(figure) else 0
    shown = [f"{figure:,.{digits}f}{unit}", f"{limit:,g}{unit}", f"{figure / limit:.2f}"]
    print(f"{what:50}" + "".join(f"{column:>12}" for column in shown), flush=True)


def made_folder(name: str) -> str:
    """An argparse type: a folder, which is made if it does not exist."""
    Path(name).mkdir(parents=True, exist_ok=True)
    return name
