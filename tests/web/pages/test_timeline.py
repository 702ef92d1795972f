"""The timeline page without a browser, and the columns that its script reads."""

import json
from typing import Any

import pytest

from tests.web.pages.site import Address, read
from tests.web.test_server import ask

WINDOW = "since=2026-11-22T10:24:00Z&until=2026-11-22T10:27:00Z"


def columns(address: Address, query: str) -> dict[str, Any]:
    status, body, headers = ask(address, f"/timeline/rows.json?{query}")
    assert (status, headers["content-type"]) == (200, "application/json")
    found: dict[str, Any] = json.loads(body)
    return found


def test_without_a_time_the_newest_hour_in_which_something_happened_is_shown(update: Address) -> None:
    page = read(update, "/timeline")
    assert "the newest hour in which something happened" in page.text
    times = [each.attributes["datetime"] for each in page.all("tbody")[0].all("time")]
    assert times == sorted(times)
    assert len(times) > 50


@pytest.mark.parametrize(
    "query, found",
    [
        ("namespace=rolling-update", True),
        ("namespace=elsewhere", False),
        ("kind=pod&name=web-854b7f4f-9xzlt", True),
        ("node=node-b", True),
        ("node=nowhere", False),
        ("since=2020-01-01&until=2020-01-02", False),
    ],
)
def test_the_filters_select_occurrences(update: Address, query: str, found: bool) -> None:
    assert bool(read(update, f"/timeline?{query}").all("tbody")) is found


def test_the_page_goes_on_with_more_and_to_earlier_and_later_times(update: Address) -> None:
    first = read(update, "/timeline?" + WINDOW)
    links = {link.text: link.attributes["href"] for link in first.all("a", class_="button")}
    assert "since=2026-11-22T10%3A21%3A00" in links["Earlier"]
    assert "since=2026-11-22T10%3A27%3A00" in links["Later"]
    assert "Nothing happened in this time." in read(update, "/timeline" + links["Later"]).text


def test_the_columns_have_every_occurrence_of_the_range_once(update: Address) -> None:
    found = columns(update, WINDOW)
    length = len(found["start"])
    assert length == len(read(update, "/timeline?" + WINDOW).all("tbody")[0].all("tr"))
    names = ("lane", "start", "end", "reason", "who", "what", "flag", "times", "trace", "span")
    assert {len(found[name]) for name in names} == {length}
    assert len(set(found["span"])) == length
    assert max(found["lane"]) < len(found["object"])
    assert found["next"] is None
    kinds = {found["texts"][kind] for kind, *_ in found["object"]}
    assert {"Deployment", "ReplicaSet", "Pod"} <= kinds


def test_the_columns_name_the_cause_of_each_occurrence(update: Address) -> None:
    found = columns(update, WINDOW)
    numbers = [parent for parent in found["parent"] if parent != -1]
    assert len(found["parent"]) == len(found["start"])
    assert len(numbers) > 0.9 * len(found["start"]), "only roots have no cause"
    assert all(isinstance(parent, int) for parent in numbers), "all causes are among these occurrences"
    for number, parent in enumerate(found["parent"]):
        if parent != -1:
            assert found["trace"][number] == found["trace"][parent]
            assert found["start"][parent] <= found["start"][number]
    part = columns(update, "since=2026-11-22T10:25:50.5Z&until=2026-11-22T10:27:00Z")
    elsewhere = [parent for parent in part["parent"] if isinstance(parent, str)]
    assert elsewhere
    assert set(elsewhere) <= set(found["span"]), "a cause before the range is named by its span id"


def test_following_is_off_unless_the_address_has_it(update: Address) -> None:
    button = read(update, "/timeline").all("button", class_="follow")[0]
    assert button.has("aria-pressed", "false")
    button = read(update, "/timeline?follow=1").all("button", class_="follow")[0]
    assert button.has("aria-pressed", "true")


def test_a_range_without_occurrences_can_be_followed(update: Address) -> None:
    page = read(update, "/timeline?namespace=elsewhere&since=2020-01-01&until=2020-01-02")
    link = next(link for link in page.all("a", class_="button") if link.text == "Follow")
    assert "follow=1" in link.attributes["href"]
    assert "until" not in link.attributes["href"]
    followed = read(update, "/timeline" + link.attributes["href"])
    assert followed.all("section", class_="lanes")
    assert "Nothing happened in this time." in followed.text


@pytest.mark.parametrize(
    "path", ["/timeline?since=never", "/timeline?cursor=x", "/timeline?since=5m&until=10m", "/timeline?kind=gadget"]
)
def test_what_makes_no_sense_is_a_page_that_says_so(update: Address, path: str) -> None:
    assert read(update, path, 404).all("main")[0].text


@pytest.mark.parametrize("query", ["since=never", "cursor=x", "kind=gadget"])
def test_columns_that_make_no_sense_are_a_problem(update: Address, query: str) -> None:
    status, body, headers = ask(update, f"/timeline/rows.json?{query}")
    assert status in (400, 404)
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["detail"]
