"""The timeline as a reader uses it: zoom, a range that filters the table, the keyboard, links."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reader import Reader

Urls = Callable[[str, str], str]


@pytest.fixture
def page(reader: Reader, url_of: Urls) -> Page:
    return reader.open(url_of("demo", "timeline"))


def shown(page: Page) -> tuple[float, float]:
    """The time that the lanes show (ms since 1970)."""
    first, last = page.locator("[data-view]").evaluate("view => [view.dataset.from, view.dataset.to]")
    return float(first), float(last)


def page_number(value: float) -> str:
    """A number as a script writes it."""
    return str(int(value)) if value.is_integer() else repr(value)


def changed(page: Page, before: tuple[float, float]) -> None:
    """Wait until the lanes show another time."""
    expect(page.locator("[data-view]")).not_to_have_attribute(
        "data-from", re.compile(re.escape(page_number(before[0])))
    )


def times(page: Page) -> list[str]:
    found = page.locator("[data-rows-below] time").evaluate_all("all => all.map(each => each.dateTime)")
    return [str(each)[:23] for each in found]  # The script knows milliseconds.


def test_zooming_with_the_wheel_keeps_the_time_under_the_pointer(page: Page) -> None:
    box = page.locator("[data-canvas]").bounding_box()
    names = page.locator("[data-names]").bounding_box()
    assert box is not None
    assert names is not None
    width = box["width"] - names["width"]
    part = 0.7
    page.mouse.move(box["x"] + names["width"] + part * width, box["y"] + 120)
    before = shown(page)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    changed(page, before)
    after = shown(page)
    assert after[1] - after[0] < before[1] - before[0]

    def at(range_: tuple[float, float]) -> float:
        return range_[0] + part * (range_[1] - range_[0])

    assert abs(at(after) - at(before)) < (before[1] - before[0]) / 500


def test_a_range_in_the_histogram_filters_the_table_and_stays_in_the_address(page: Page) -> None:
    overview = page.locator("[data-overview]").bounding_box()
    assert overview is not None
    all_of_them = times(page)
    right, middle = overview["x"] + overview["width"] - 1, overview["y"] + 20
    page.mouse.move(right, middle)
    page.mouse.down()
    page.mouse.move(right - overview["width"] * 0.04, middle, steps=4)
    page.mouse.up()
    expect(page.locator("[data-clear]")).to_be_visible()
    expect(page.locator("[data-rows-below] tr")).not_to_have_count(len(all_of_them))
    chosen = times(page)
    assert set(chosen) < set(all_of_them)
    assert "range=" in page.url
    page.reload()
    expect(page.locator("[data-clear]")).to_be_visible()
    page.locator("[data-view]").focus()
    page.keyboard.press("Escape")
    expect(page.locator("[data-clear]")).to_be_hidden()
    assert "range=" not in page.url


def test_the_keyboard_zooms_and_moves(page: Page) -> None:
    page.locator("[data-view]").focus()
    first = shown(page)
    page.keyboard.press("+")
    changed(page, first)
    zoomed = shown(page)
    assert first[0] < zoomed[0] < zoomed[1] < first[1]
    page.keyboard.press("ArrowRight")
    changed(page, zoomed)
    moved = shown(page)
    assert moved[0] > zoomed[0]
    assert moved[1] - moved[0] == pytest.approx(zoomed[1] - zoomed[0])


def test_a_lane_leads_to_its_object_and_a_line_to_its_span(page: Page) -> None:
    names = page.locator("[data-names] a")
    names.first.click()
    expect(page.locator("h1")).to_contain_text("Deployment rolling-update/web")
    page.go_back()
    page.locator("[data-rows-below] td.what a").first.click()
    page.wait_for_url("**/traces/**")


def test_errors_only_leaves_what_failed(reader: Reader, url_of: Urls) -> None:
    page = reader.open(url_of("recordings", "timeline") + "?errors=1&since=2026-01-01&until=2027-01-01")
    reasons = page.locator("[data-rows-below] td.what b")
    assert reasons.count() > 5
    assert page.locator("[data-rows-below] td.what b:not(.bad)").count() == 0
