"""Which tests execute which lines, how long each test takes, and what they import."""

import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest


class Covering(msgspec.Struct):
    """The result of one run of all tests without a mutant.

    Args:
        digest: Of all sources; another digest makes the rest invalid.
        seconds: CPU seconds of each test, by its node id.
        lines: For each file, for each line, the indexes of the tests (in ``seconds``) that execute it.
        libraries: Modules that the tests import and that are neither mutated nor tests.
        failed: Tests that fail without any mutant.
    """

    digest: str
    seconds: dict[str, float] = {}
    lines: dict[str, dict[int, list[int]]] = {}
    libraries: list[str] = []
    failed: list[str] = []

    def tests(self, path: str, lines: set[int]) -> list[str]:
        """The tests that execute one of these lines of a file, the quickest first."""
        found = {test for line in lines for test in self.lines.get(path, {}).get(line, ())}
        names = list(self.seconds)
        return sorted((names[test] for test in found), key=lambda name: (self.seconds[name], name))


def digest_of(root: Path, folders: list[str]) -> str:
    """A digest of all Python and TOML files below these folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted((root / folder).rglob("*")) if (root / folder).is_dir() else [root / folder]:
            if file.suffix in {".py", ".toml"}:
                digest.update(f"{file.relative_to(root)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def measure(root: Path, source: str, tests: list[str], digest: str) -> Covering:
    """Runs all tests in this process, which must not have imported ``source`` yet."""
    import coverage

    before = set(sys.modules)
    cover = coverage.Coverage(data_file=None, include=[f"{root / source}/*"], config_file=False)
    cover.set_option("run:core", "ctrace")
    found = Covering(digest)
    cover.start()
    try:
        code = pytest.main([*ARGUMENTS, *(str(root / test) for test in tests)], plugins=[_Recorder(cover, found)])
    finally:
        cover.stop()
    if not found.seconds:
        raise SystemExit(f"pytest found no tests in {' '.join(tests)} (exit code {int(code)})")
    data = cover.get_data()
    numbers = {name: number for number, name in enumerate(found.seconds)}
    for file in data.measured_files():
        contexts = data.contexts_by_lineno(file)
        found.lines[str(Path(file).relative_to(root))] = {
            line: sorted(numbers[name] for name in names if name) for line, names in contexts.items()
        }
    own = {Path(folder).parts[0] for folder in (source, *tests)}
    found.libraries = sorted(name for name in set(sys.modules) - before if name.partition(".")[0] not in own)
    return found


ARGUMENTS = [
    "-n0",
    "-q",
    "--timeout=0",
    "--hypothesis-profile=mutants",
    "-pno:cacheprovider",
    "-Wignore::pytest.PytestAssertRewriteWarning",
]
"""How pytest is started, here and for every mutant: in this process, leaving nothing behind. Its plugins are imported
already."""


class _Recorder:
    def __init__(self, cover: object, found: Covering) -> None:
        self._cover = cover
        self._found = found

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._cover.switch_context(item.nodeid)  # type: ignore[attr-defined]
        start = time.process_time()
        result = yield
        self._found.seconds[item.nodeid] = round(time.process_time() - start, 4)
        self._cover.switch_context("")  # type: ignore[attr-defined]
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._found.failed.append(report.nodeid)
