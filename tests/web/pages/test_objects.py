"""The pages of objects without a browser, over histories of recordings on both databases."""

import pytest

from kspan.model import Delta, OwnerRow
from kspan.query.objects import life
from kspan.query.objects.family import SHOWN
from kspan.store import Store
from tests.query.made import CLUSTER, commit, make_object
from tests.web.pages.site import Address, Node, read, site
from tests.web.test_server import ask


def follow(address: Address, path: str) -> Node:
    """The page that an address with a name leads to."""
    status, _, headers = ask(address, path)
    assert status == 303
    return read(address, headers["location"])


def section(page: Node, heading: str) -> Node:
    parts = page.all("section") + page.all("form", class_="panel")
    return next(each for each in parts if each.all("h2") and each.all("h2")[0].text.startswith(heading))


def boxes(page: Node) -> list[Node]:
    """The links in the wide chart of owners and dependents."""
    return page.all("div", class_="wide")[0].all("a", class_="box")


def test_objects_are_listed_and_found_by_the_beginning_of_their_name(update: Address) -> None:
    page = read(update, "/objects?name=web-f&kind=rs")
    assert [link.text for link in page.all("tbody")[0].all("a")] == ["Rsweb-f7b9868c4 ReplicaSet"]
    assert read(update, "/objects?name=deploy/web").all("tbody")[0].all("a")[0].text == "Deweb Deployment"
    assert "No object matches." in read(update, "/objects?name=nothing").text
    assert len(read(update, "/objects?deleted=1").all("tbody")[0].all("tr")) > 10
    assert "not one that this list has returned" in read(update, "/objects?cursor=x", 404).text


def test_a_deployment_has_revisions_with_author_and_difference(update: Address) -> None:
    page = follow(update, "/objects/deploy/rolling-update/web")
    assert page.all("h1")[0].text == "Deployment rolling-update/web"
    revisions = page.all("details", class_="revision")
    newest = revisions[0]
    assert "by kubectl" in newest.all("summary")[0].text
    assert "open" in newest.attributes
    lines = [line.text for line in newest.all("div", class_="diff")[0].all("div")]
    assert any(line.startswith("-") and line.endswith("web:v2") for line in lines)
    assert any(line.startswith("+") and line.endswith("web:v1") for line in lines)
    assert [track.text for track in page.all("div", class_="tracks")[0].all("span")][:2] == ["happened", "exists"]
    assert {"web-f7b9868c4", "web-854b7f4f"} <= {box.all("span", class_="name")[0].text for box in boxes(page)}
    assert "image: registry.example.com/shop/web:v1" in section(page, "Manifest").text
    assert "managedFields" not in page.text


def test_a_pod_that_is_gone_looks_like_one_that_exists_and_says_so(update: Address) -> None:
    page = follow(update, "/objects/pod/rolling-update/web-854b7f4f-9xzlt")
    assert page.all("h1")[0].text.endswith("gone")
    assert [box.all("span", class_="who")[0].text for box in boxes(page)[:2]] == ["Deweb", "Rsweb-854b7f4f"]
    assert "deleted by replicaset-controller" in page.all("div", class_="facts")[0].text
    assert "Completed" in section(page, "Ends of containers").text
    assert "Killing" in section(page, "What happened").text
    assert section(page, "Traces").all("a")


def test_an_object_is_shown_as_it_was_at_a_time(update: Address) -> None:
    status, _, headers = ask(update, "/objects/deploy/web")
    assert status == 303
    page = read(update, headers["location"] + "?at=2026-11-22T10:25:20Z")
    assert "image: registry.example.com/shop/web:v2" in section(page, "Manifest").text
    assert "10:25:49" not in section(page, "Revisions").text


REPLICAS = "/objects/rs/rolling-update/web-f7b9868c4"


def family(address: Address, at: str = "") -> dict[str, Node]:
    """Name -> box in the chart of a ReplicaSet."""
    page = read(address, ask(address, REPLICAS)[2]["location"] + (f"?at={at}" if at else ""))
    return {box.all("span", class_="name")[0].text: box for box in boxes(page)}


def test_the_chart_shows_what_exists_and_what_is_gone(update: Address) -> None:
    now = family(update)
    gone = {"web-f7b9868c4-6gr9w", "web-f7b9868c4-xv25b"}
    assert {name for name, box in now.items() if box.has("class_", "gone")} == gone
    assert {name for name, box in now.items() if box.has("class_", "ok")} == set(now) - gone
    assert "gone 2026-11-22 10:25:09" in now["web-f7b9868c4-6gr9w"].text
    assert "Running, ready" in now["web-f7b9868c4-4gb4j"].text


def test_the_chart_of_an_earlier_time_has_nothing_of_later_and_nothing_gone_later(update: Address) -> None:
    then = family(update, "2026-11-22T10:25:04Z")
    assert set(then) == {"web", "web-f7b9868c4-6gr9w", "web-f7b9868c4-xv25b"}
    assert not any(box.has("class_", "gone") for box in then.values())
    assert all("?at=2026-11-22T10%3A25%3A04" in box.attributes["href"] for box in then.values())
    between = family(update, "2026-11-22T10:25:30Z")
    assert {name for name, box in between.items() if box.has("class_", "gone")} == set(then) - {"web"}


def test_a_pod_that_was_deleted_later_is_not_gone_at_an_earlier_time(update: Address) -> None:
    location = ask(update, "/objects/pod/rolling-update/web-854b7f4f-9xzlt")[2]["location"]
    page = read(update, location + "?at=2026-11-22T10:25:20Z")
    assert "gone" not in page.all("div", class_="head")[0].text
    assert "Ends of containers" not in page.text


def test_the_chart_has_no_style_attribute_and_nothing_that_a_policy_forbids(update: Address) -> None:
    body = ask(update, ask(update, REPLICAS)[2]["location"])[1]
    assert " style=" not in body
    assert "<script>" not in body


def test_the_occurrences_of_an_object_are_in_pages(update: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "OCCURRENCES", 7)
    path = ask(update, "/objects/deploy/rolling-update/web")[2]["location"]
    found: list[str] = []
    page, query = read(update, path), ""
    while True:
        happened = section(page, "What happened")
        found += [link.attributes["href"] for link in happened.all("li") for link in link.all("a")]
        links = {link.text: link.attributes["href"] for link in happened.all("a", class_="button")}
        assert ("Newest" in links) is bool(query)
        if "Older" not in links:
            break
        query = links["Older"].split("#")[0]
        page = read(update, path + query)
    assert len(found) == len(set(found)) == 20
    assert "not one that this list has returned" in read(update, path + "?before=x", 404).text


def test_the_ends_of_a_container_that_crashes_are_listed_with_their_code(crash: Address) -> None:
    pod = read(crash, "/objects?kind=pod&deleted=1").all("tbody")[0].all("a")[0].attributes["href"]
    ends = section(read(crash, pod), "Ends of containers")
    assert len(ends.all("tbody")[0].all("tr")) >= 3
    assert "Error" in ends.text


@pytest.mark.parametrize("path", ["/objects/nothing", "/objects/pod/nothing", "/objects/pod/a/b", "/objects/x?at=soon"])
def test_what_is_not_there_is_a_page_that_says_so(update: Address, path: str) -> None:
    assert read(update, path, 404).all("main")[0].text


def test_two_versions_are_shown_side_by_side(update: Address) -> None:
    location = ask(update, "/objects/deploy/web")[2]["location"]
    versions = [box.attributes["value"] for box in read(update, location).all("input", name="version")]
    assert len(versions) >= 3
    path = location.replace("/objects/", "/versions/")
    found = read(update, f"{path}?version={versions[0]}&version={versions[-1]}")
    heads = [each.attributes["datetime"] for each in found.all("thead")[0].all("time")]
    assert heads == sorted(heads), "the earlier version is on the left"
    rows = [[cell.text for cell in row.all("td")] for row in found.all("tbody")[0].all("tr")]
    assert ["replicas: 2", "replicas: 4"] in rows
    assert read(update, f"{path}?version=1", 400).text
    assert read(update, f"{path}?version=1&version=2", 404).text


def test_more_dependents_than_the_chart_has_are_in_a_list(store: Store) -> None:
    owner = make_object("ReplicaSet", "web", resource_version="1")
    pods = [make_object("Pod", f"web-{number:03}", owner_uid=owner.uid, resource_version="1") for number in range(30)]
    commit(store, objects=[owner, *pods])
    with site(store, CLUSTER) as address:
        page = read(address, f"/objects/{owner.uid}")
    for chart in page.all("div", class_="chart"):
        assert len(chart.all("a", class_="box")) == SHOWN + 1
        more = chart.all("a", class_="more")[0]
        assert (more.text, more.attributes["href"]) == ("and 6 more", "#dependents")
    assert len(page.all("section", id="dependents")[0].all("li")) == 30


def test_an_owner_that_is_only_named_by_others_has_no_link(store: Store) -> None:
    pod = make_object("Pod", "web-1", resource_version="1", owner_uid="app")
    edge = OwnerRow(pod.uid, "app", "example.com/v1", "Application", "web", controller=True)
    store.commit(CLUSTER, 1, [], [], Delta(objects=[pod], owners=[edge]))
    with site(store, CLUSTER) as address:
        chart = read(address, f"/objects/{pod.uid}").all("div", class_="wide")[0]
    assert chart.all("a", class_="box") == []
    assert chart.all("span", class_="unknown")[0].all("span", class_="name")[0].text == "web"
