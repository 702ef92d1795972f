"""The switch between the clusters of a database, with and without scripts."""

from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser import checks
from tests.browser.chromium import PHONE
from tests.browser.databases import FLEET_NAME
from tests.browser.reader import Reader

LISTS: Final = ("/", "/traces", "/timeline", "/rollouts", "/objects")

Served = Callable[[str], str]


def cluster_of(page: Page) -> list[str]:
    return parse_qs(urlsplit(page.url).query).get("cluster", [])


def switch_to(page: Page, name: str) -> None:
    page.locator(".cluster select").select_option(name)
    page.get_by_role("button", name="Switch").click()
    page.wait_for_load_state()


def test_the_switch_shows_another_cluster_and_links_stay_in_it(reader: Reader, served: Served) -> None:
    page = reader.open(f"{served('fleet')}/traces?cluster=prod&status=ok")
    expect(page.locator("main")).to_contain_text("web")
    switch_to(page, FLEET_NAME)
    assert cluster_of(page) == [FLEET_NAME]
    assert "status=ok" in page.url, "the filter is kept"
    page.get_by_role("link", name="Home", exact=True).click()
    page.get_by_role("link", name="Traces", exact=True).click()
    assert cluster_of(page) == [FLEET_NAME]
    page.locator("main td a", has_text="crash").first.click()
    expect(page.locator("h1")).to_contain_text("crash")
    # The rows of the waterfall, and what a script links to.
    page.locator("[data-row]").first.click()
    page.locator("[data-panel] a[href^='/objects/']").first.click()
    expect(page.locator("h1")).to_contain_text("crash")
    assert cluster_of(page) == [FLEET_NAME]
    page.locator("[data-why]").fill("deploy/crash")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Why Deployment")
    assert cluster_of(page) == [FLEET_NAME]


def test_the_timeline_of_a_cluster_is_read_and_followed_in_it(reader: Reader, served: Served) -> None:
    asked: list[str] = []
    page = reader.open(f"{served('fleet')}/timeline?cluster=uid-of-staging")
    page.on("request", lambda request: asked.append(request.url))
    page.locator("[data-follow]").click()
    page.wait_for_function("() => document.querySelector('[data-follow]').getAttribute('aria-pressed') === 'true'")
    page.locator("[data-rows-below] a[href^='/traces/']").first.click()
    expect(page.locator("h1")).to_be_visible()
    assert cluster_of(page) == ["uid-of-staging"]
    own = [url for url in asked if "/static/" not in url]
    assert any("/v1/stream" in url for url in own)
    assert [url for url in own if "cluster=uid-of-staging" not in url] == []


def test_the_switch_works_without_a_script(reader: Reader, served: Served) -> None:
    page = reader.open(f"{served('fleet')}/objects?cluster=prod&name=crash", java_script_enabled=False)
    expect(page.locator("main")).to_contain_text("No object matches")
    switch_to(page, FLEET_NAME)
    assert cluster_of(page) == [FLEET_NAME]
    expect(page.locator("main table")).to_contain_text("crash")


@pytest.mark.parametrize("path", LISTS)
def test_a_page_with_the_switch_is_as_good_as_one_without(reader: Reader, served: Served, path: str) -> None:
    url = f"{served('fleet')}{path}?cluster=uid-of-staging"
    page = reader.open(url)
    assert [text for check in checks.AT_A_DESK for text in check(page)] == []
    page = reader.open(url, viewport=PHONE, is_mobile=True, has_touch=True)
    assert [*checks.unreadable(page), *checks.overflow(page)] == []
    page = reader.open(url, bypass_csp=True)
    assert checks.inaccessible(page) == []


def test_the_name_of_the_program_is_in_one_line_on_a_phone(reader: Reader, served: Served) -> None:
    page = reader.open(f"{served('fleet')}/traces", viewport=PHONE)
    box = page.locator(".brand").bounding_box()
    assert box is not None
    assert box["height"] < 30 < box["width"]


def test_a_database_of_one_cluster_has_no_switch(reader: Reader, served: Served) -> None:
    page = reader.open(f"{served('demo')}/traces")
    expect(page.locator(".cluster")).to_have_count(0)
