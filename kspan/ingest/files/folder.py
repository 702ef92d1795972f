"""Finds the input files in a folder: a dump (``kubectl cluster-info dump``), a must-gather, a support bundle.

Logs, pages and binaries lie between the objects, so only files whose names end like objects are opened, and those that
hold no Kubernetes objects are passed over.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from kspan.errors import InputError
from kspan.ingest.files.bytes import STDIN
from kspan.paths import why_unusable

MAX_FILES = 200_000
"""Files and folders in a folder; a must-gather of a large cluster has some ten thousand."""
SUFFIXES = (".json", ".jsonl", ".yaml", ".yml")
PACKED = ".gz"


def is_folder(path: str) -> bool:
    """True if an input is a folder. An input whose status cannot be read is none: opening it reports the error."""
    try:
        return path != STDIN and Path(path).is_dir()
    except (OSError, ValueError):
        return False


def input_files(folder: str, report: Callable[[InputError], None]) -> list[str]:
    """Return the files in a folder, and in those below it, whose names end like objects or recordings; sorted.

    Symbolic links and special files (pipes, devices) are passed over, so the walk ends and reads nothing elsewhere.
    ``report`` takes the error of a folder below that cannot be read; its siblings are read.

    Raises:
        InputError: the folder cannot be read, or there are too many files.
    """
    found = []
    for number, entry in enumerate(_entries(folder, report)):
        if number >= MAX_FILES:
            raise InputError(folder, 0, f"has more than {MAX_FILES} files: give a folder in it")
        if entry.name.lower().removesuffix(PACKED).endswith(SUFFIXES) and entry.is_file(follow_symlinks=False):
            found.append(entry.path)
    return sorted(found)


def _entries(folder: str, report: Callable[[InputError], None]) -> Iterator["os.DirEntry[str]"]:
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    yield entry
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError as error:
            problem = InputError(place, 0, why_unusable(error))
            if place == folder:
                raise problem from error
            report(problem)
