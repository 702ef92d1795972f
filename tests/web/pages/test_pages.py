"""The pages without a browser: home, traces, rollouts and why, over histories of recordings on both databases."""

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest

from kspan.store import Store
from kspan.web.pages import html
from kspan.web.pages.html import STATIC, badge, color
from tests.web.pages.site import Address, read, site
from tests.web.test_server import ask

WEB = Path(html.__file__).parents[1]


def test_the_traces_page_lists_the_newest_first_with_what_changed_and_who(update: Address) -> None:
    rows = read(update, "/traces").all("tbody")[0].all("tr")
    newest = rows[0].text
    assert "Update" in newest
    assert "registry.example.com/shop/web:v2 → registry.example.com/shop/web:v1" in newest
    assert "kubectl" in newest
    times = [row.all("time")[0].attributes["datetime"] for row in rows]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    "query, found",
    [
        ({"namespace": "rolling-update", "kind": "deploy", "name": "web"}, True),
        ({"namespace": "elsewhere"}, False),
        ({"actor": "kubectl"}, True),
        ({"actor": "nobody"}, False),
        ({"status": "incomplete"}, False),
        ({"min_duration": "1h"}, False),
        ({"until": "2020-01-01T00:00:00Z"}, False),
    ],
)
def test_the_filters_of_the_address_select_traces_and_stay_in_the_form(
    update: Address, query: dict[str, str], found: bool
) -> None:
    page = read(update, f"/traces?{urlencode(query)}")
    assert bool(page.all("tbody")) is found
    assert bool(page.all("p", class_="empty")) is not found or found
    for name, value in query.items():
        fields = page.all("input", name=name) or page.all("select", name=name)
        assert fields[0].has("value", value) or [o.text for o in fields[0].all("option", selected="")] == [value]


@pytest.mark.parametrize("query", ["status=good", "since=tomorrow%21", "min_duration=soon", "kind=nothing-like-it"])
def test_a_filter_that_makes_no_sense_is_a_page_that_says_so(update: Address, query: str) -> None:
    page = read(update, f"/traces?{query}", 404)
    assert page.all("main")[0].text


def test_a_wrong_address_is_a_page_for_a_browser_and_a_list_of_addresses_for_a_program(update: Address) -> None:
    status, body, headers = ask(update, "/nothing", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (status, headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no page at this address." in body
    status, body, headers = ask(update, "/nothing")
    assert (status, headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert "/traces\n" in body


def test_the_home_page_of_a_copy_shows_the_last_hour_on_record(crash: Address) -> None:
    page = read(crash, "/")
    assert page.all("h1")[0].text == "The last hour on record"
    failures = page.all("section", id="failures")[0]
    assert "BackOff" in failures.text
    assert "kubectl" in failures.text, "a failure names what caused it"


def test_the_home_page_of_an_empty_history_says_that_nothing_is_recorded(store: Store) -> None:
    with site(store, "nothing") as address:
        page = read(address, "/")
        assert "Nothing is recorded yet." in page.text
        assert "No trace matches." in read(address, "/traces").text
        assert "No rollout in this time." in read(address, "/rollouts").text


def test_rollouts_are_grouped_by_workload_and_two_can_be_compared(update: Address) -> None:
    page = read(update, "/rollouts")
    groups = page.all("form", class_="panel")
    assert [group.all("a", class_="title")[0].text for group in groups] == ["Deweb"]
    chosen = [box.attributes["value"] for box in groups[0].all("input", name="rollout")]
    assert len(chosen) >= 2
    compared = read(update, "/rollouts/compare?" + urlencode([("rollout", each) for each in chosen[:2]]))
    assert [time.attributes["datetime"] for time in compared.all("time")] == sorted(
        time.attributes["datetime"] for time in compared.all("time")
    ), "the earlier rollout is on the left"
    lines = [line.text for line in compared.all("div", class_="diff")[0].all("div")]
    assert any(line.startswith("- ") and line.endswith("web:v2") for line in lines)
    assert any(line.startswith("+ ") and line.endswith("web:v1") for line in lines)


def test_a_rollout_that_was_only_inferred_has_no_length(update: Address) -> None:
    lengths: dict[str, list[str]] = {"Create": [], "Update": []}
    for row in read(update, "/rollouts").all("tr"):
        for cell in row.all("td"):
            if cell.attributes.get("data-label") == "done after":
                lengths[row.all("b")[0].text].append(cell.text)
    assert lengths["Create"] == [""]
    assert all(lengths["Update"]), lengths
    assert len(lengths["Update"]) == 2


@pytest.mark.parametrize("query", ["", "rollout=a.b", "rollout=a.b&rollout=c.d", "rollout=%00.x&rollout=%27"])
def test_a_comparison_of_what_is_no_rollout_is_refused(update: Address, query: str) -> None:
    assert ask(update, f"/rollouts/compare?{query}")[0] in (400, 404)


def test_the_why_box_leads_to_the_answer(update: Address) -> None:
    status, _, headers = ask(update, "/why?q=deploy/rolling-update/web")
    assert (status, headers["location"]) == (303, "/why/deploy/rolling-update/web")
    page = read(update, headers["location"])
    assert "because kubectl changed it" in page.all("section", class_="answer")[0].text
    chain = page.all("ol", class_="chain")[0].all("li")
    assert "Update web" in chain[-1].text
    assert chain[-1].all("a")[0].attributes["href"].startswith("/traces/")
    assert "Enter an object" in read(update, "/why").text


def test_why_about_an_earlier_time_does_not_know_the_future(update: Address) -> None:
    page = read(update, "/why/deploy/rolling-update/web?at=2026-11-22T10:25:20Z")
    assert "web: v1 → v2" in page.all("section", class_="answer")[0].text


@pytest.mark.parametrize(
    "path", ["/why?q=a/b/c/d", "/why/pod/nobody", "/why/nothing/x", "/why/pod/web?at=never", "/why/pod/%3Cscript%3E"]
)
def test_why_about_what_is_not_there_says_so(update: Address, path: str) -> None:
    status, body, _ = ask(update, path)
    assert status in (400, 404)
    assert "<script>" not in body


def test_files_are_served_for_ever_with_their_digest_and_checked_without(update: Address) -> None:
    page = read(update, "/traces")
    for link in (*page.all("link"), *page.all("script", type="module")):
        address = link.attributes.get("href") or link.attributes["src"]
        status, _, headers = ask(update, address)
        assert (status, headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    status, _, headers = ask(update, "/static/times.js")
    assert (status, headers["cache-control"]) == (200, "no-cache")
    assert ask(update, "/static/times.js", headers={"If-None-Match": headers["etag"]})[0] == 304
    assert ask(update, "/static/..%2fapp.py")[0] == 404
    assert ask(update, "/static/nothing.js")[0] == 404


def test_all_javascript_is_smaller_than_the_limit_of_a_page() -> None:
    assert sum(len(file.read_bytes()) for file in STATIC.iterdir() if file.name.endswith(".js")) < 2 * 120_000


@pytest.mark.parametrize("name", ["timeline", "trace"])
def test_every_module_that_a_page_imports_is_loaded_at_once(name: str) -> None:
    """Without ``modulepreload`` a browser finds a module only when it has read the one that imports it."""
    imported, found = set[str](), [f"{name}.js"]
    while found:
        text = (WEB / "static" / found.pop()).read_text()
        new = set(re.findall(r"""from "\./([\w-]+\.js)";""", text)) - imported
        imported |= new
        found += new
    template = (WEB / "templates" / f"{name}.html").read_text()
    listed = re.search(r"\{% for name in \((.+?)\) %\}\s*<link rel=\"modulepreload\"", template)
    assert listed is not None
    assert sorted(re.findall(r'"([^"]+)"', listed[1])) == sorted(imported)


@pytest.mark.parametrize("file", sorted((WEB / "static").glob("*.js")), ids=lambda file: file.name)
def test_no_module_of_the_pages_is_longer_than_500_lines(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 500


def test_kinds_have_two_letters_and_components_a_color() -> None:
    kinds = ("Pod", "ReplicaSet", "PersistentVolumeClaim", "ConfigMap", "Node", "x")
    assert [badge(kind) for kind in kinds] == ["Po", "Rs", "Pc", "Cm", "No", "X"]
    assert (color("kubelet"), color("kubectl")) == ("c4", "c0")
    assert color("my-operator") in ("c5", "c6", "c7")
