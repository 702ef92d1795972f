"""The page of an object as a reader uses it: differences, an earlier time, marks of its life."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reader import Reader

Urls = Callable[[str, str], str]


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


def test_dependents_and_traces_lead_on(page: Page) -> None:
    page.locator(".tree a").first.click()
    expect(page.locator("h1")).to_contain_text("ReplicaSet")
    page.locator("nav.owners a").first.click()
    expect(page.locator("h1")).to_contain_text("Deployment")
