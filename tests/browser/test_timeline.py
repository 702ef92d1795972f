"""The timeline as a reader uses it: zoom, a range that filters the table, the keyboard, links."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.pipeline.projector import Projector
from kspan.store import open_store
from tests.browser import checks
from tests.browser.databases import NAME
from tests.browser.reader import Reader
from tests.browser.serving import serving
from tests.causality.actors import new_pod, rolled_out, run
from tests.causality.cluster import Cluster

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


# Causes


def chosen(page: Page) -> str:
    return page.locator("[data-chosen]").inner_text()


def arrows(page: Page) -> int:
    """Number of arrows in the lanes."""
    return int(page.locator("[data-view]").get_attribute("data-arrows") or 0)


def test_an_occurrence_is_chosen_with_the_keyboard_and_shows_its_cause_and_effects(page: Page) -> None:
    view = page.locator("[data-view]")
    view.focus()
    expect(view).to_have_attribute("data-arrows", "0")
    for _ in range(60):
        page.keyboard.press("j")
        page.wait_for_function(DRAWN)
        if "Pod" in chosen(page) and "because of" in chosen(page) and arrows(page):
            break
    effect = chosen(page)
    assert effect.startswith("Pod "), effect
    expect(page.locator("[data-tip]")).to_be_visible()
    page.keyboard.press("c")
    expect(page.locator("[data-chosen]")).not_to_have_text(effect)
    assert re.search(r"[1-9]\d* direct effects?", chosen(page))
    page.keyboard.press("Escape")
    expect(view).to_have_attribute("data-arrows", "0")
    expect(page.locator("[data-tip]")).to_be_hidden()


DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"


def test_enter_opens_the_chosen_occurrence(page: Page) -> None:
    page.locator("[data-view]").focus()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/traces/**")


def test_the_pointer_over_a_mark_shows_arrows(page: Page) -> None:
    view = page.locator("[data-view]")
    box = page.locator("[data-canvas]").bounding_box()
    names = page.locator("[data-names]").bounding_box()
    assert box is not None
    assert names is not None
    for lane in range(3):
        for x in range(int(names["x"] + names["width"]), int(box["x"] + box["width"]), 6):
            page.mouse.move(x, box["y"] + 24 + 22 * lane + 11)
            if page.evaluate(DRAWN) and arrows(page):
                break
        if arrows(page):
            break
    assert arrows(page)
    page.mouse.move(box["x"], box["y"] - 100)
    expect(view).to_have_attribute("data-arrows", "0")


# Following


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[str, Callable[[str], None]]]:
    """The address of a database, and what lets a Pod of a name start in it."""
    db = tmp_path / "live.sqlite"
    c = Cluster()
    web, rs, _ = rolled_out(c, "web", 1)
    c.first_list()
    written = 0

    def start(name: str) -> None:
        nonlocal written
        run(c, new_pod(c, rs, name))
        c.wait(6)
        c.create("ConfigMap", f"time-passes-{written}", by="kubectl-create")
        c.receive_all()
        with open_store(str(db)) as store:
            projector = Projector(store, "live", built_in_rules())
            projector.add(JournalBatch([record]) for record in c.records[written:])
            projector.flush()
        written = len(c.records)

    c.update(web, image="registry.example.com/web:v2")
    start("web-first")
    with serving(db) as address:
        yield f"{address}/timeline", start


def row_of(page: Page, name: str) -> Locator:
    return page.locator("[data-rows-below] tr", has_text=name).first


def test_new_occurrences_appear_while_following_is_on_and_not_otherwise(
    live: tuple[str, Callable[[str], None]], reader: Reader
) -> None:
    address, start = live
    page = reader.open(address)
    button = page.locator("[data-follow]")
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(row_of(page, "web-first")).to_be_visible()
    button.focus()
    with page.expect_response("**/v1/stream*"):
        page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    assert "follow=1" in page.url
    start(NAME)
    expect(row_of(page, NAME)).to_be_visible()
    assert checks.markup(page) == []
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "false")
    assert "follow=" not in page.url
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    start("web-later")
    page.wait_for_timeout(0)
    page.locator("[data-view]").focus()
    page.keyboard.press("+")
    page.evaluate(DRAWN)
    assert not [url for url in asked if "rows.json" in url or "stream" in url]
    expect(row_of(page, "web-later")).to_have_count(0)


def test_following_is_in_the_address_and_shows_what_was_new_before_the_stream(
    live: tuple[str, Callable[[str], None]], reader: Reader
) -> None:
    address, start = live
    page = reader.open(address + "?follow=1")
    expect(page.locator("[data-follow]")).to_have_attribute("aria-pressed", "true")
    start("web-second")
    expect(row_of(page, "web-second")).to_be_visible()
    ids = page.locator("[data-rows-below] td.what a").evaluate_all("all => all.map(each => each.hash)")
    named = [each for each in ids if len(each) > 12]
    assert len(named) == len(set(named)), "one that was placed later is not shown twice"


def test_a_chart_of_lanes_is_not_shown_without_scripts(reader: Reader, url_of: Urls) -> None:
    page = reader.open(url_of("demo", "timeline") + "?follow=1", java_script_enabled=False)
    expect(page.locator("[data-lanes]")).to_be_hidden()
    expect(page.locator("#occurrences tbody tr").first).to_be_visible()
