"""The mutants that no test can kill, from ``equivalent.toml``."""

import tomllib
from pathlib import Path

import msgspec

from tests.mutants.operators import Mutant

FILE = Path(__file__).with_name("equivalent.toml")


class Equivalent(msgspec.Struct, forbid_unknown_fields=True):
    """A mutant that changes nothing that can be observed.

    Args:
        path: The file, relative to the root of the repository.
        function: Qualified name of the function or class around the fault.
        line: The source line of the fault, without indentation.
        change: ``before -> after``, as in the report.
        reason: Why no test can tell the difference.
    """

    path: str
    line: str
    change: str
    reason: str
    function: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Compares with ``Mutant.key``."""
        return self.path, self.function, self.line, self.change


def load_equivalent(file: Path = FILE) -> list[Equivalent]:
    """The list, in the order of the file."""
    if not file.exists():
        return []
    found = tomllib.loads(file.read_text(encoding="utf-8"))
    return msgspec.convert(found.get("mutant", []), list[Equivalent])


def outdated(listed: list[Equivalent], mutants: list[Mutant]) -> list[Equivalent]:
    """Entries that match no mutant, because the code has changed since."""
    keys = {mutant.key for mutant in mutants}
    return [entry for entry in listed if entry.key not in keys]
