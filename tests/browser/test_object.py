"""The page of an object as a reader uses it: differences, an earlier time, marks of its life."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser import checks
from tests.browser.addresses import objects_named
from tests.browser.chromium import DESK, PHONE
from tests.browser.databases import NAME
from tests.browser.reader import Reader

Urls = Callable[[str, str], str]

PADDING: Final = "cell => parseFloat(getComputedStyle(cell).paddingLeft)"


@pytest.fixture
def page(reader: Reader, url_of: Urls) -> Page:
    """The Deployment of the rolling update."""
    return reader.open(url_of("demo", "object"))


def test_a_revision_opens_and_shows_its_difference(page: Page) -> None:
    revisions = page.locator("details.revision")
    expect(revisions.nth(0).locator(".diff .add")).to_contain_text(["web:v1"])
    second = revisions.nth(1)
    expect(second.locator(".diff")).to_be_hidden()
    second.locator("summary").click()
    expect(second.locator(".diff .add").first).to_be_visible()
    expect(second.locator(".diff .add").first).to_contain_text("replicas: 4")


def test_the_object_is_shown_as_of_an_earlier_time(page: Page) -> None:
    page.locator("#at").fill("2026-11-22T10:25:20Z")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("[data-manifest]")).to_contain_text("web:v2")
    page.get_by_role("link", name="now").click()
    expect(page.locator("[data-manifest]")).to_contain_text("web:v1")


def test_a_mark_of_its_life_leads_to_the_span(page: Page) -> None:
    mark = page.locator(".tracks rect.change").last
    target = mark.get_attribute("data-href")
    assert target is not None
    mark.click(force=True)
    page.wait_for_url(f"**{target}")


def test_the_chart_leads_to_dependents_and_owners(page: Page) -> None:
    chart = page.locator(".chart.wide")
    chart.locator("a.box").first.click()
    expect(page.locator("h1")).to_contain_text("ReplicaSet")
    page.locator(".chart.wide a.box").first.click()
    expect(page.locator("h1")).to_contain_text("Deployment")


def test_the_chart_keeps_the_time(page: Page) -> None:
    page.locator("#at").fill("2026-11-22T10:25:20Z")
    page.get_by_role("button", name="Show").click()
    page.locator(".chart.wide a.box").first.click()
    expect(page.locator("h1")).to_contain_text("ReplicaSet")
    assert "at=2026-11-22T10%3A25%3A20" in page.url


@pytest.mark.parametrize("scripts", [True, False])
def test_on_a_phone_the_chart_is_narrow_and_complete(reader: Reader, url_of: Urls, scripts: bool) -> None:
    page = reader.open(url_of("demo", "object"), viewport=PHONE, is_mobile=True, java_script_enabled=scripts)
    expect(page.locator(".chart.wide")).to_be_hidden()
    narrow = page.locator(".chart.narrow")
    assert narrow.locator(".box").count() == page.locator(".chart.wide .box").count() > 1
    for box in narrow.locator("a.box").all():
        expect(box).to_be_visible()
        shape = box.bounding_box()
        assert shape is not None
        assert shape["x"] >= 0
        assert shape["x"] + shape["width"] <= PHONE["width"]
    assert checks.overflow(page) == [] if scripts else True


def test_the_boxes_of_hostile_names_keep_their_size(
    reader: Reader, database: Callable[[str], Path], served: Callable[[str], str]
) -> None:
    boxes = 0
    for path in objects_named(database("hostile"), NAME):
        for viewport in (DESK, PHONE):
            page = reader.open(served("hostile") + path, viewport=viewport)
            for box in page.locator(".chart:visible .box").all():
                boxes += 1
                sizes = box.evaluate("box => [box.scrollWidth - box.clientWidth, box.scrollHeight - box.clientHeight]")
                assert max(sizes) <= 1, box.inner_text()
            assert [*checks.markup(page), *checks.leaking_bidi(page)] == []
    assert boxes


def two_versions(page: Page) -> None:
    """Mark the oldest and the newest version, and compare them."""
    page.locator("details.revision").evaluate_all("all => all.forEach(each => { each.open = true; })")
    page.locator("input[name=version]").first.check()
    page.locator("input[name=version]").last.check()
    page.get_by_role("button", name="Compare two").click()
    expect(page.locator("h1")).to_contain_text("Two versions")


def test_two_versions_have_their_lines_side_by_side(page: Page) -> None:
    two_versions(page)
    removed, added = page.locator(".beside td.remove").first, page.locator(".beside td.add").first
    expect(removed).to_have_text("replicas: 2")
    expect(added).to_have_text("replicas: 4")
    left, right = removed.bounding_box(), added.bounding_box()
    assert left is not None
    assert right is not None
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"] + 1
    heads = page.locator(".beside th")
    texts = page.locator(".beside td.same")
    assert heads.first.evaluate(PADDING) <= texts.first.evaluate(PADDING)


def test_on_a_phone_two_versions_are_below_each_other(reader: Reader, url_of: Urls) -> None:
    page = reader.open(url_of("demo", "object"), viewport=PHONE, is_mobile=True)
    two_versions(page)
    left = page.locator(".beside td.remove").first.bounding_box()
    right = page.locator(".beside td.add").first.bounding_box()
    assert left is not None
    assert right is not None
    assert left["x"] == right["x"]
    assert left["y"] < right["y"]
    assert checks.overflow(page) == []


def test_axe_finds_nothing_serious_in_a_comparison(reader: Reader, url_of: Urls) -> None:
    page = reader.open(url_of("demo", "object"))
    two_versions(page)
    assert checks.inaccessible_light_or_dark(page) == []
