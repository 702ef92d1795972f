"""Where the boxes and lines of the chart of owners and dependents are."""

import itertools

import pytest

from kspan.query.objects.family import SHOWN, Family, Relative
from kspan.query.objects.status import Tone
from kspan.web.pages.drawing.family_chart import COLUMNS, NARROW, Box, Chart, narrow_chart, wide_chart


def pod(number: int, *, deleted_at: int = 0, tone: Tone = Tone.OK) -> Relative:
    return Relative(f"uid-{number}", "Pod", "shop", f"web-{number}", deleted_at=deleted_at, tone=tone)


HERE = Relative("uid", "ReplicaSet", "shop", "web", tone=Tone.FAILING)
OWNERS = [[Relative("rs", "Deployment", "shop", "web")], [Relative("app", "Application", "", "shop")]]


def charts(family: Family) -> list[Chart]:
    return [wide_chart(family, HERE), narrow_chart(family, HERE)]


def apart(a: Box, b: Box) -> bool:
    return a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y


@pytest.mark.parametrize("count", [0, 1, 2, COLUMNS, COLUMNS + 1, SHOWN, SHOWN + 9])
@pytest.mark.parametrize("owners", [[], OWNERS[:1], OWNERS])
def test_boxes_are_inside_of_the_chart_and_do_not_touch(count: int, owners: list[list[Relative]]) -> None:
    for chart in charts(Family(owners, [pod(number) for number in range(count)], 0, True)):
        assert all(box.x >= 0 and box.x + box.width <= chart.width for box in chart.boxes)
        assert all(box.y >= 0 and box.y + box.height <= chart.height for box in chart.boxes)
        assert all(apart(a, b) for a, b in itertools.combinations(chart.boxes, 2))
        assert len(chart.lines) == len(chart.boxes) - 1, "a line to each but the object itself"


def test_owners_are_above_from_the_top_and_dependents_below() -> None:
    for chart in charts(Family(OWNERS, [pod(1)], 0, True)):
        order = [box.relative.kind for box in sorted(chart.boxes, key=lambda box: box.y) if box.relative is not None]
        assert order == ["Application", "Deployment", "ReplicaSet", "Pod"]


def test_a_line_goes_from_the_lower_edge_of_one_box_to_the_upper_edge_of_the_other() -> None:
    chart = wide_chart(Family(OWNERS, [], 0, True), HERE)
    upper, lower = chart.boxes[0], chart.boxes[1]
    assert chart.lines[0].path == f"M{upper.x + upper.width // 2} {upper.y + upper.height}V{lower.y}"


def test_no_line_crosses_a_box_of_a_row_above() -> None:
    chart = wide_chart(Family([], [pod(number) for number in range(2 * COLUMNS + 3)], 0, True), HERE)
    trunk = chart.boxes[0].x + chart.boxes[0].width // 2
    last = max(box.y for box in chart.boxes)
    passed = [box for box in chart.boxes if box.role == "dependent" and box.y < last]
    assert len(passed) == 2 * COLUMNS
    assert not [box for box in passed if box.x <= trunk <= box.x + box.width]


@pytest.mark.parametrize(
    "dependents, more, complete, shown", [(SHOWN, 0, True, False), (SHOWN + 1, 0, True, True), (3, 0, False, True)]
)
def test_what_is_not_shown_has_a_box_of_its_own(dependents: int, more: int, complete: bool, shown: bool) -> None:
    for chart in charts(Family([], [pod(number) for number in range(dependents)], more, complete)):
        assert [box.role for box in chart.boxes].count("dependent") == min(dependents, SHOWN)
        assert (chart.boxes[-1].role == "more") is shown


def test_what_is_gone_is_marked_whatever_its_last_state_was() -> None:
    for chart in charts(Family([], [pod(1, tone=Tone.FAILING), pod(2, deleted_at=5)], 0, True)):
        assert [box.tone for box in chart.boxes] == ["failing", "failing", "gone"]
        assert [line.gone for line in chart.lines] == [False, True]


def test_the_narrow_chart_fits_on_a_phone() -> None:
    assert narrow_chart(Family(OWNERS, [pod(1)], 0, True), HERE).width == NARROW <= 390 - 2 * 14
