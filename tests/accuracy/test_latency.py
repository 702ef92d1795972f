"""Traces are exported soon, above all those of failures. Limits in seconds, in event time."""

import pytest

from tests.accuracy.latency import DOCUMENT, FILES, LIMITS, Latency, document, failures_above, measure

WAITS = {"07-job-cronjob": "its Jobs run for ten seconds", "37-schedules": "its Jobs run for more than a minute"}
"""Recordings in which something is in progress for longer."""


@pytest.fixture(scope="module")
def measured() -> dict[str, Latency]:
    return {scenario: measure(file) for scenario, file in sorted(FILES.items())}


@pytest.mark.parametrize("scenario", sorted(FILES.keys() - WAITS.keys()))
def test_nine_of_ten_events_are_exported_within_25_seconds_if_all_goes_well(
    measured: dict[str, Latency], scenario: str
) -> None:
    assert not measured[scenario].p90 > LIMITS["well"]


def test_nine_of_ten_traces_are_exported_within_25_seconds_of_their_end(measured: dict[str, Latency]) -> None:
    assert [latency.scenario for latency in measured.values() if latency.quiet > LIMITS["well"]] == []


def test_the_first_trace_of_a_failure_is_exported_within_45_or_75_seconds(measured: dict[str, Latency]) -> None:
    assert [failures_above(latency) for latency in measured.values() if failures_above(latency)] == []
    assert "crash-loop" in [name for name, _ in measured["03-crashloop"].failures]


def test_the_document_shows_that_in_the_other_recordings() -> None:
    """They are too large for the repository. The figures are the same on every machine."""
    rows = DOCUMENT.read_text(encoding="utf-8").partition("|---")[2].splitlines()[1:]
    p90 = {cells[1].strip(): cells[4].strip() for cells in (row.split("|") for row in rows)}
    assert len(p90) > len(FILES)
    slow = [name for name, took in p90.items() if took != "none" and int(took.removesuffix(" s")) >= LIMITS["well"]]
    assert slow == sorted(WAITS)


def test_the_document_has_these_figures(measured: dict[str, Latency]) -> None:
    written = DOCUMENT.read_text(encoding="utf-8")
    for row in document(measured.values()).partition("|---")[2].splitlines()[1:]:
        assert row in written, "run 'python -m tests.accuracy.latency DIR'"
