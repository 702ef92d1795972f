"""Which mutants are run, and against which tests."""

import ast
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.mutants.covering import Covering
from tests.mutants.operators import Mutant, find_mutants
from tests.mutants.running import Job


def all_mutants(root: Path, source: str) -> list[Mutant]:
    """The mutants of all modules below a folder, always in the same order."""
    files = sorted((root / source).rglob("*.py"))
    return [mutant for file in files for mutant in find_mutants(str(file.relative_to(root)), file.read_bytes())]


def sample(mutants: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """A random choice of mutants, in the order of the source."""
    chosen = random.Random(seed).sample(range(len(mutants)), min(count, len(mutants)))
    return [mutants[number] for number in sorted(chosen)]


class TestChooser:
    """Chooses the tests that could notice a mutant.

    These are the tests that execute its line. A line at module or class level is executed at import only: there, the
    tests that execute a line which mentions the assigned name, and the tests of files that mention the constant or the
    class.
    """

    __test__ = False

    def __init__(self, root: Path, source: str, covering: Covering, budget: float) -> None:
        self._root = root
        self._covering = covering
        self._budget = budget
        self._uses = _uses(root, source)
        files = dict.fromkeys(test.partition("::")[0] for test in covering.seconds)
        self._words = {file: set(re.findall(r"\w+", (root / file).read_text(encoding="utf-8"))) for file in files}

    def job(self, mutant: Mutant) -> Job:
        """The mutant with its tests, as many of the quickest as fit into the budget (CPU seconds)."""
        tests, seconds = list[str](), 0.0
        for test in self._tests(mutant):
            seconds += self._covering.seconds[test]
            if tests and seconds > self._budget:
                break
            tests.append(test)
        source = (self._root / mutant.path).read_bytes()
        return Job(mutant, mutant.apply(source), tests, seconds)

    def _tests(self, mutant: Mutant) -> list[str]:
        found = self._covering.tests(mutant.path, {mutant.line, *mutant.body})
        if not found and mutant.statement != mutant.line:
            found = self._covering.tests(mutant.path, {mutant.statement})
        if mutant.names:
            found += self._of_names(set(mutant.names), set())
            found += self._of_files({mutant.function.rpartition(".")[2]} if mutant.function else set(mutant.names))
        return self._merge(found)

    def _of_names(self, names: set[str], visited: set[str]) -> list[str]:
        found = list[str]()
        for name in sorted(names - visited):
            visited.add(name)
            for path, line, assigned in self._uses[name]:
                found += self._of_names({assigned}, visited) if assigned else self._covering.tests(path, {line})
        return found

    def _of_files(self, words: set[str]) -> list[str]:
        files = {file for file, mentioned in self._words.items() if not words.isdisjoint(mentioned)}
        return [test for test in self._covering.seconds if test.partition("::")[0] in files]

    def _merge(self, tests: Iterable[str]) -> list[str]:
        return sorted(set(tests), key=lambda name: (self._covering.seconds[name], name))


Uses = dict[str, list[tuple[str, int, str]]]
"""For a name, where it is used: (path, line, "") in a function, (path, line, assigned name) in a constant's value."""


def _uses(root: Path, source: str) -> Uses:
    found: Uses = defaultdict(list)
    for file in sorted((root / source).rglob("*.py")):
        path = str(file.relative_to(root))

        def note(node: ast.AST, assigned: str, path: str = path) -> None:
            for name in _mentioned(node):
                found[name].append((path, getattr(node, "lineno", 0), assigned))

        _walk(ast.parse(file.read_bytes()), "", note)
    return found


def _walk(node: ast.AST, assigned: str, note: Callable[[ast.AST, str], None]) -> None:
    for child in ast.iter_child_nodes(node):
        below = assigned
        if isinstance(child, ast.FunctionDef | ast.Lambda):
            below = ""
        elif isinstance(child, ast.Assign | ast.AnnAssign) and isinstance(node, ast.Module | ast.ClassDef):
            target = child.targets[0] if isinstance(child, ast.Assign) else child.target
            below = target.id if isinstance(target, ast.Name) else ""
        note(child, below)
        _walk(child, below, note)


def _mentioned(node: ast.AST) -> list[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Load()):
            return [name]
        case ast.Attribute(attr=name):
            return [name]
        case ast.keyword(arg=str(name)):
            return [name]
        case _:
            return []
