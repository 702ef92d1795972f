"""Runs mutants, each in a process of its own, forked from one that has the libraries loaded already."""

import contextlib
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar

import pytest

from tests.mutants.covering import ARGUMENTS
from tests.mutants.operators import Mutant

T = TypeVar("T")
FORK = multiprocessing.get_context("fork")
MEMORY = 4 << 30
"""Bytes that a mutant may allocate: one that fills a list forever must not take the machine with it."""
GRACE = 5.0
"""CPU seconds that every mutant has for imports and collection, in addition to its tests."""
SLOWER = 3.0
"""How many times the usual CPU time of its tests a mutant may take."""
WALL = 30.0
"""How many times its CPU limit a mutant may take on the clock: the machine may be busy with other things."""


@dataclass(frozen=True, slots=True)
class Job:
    """A mutant, its source, the tests to run in this order, and their usual CPU seconds together."""

    mutant: Mutant
    source: bytes
    tests: list[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant; ``killer`` is the test that failed, ``""`` if none did."""

    mutant: Mutant
    tests: int
    killer: str
    seconds: float

    @property
    def killed(self) -> bool:
        return bool(self.killer)


@dataclass(slots=True)
class _Running:
    job: Job
    process: ForkProcess
    answers: Connection
    started: float = field(default_factory=time.monotonic)

    @property
    def limit(self) -> float:
        return cpu_limit(self.job) * WALL


def cpu_limit(job: Job) -> float:
    """CPU seconds after which a mutant counts as killed: time on a busy machine proves nothing."""
    return GRACE + SLOWER * job.seconds


def load(libraries: Iterable[str]) -> None:
    """Imports what the tests import, so that a fork has it already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in libraries:
            # Some modules can only be imported by their own package, in its order.
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def call(function: Callable[..., T], *arguments: Any) -> T:
    """Calls a function in a fork, silently, so that nothing it imports stays in this process."""
    answers, answer = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_answer, args=(answer, function, arguments))
    process.start()
    answer.close()
    try:
        found, error = answers.recv()
    except EOFError:
        raise SystemExit("the run without a mutant crashed") from None
    finally:
        process.join()
    if error:
        raise SystemExit(f"the run without a mutant failed:\n{error}")
    result: T = found
    return result


def _answer(answer: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    _silence()
    try:
        answer.send((function(*arguments), ""))
    except Exception:
        answer.send((None, traceback.format_exc()))
    answer.close()
    os._exit(0)


def run(root: Path, jobs: Iterable[Job], workers: int) -> Iterator[Outcome]:
    """Runs jobs side by side; gives each outcome as it becomes known."""
    waiting, running = iter(jobs), list[_Running]()
    try:
        while True:
            while len(running) < workers and (job := next(waiting, None)) is not None:
                if job.tests:
                    running.append(_start(root, job))
                else:
                    yield Outcome(job.mutant, 0, "", 0.0)
            if not running:
                return
            left = min(one.started + one.limit for one in running) - time.monotonic()
            wait([one.answers for one in running], timeout=max(left, 0))
            for one in [one for one in running if _ended(one)]:
                running.remove(one)
                yield _outcome(one)
    finally:
        for one in running:
            _kill(one)


def _start(root: Path, job: Job) -> _Running:
    answers, answer = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_test, args=(answer, root, job))
    process.start()
    answer.close()
    return _Running(job, process, answers)


def _ended(one: _Running) -> bool:
    return one.answers.poll() or time.monotonic() - one.started >= one.limit


def _outcome(one: _Running) -> Outcome:
    killer = "(time limit)"
    if one.answers.poll():
        try:
            killer = one.answers.recv()
        except EOFError:
            killer = "(crash or time limit)"
    _kill(one)
    return Outcome(one.job.mutant, len(one.job.tests), killer, round(time.monotonic() - one.started, 2))


def _kill(one: _Running) -> None:
    # The tests may have started processes: the mutant leads a group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(one.process.pid or 0, signal.SIGKILL)
    one.process.join()
    one.answers.close()


# in the fork ----------------------------------------------------------------------------------------------------------


def _test(answer: Connection, root: Path, job: Job) -> None:
    os.setpgid(0, 0)
    limit = int(cpu_limit(job)) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    _silence()
    sys.meta_path.insert(0, _MutantFinder(root / job.mutant.path, job.source, root))
    chosen = _Chosen(job.tests)
    files = dict.fromkeys(test.partition("::")[0] for test in job.tests)
    code = pytest.main([*ARGUMENTS, "-x", f"--rootdir={root}", *(str(root / file) for file in files)], [chosen])
    answer.send(chosen.failed or ("" if code == pytest.ExitCode.OK else f"(pytest: {pytest.ExitCode(code).name})"))
    answer.close()
    os._exit(0)


def _silence() -> None:
    from hypothesis import HealthCheck, settings

    # A failing example of a mutant must not be tried on healthy code later.
    quiet = [HealthCheck.too_slow]
    settings.register_profile("mutants", database=None, derandomize=True, deadline=None, suppress_health_check=quiet)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)


class _Chosen:
    """Runs only these tests, in this order."""

    def __init__(self, tests: list[str]) -> None:
        self._order = {test: number for number, test in enumerate(tests)}
        self.failed = ""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._order), key=lambda item: self._order[item.nodeid]
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid


class _MutantFinder(MetaPathFinder):
    """Finds the mutated module in the place of the healthy one."""

    def __init__(self, path: Path, source: bytes, root: Path) -> None:
        self._path = path
        self._source = source
        parts = path.relative_to(root).with_suffix("").parts
        self._name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        loader = _MutantLoader(fullname, str(self._path), self._source)
        return spec_from_file_location(fullname, self._path, loader=loader)


class _MutantLoader(SourceFileLoader):
    def __init__(self, name: str, path: str, source: bytes) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)
