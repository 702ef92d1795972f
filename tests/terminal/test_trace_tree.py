"""Traces on a terminal."""

import io
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from kspan import vocabulary
from kspan.model import SpanEvent, SpanRow, TraceRow
from kspan.terminal.text import cut, cut_middle, duration, harmless
from kspan.terminal.trace_tree import render_trace
from tests.emit.rows import MS, SECOND, START, make_span, make_trace, rolling_update

WIDTHS = [20, 40, 60, 80, 100, 120, 160, 240]


def drawn(
    trace: TraceRow, spans: list[SpanRow], width: int = 120, *, color: bool = False, ascii_only: bool = False
) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=color, color_system="standard" if color else None)
    console.print(render_trace(trace, spans, width=width, ascii_only=ascii_only))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def bar_of(line: str) -> tuple[int, int]:
    """First and last column of the line's bar."""
    columns = [index for index, char in enumerate(line) if char in "█▌▐▏"]
    return columns[0], columns[-1]


def test_the_header_has_object_actor_start_duration_and_outcome() -> None:
    trace, spans = rolling_update()
    header = drawn(trace, spans).splitlines()[0]
    facts = "✓ Deployment shop/web by kubectl · 2025-12-04 14:03:07Z · 18.0s · 33 spans · ok"
    assert header == f"{facts} · trace {trace.trace_id[:12]}"


def test_the_header_of_an_incomplete_episode_has_both_facts() -> None:
    trace, spans = rolling_update(failing=True)
    trace = msgspec.structs.replace(trace, incomplete=True, previous_trace_id="4bf92f3577b34da6a3ce929d0e0e4736")
    header = drawn(trace, spans, 160).splitlines()[0]
    own = f"trace {trace.trace_id[:12]}"
    assert header.endswith(f"failed · incomplete · {own} · continues 4bf92f3577b3")
    assert drawn(trace, spans, 80).splitlines()[1] == f"  incomplete · {own} · continues 4bf92f3577b3"


@pytest.mark.parametrize("width", [60, 80])
def test_the_outcome_moves_to_a_second_line_if_the_first_is_too_narrow(width: int) -> None:
    root = make_span("Lease.LeaderElection", subject="kube-controller-manager", service="x" * 26)
    lines = drawn(make_trace([root]), [root], width).splitlines()
    assert lines[0].startswith("✓ Lease ")
    assert lines[0].endswith(f" by {'x' * 26}")
    assert " · 1 span · ok" in lines[1]


def test_siblings_are_ordered_by_start_time() -> None:
    spans = [
        make_span("Deployment.Update", key="root", end=START + 9 * SECOND),
        make_span("Pod.Late", key="c", parent="root", start=START + 5 * SECOND),
        make_span("Pod.Early", key="a", parent="root", start=START + SECOND),
        make_span("Pod.Inner", key="b", parent="a", start=START + 2 * SECOND),
    ]
    lines = drawn(make_trace(spans), spans).splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["Deployment.Update", "├╴Pod.Early", "│", "└╴Pod.Late"]
    assert "└╴Pod.Inner" in lines[2]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("failing", [False, True])
def test_no_line_is_wider_than_the_terminal_and_durations_align(width: int, failing: bool) -> None:
    text = drawn(*rolling_update(failing=failing), width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    ends = {found.end() for line in text.splitlines()[2:] if (found := re.search(r" +[\d.]+m?s(?=$|  )", line))}
    assert len(ends) == 1


def test_bars_use_the_time_axis_of_the_trace_and_at_least_one_cell() -> None:
    spans = [
        make_span("Deployment.Update", key="root", end=START + 8 * SECOND),
        make_span("Pod.Half", key="a", parent="root", start=START + 4 * SECOND, end=START + 8 * SECOND),
        make_span("Pod.Instant", key="b", parent="root", start=START + 8 * SECOND),
        make_span("Pod.Blink", key="c", parent="root", start=START + 1, end=START + 2),
    ]
    root, blink, half, instant = map(bar_of, drawn(make_trace(spans), spans, 100).splitlines()[1:])
    assert root[0] == blink[0] == blink[1]
    assert half[0] == (root[0] + root[1] + 1) // 2
    assert half[1] == root[1] == instant[0] == instant[1]


def test_changes_repeats_and_errors_are_shown() -> None:
    trace, spans = rolling_update(failing=True)
    text = drawn(trace, spans)
    assert "image of web: nginx:1.26 → nginx:1.27" in text
    assert "Pod.Failed \u00d75" in text
    assert "code = NotFound" in text


def test_errors_are_red_on_a_terminal_and_plain_elsewhere() -> None:
    trace, spans = rolling_update(failing=True)
    assert "\x1b[31mFailed to pull image" in drawn(trace, spans, color=True)
    assert "\x1b" not in drawn(trace, spans)


def test_repeats_without_counts_are_counted() -> None:
    span = make_span("Pod.BackOff", events=[SpanEvent(START, "Pod.BackOff", {})] * 4)
    assert "Pod.BackOff \u00d75" in drawn(make_trace([span]), [span])


def test_repeats_are_points_on_the_axis_and_not_one_long_piece_of_work() -> None:
    again = [SpanEvent(START + seconds * SECOND, "Pod.Pulled", {}) for seconds in (41, 82)]
    span = make_span("Pod.Pulled", events=again)
    _, line = drawn(make_trace([span]), [span]).splitlines()
    assert "Pod.Pulled \u00d73 over 1m22s web" in line
    assert line.count("▏") == 3
    assert "█" not in line
    assert line.endswith("▏"), "a moment has no duration"


def test_an_occurrence_about_a_container_has_its_name() -> None:
    span = make_span("Pod.Pulled", attributes={vocabulary.CONTAINER_NAME: "app"})
    assert "Pod.Pulled web/app" in drawn(make_trace([span]), [span])


def test_a_condition_transition_is_not_counted_as_a_repeat() -> None:
    noted = SpanEvent(START, "PodScheduled", {vocabulary.CONDITION_TYPE: "PodScheduled"})
    span = make_span("Pod.Create", events=[noted] * 4)
    assert "\u00d7" not in drawn(make_trace([span]), [span])


def test_hostile_names_and_messages_are_printed_as_escapes() -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07a\x9b31m\r\n[red]b[/red]\u202ec\x00\u200b:smiley:"
    change = {vocabulary.CHANGE_SUMMARY: hostile}
    span = msgspec.structs.replace(
        make_span("Pod.BackOff", error=True, message=hostile, attributes=change),
        name=hostile, service=hostile, object_name=hostile, object_namespace=hostile, object_kind=hostile,
    )  # fmt: skip
    trace = msgspec.structs.replace(make_trace([span]), previous_trace_id=hostile)
    text = drawn(trace, [span], 400)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200b]", text)
    assert r"a\x9b31m [red]b[/red]\u202ec\x00\u200b:smiley:" in text
    assert "owned" not in text


def test_spans_without_a_parent_are_roots_and_cycles_are_shown() -> None:
    spans = [
        make_span("Pod.Orphan", key="a", parent="somewhere else"),
        make_span("Pod.RingOne", key="b", parent="c"),
        make_span("Pod.RingTwo", key="c", parent="b"),
    ]
    text = drawn(make_trace(spans), spans)
    assert all(name in text for name in ("Pod.Orphan", "Pod.RingOne", "└╴Pod.RingTwo"))


def test_a_chain_of_thousands_is_rendered() -> None:
    spans = [make_span("Pod.Step", key=str(n), parent=str(n - 1) if n else "", start=START + n) for n in range(3000)]
    lines = drawn(make_trace(spans), spans, 100).splitlines()
    assert len(lines) == 3001
    assert all("Pod.St" in line for line in lines[1:])


def test_a_trace_without_spans_has_a_header() -> None:
    trace, _ = rolling_update()
    assert drawn(trace, []).startswith("✓ empty trace · 2025-12-04")


def test_ascii_terminals_get_ascii() -> None:
    text = drawn(*rolling_update(), ascii_only=True)
    assert text.isascii()
    assert "`-ReplicaSet.Create" in text


@pytest.mark.parametrize(
    "nanoseconds,text",
    [
        (-5, "0ms"), (0, "0ms"), (999_999, "0ms"), (12 * MS, "12ms"), (999 * MS, "999ms"), (SECOND, "1.0s"),
        (3_449 * MS, "3.4s"), (59_999 * MS, "59.9s"), (60 * SECOND, "1m00s"), (125 * SECOND, "2m05s"),
        (3599 * SECOND, "59m59s"), (3720 * SECOND, "1h02m"), (86_399 * SECOND, "23h59m"), (273_600 * SECOND, "3d04h"),
    ],
)  # fmt: skip
def test_durations_have_at_most_six_cells(nanoseconds: int, text: str) -> None:
    assert duration(nanoseconds) == text


@given(st.text(), st.integers(0, 40))
@settings(max_examples=200, deadline=None)
def test_cut_text_fits_and_harmless_text_prints(text: str, width: int) -> None:
    clean = harmless(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", clean)
    assert cell_len(cut(clean, width)) <= width
    assert cell_len(cut_middle(clean, width)) <= width


def test_a_cut_keeps_the_end_of_a_generated_name() -> None:
    assert cut_middle("web-frontend-854b7f4f-x7k2p", 16) == "web-fron…f-x7k2p"
