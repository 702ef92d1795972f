"""The shape of the code base: what no other tool checks."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import kspan

PACKAGE = Path(kspan.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_has_at_most_500_lines(module: Path) -> None:
    lines = len(module.read_text(encoding="utf-8").splitlines())
    assert lines <= 500, f"{module} has {lines} lines: split it"


def test_a_folder_has_at_most_twelve_modules() -> None:
    folders = Counter(module.parent for module in MODULES if module.name != "__init__.py")
    assert {folder: count for folder, count in folders.items() if count > 12} == {}


@pytest.mark.parametrize("module", ["kspan", "kspan.cli", "kspan.cli.app"])
def test_importing_the_program_loads_no_heavy_library(module: str) -> None:
    heavy = {"sqlalchemy", "alembic", "opentelemetry", "networkx", "kubernetes", "yaml"}
    script = f"import sys, {module}; print(*sorted({heavy!r} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
