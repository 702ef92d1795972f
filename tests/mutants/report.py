"""What is printed and stored about a run."""

from pathlib import Path

import msgspec

from tests.mutants.operators import Mutant
from tests.mutants.running import Outcome


class MutantResult(msgspec.Struct, omit_defaults=True):
    """One mutant of a report; ``killer`` is the test that failed, ``reason`` why none can."""

    path: str
    function: str
    line: int
    text: str
    change: str
    tests: int
    seconds: float
    killer: str = ""
    reason: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Compares with ``Mutant.key``."""
        return self.path, self.function, self.text, self.change


class Report(msgspec.Struct):
    """The result of a run."""

    seed: int
    total: int
    killed: int
    equivalent: int
    survived: int
    share: float
    minutes: float
    mutants: list[MutantResult]

    def survivors(self) -> list[MutantResult]:
        """The mutants that no test killed and that are not listed as equivalent."""
        return [one for one in self.mutants if not one.killer and not one.reason]


def make_report(
    seed: int, outcomes: list[Outcome], reasons: dict[tuple[str, str, str, str], str], minutes: float
) -> Report:
    """Summarizes outcomes; ``reasons`` has those of the equivalent mutants by key."""
    results = [_result(one, "" if one.killed else reasons.get(one.mutant.key, "")) for one in outcomes]
    results.sort(key=lambda one: (one.path, one.line, one.change))
    killed, equivalent = sum(bool(one.killer) for one in results), sum(bool(one.reason) for one in results)
    total = len(results)
    share = killed / total if total else 1.0
    return Report(
        seed, total, killed, equivalent, total - killed - equivalent, round(share, 4), round(minutes, 1), results
    )


def _result(one: Outcome, reason: str) -> MutantResult:
    mutant = one.mutant
    change = f"{mutant.before} -> {mutant.after}"
    return MutantResult(
        mutant.path, mutant.function, mutant.line, mutant.text, change, one.tests, one.seconds, one.killer, reason
    )


def show(report: Report, target: float) -> str:
    """The survivors, then one line with the figures."""
    parts = [_show_survivor(one) for one in report.survivors()]
    listed = f", {report.equivalent} equivalent" if report.equivalent else ""
    verdict = "" if report.share >= target else f": below the target of {target:.0%}"
    parts.append(
        f"{report.killed} of {report.total} mutants killed ({report.share:.1%}), {report.survived} survived{listed}"
        f" (seed {report.seed}, {report.minutes} min){verdict}"
    )
    return "\n".join(parts)


def _show_survivor(one: MutantResult) -> str:
    tests = "no test executes this line" if not one.tests else f"{one.tests} tests pass"
    where = f"{one.path}:{one.line}" + (f" {one.function}" if one.function else "")
    return f"{where}: {tests}\n    {one.text}\n    {one.change}\n"


def load_report(file: Path) -> Report:
    """An earlier report."""
    return msgspec.json.decode(file.read_bytes(), type=Report)


def again(mutants: list[Mutant], earlier: Report) -> list[Mutant]:
    """The mutants that survived an earlier run."""
    keys = {one.key for one in earlier.survivors()}
    return [mutant for mutant in mutants if mutant.key in keys]
