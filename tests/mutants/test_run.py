"""The tool itself, on a small project."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.mutants.equivalent import Equivalent, outdated
from tests.mutants.operators import find_mutants
from tests.mutants.report import Report, load_report, make_report, show
from tests.mutants.running import Outcome
from tests.mutants.selection import all_mutants, sample

ROOT = Path(__file__).parents[2]

PRICE = """
from shop.limits import MINIMUM


def price(count):
    if count > MINIMUM:
        return count * 3
    return count * 4


def untested():
    return 7
"""
LOOP = """
def count_down(count):
    while count > 0:
        count -= 1
    return count
"""
TESTS = """
from shop.loop import count_down
from shop.price import price


def test_many_are_cheaper():
    assert price(20) == 60


def test_few_are_dear():
    assert price(1) == 4


def test_it_ends():
    assert count_down(3) == 0
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, source in {
        "shop/__init__.py": "",
        "shop/limits.py": "MINIMUM = 10\n",
        "shop/price.py": PRICE,
        "shop/loop.py": LOOP,
        "checks/test_price.py": TESTS,
    }.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(dedent(source), encoding="utf-8")
    return tmp_path


def run(project: Path, *options: str) -> tuple[int, str, Report]:
    command = [sys.executable, "-m", "tests.mutants", "--source", "shop", "--tests", "checks", "--jobs", "2", *options]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{project}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, done.stdout, load_report(project / ".mutants/report.json")


def test_survivors_are_shown_with_their_line_and_the_number_of_tests_that_execute_it(project: Path) -> None:
    code, shown, report = run(project, "--only", "shop/limits.py", "--only", "shop/price.py")
    assert code == 1
    assert {(one.path, one.text, one.change) for one in report.survivors()} == {
        ("shop/limits.py", "MINIMUM = 10", "10 -> 9"),
        ("shop/limits.py", "MINIMUM = 10", "10 -> 11"),
        ("shop/price.py", "if count > MINIMUM:", "> -> >="),
        ("shop/price.py", "return 7", "7 -> 6"),
        ("shop/price.py", "return 7", "7 -> 8"),
    }
    assert "shop/limits.py:1: 2 tests pass\n    MINIMUM = 10\n    10 -> 9\n" in shown
    assert "shop/price.py:12 untested: no test executes this line\n    return 7\n    7 -> 6\n" in shown
    assert f"{report.killed} of {report.total} mutants killed" in shown


def test_a_mutant_that_never_ends_is_killed(project: Path) -> None:
    code, _, report = run(project, "--line", "shop/loop.py:4")
    assert code == 0
    assert {(one.change, one.killer) for one in report.mutants} >= {("-= -> +=", "(crash or time limit)")}


def test_what_survived_an_earlier_run_is_run_again(project: Path) -> None:
    run(project, "--only", "shop/limits.py")
    (project / ".mutants/report.json").rename(project / "earlier.json")
    tests = project / "checks/test_price.py"
    tests.write_text(
        TESTS + "\n\ndef test_the_limit():\n    assert (price(10), price(11)) == (40, 33)\n", encoding="utf-8"
    )
    code, _, report = run(project, "--again", "earlier.json")
    assert code == 0
    assert {one.killer for one in report.mutants} == {"checks/test_price.py::test_the_limit"}


def test_a_seed_always_gives_the_same_sample(project: Path) -> None:
    mutants = all_mutants(project, "shop")
    assert sample(mutants, 5, seed=1) == sample(mutants, 5, seed=1)
    assert sample(mutants, 5, seed=1) != sample(mutants, 5, seed=2)


def test_an_equivalent_mutant_is_no_survivor_but_not_killed_either() -> None:
    mutants = find_mutants("shop/price.py", b"x = a < 5")
    outcomes = [Outcome(mutants[0], 3, "", 1.0), *(Outcome(mutant, 3, "a test", 1.0) for mutant in mutants[1:])]
    report = make_report(0, outcomes, {mutants[0].key: "a is odd"}, 0.1)
    assert (report.killed, report.equivalent, report.survived) == (2, 1, 0)
    assert show(report, 0.85).endswith("below the target of 85%")
    assert show(report, 0.6).startswith("2 of 3 mutants killed (66.7%), 0 survived, 1 equivalent")


def test_an_entry_whose_line_has_changed_is_outdated() -> None:
    mutants = find_mutants("shop/price.py", b"x = a < 5")
    fits = Equivalent("shop/price.py", "x = a < 5", "< -> <=", "a is odd")
    outdated_one = Equivalent("shop/price.py", "x = a < 6", "< -> <=", "a is odd")
    assert outdated([fits, outdated_one], mutants) == [outdated_one]
