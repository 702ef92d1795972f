"""Imports every module of the installed kspan, and everything that any of its functions imports.

Exits with 1 and a line for each import that fails. The build of the image calls it after deleting parts of libraries.
Extras that the image does not contain (``LEFT_OUT``) may be missing.
"""

import ast
import importlib
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

LEFT_OUT = {"pyarrow"}
"""What only ``pip install 'kspan[parquet]'`` brings: 170 MB for files that are written on a laptop."""


def main() -> int:
    """Return the exit code."""
    package = find_spec("kspan")
    if package is None or not package.submodule_search_locations:
        print("kspan is not installed", file=sys.stderr)
        return 1
    folder = Path(package.submodule_search_locations[0])
    wanted = {imported for file in sorted(folder.rglob("*.py")) for imported in imports_of(file, folder.parent)}
    failed: dict[str, list[str]] = {}
    for module, name in sorted(wanted):
        try:
            load(module, name)
        except ImportError as error:
            if module.partition(".")[0] not in LEFT_OUT:
                failed.setdefault(str(error), []).append(module)
    for reason, modules in failed.items():
        print(f"{reason}: imported by or as {modules[0]}, {len(modules)} imports fail", file=sys.stderr)
    return 1 if failed else 0


def imports_of(file: Path, root: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name (empty: only the module) of all imports of a file, and the module that it is."""
    module = ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    if "_migrations" not in module and not module.endswith("__main__"):
        yield module, ""
    for node in at_run_time(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)


def at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes below a node, except for what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from at_run_time(child)


def load(module: str, name: str) -> None:
    """Import a module, or a name from it. Raises ImportError."""
    found = importlib.import_module(module)
    if name and not hasattr(found, name):
        importlib.import_module(f"{module}.{name}")


if __name__ == "__main__":
    sys.exit(main())
