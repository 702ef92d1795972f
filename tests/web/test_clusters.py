"""Several clusters in one database: a request names one, and keeps it across the links of pages."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.pipeline.replay import replay
from kspan.query.traces import TraceFilter, list_traces
from kspan.store import Store, open_store
from kspan.web.app import make_app
from kspan.web.guard import Access
from kspan.web.history import History
from kspan.web.server import Server
from kspan.web.v1.endpoints import ENDPOINTS
from tests.browser.addresses import PAGES, addresses
from tests.recordings import recording
from tests.web.pages.site import Address, Node, read
from tests.web.test_server import ask
from tests.web.v1.test_stream import stream

PROD, STAGING, HOSTILE = "uid-of-prod", "uid-of-staging", "uid-of-a"
NAME = "a & <b>'\"#?/"
"""The name of a cluster: mark-up and everything that means something in an address."""


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clusters") / "db.sqlite"
    with open_store(str(path)) as store:
        for uid, name, scenario in (
            (PROD, "prod", "02-rolling-update"),
            (STAGING, "staging", "03-crashloop"),
            (HOSTILE, NAME, "02-rolling-update"),
        ):
            replay(store, read_frames([str(recording(scenario))]), built_in_rules(), cluster=uid)
            store.name_cluster(uid, name)
    return path


@pytest.fixture(scope="module")
def store(db: Path) -> Iterator[Store]:
    with open_store(str(db), read_only=True) as opened:
        yield opened


def serving(store: Store, own: str, **options: Any) -> Server:
    history = History(lambda _: (store, own), serves_sql=True, **options)
    server = Server("127.0.0.1:0", make_app({}, Access(hosts=None), history))
    server.start()
    return server


@pytest.fixture(scope="module")
def fleet(store: Store) -> Iterator[Address]:
    """As `kspan serve` of several clusters: none is its own."""
    server = serving(store, "", several=True)
    yield server.address
    server.stop()


@pytest.fixture(scope="module")
def alone(store: Store) -> Iterator[Address]:
    """As `kspan run`, or `kspan serve --cluster`: it answers for one."""
    server = serving(store, PROD)
    yield server.address
    server.stop()


def trace_ids(store: Store, cluster: str) -> list[str]:
    with store.reading("test") as connection:
        return [each.trace.trace_id for each in list_traces(connection, cluster, TraceFilter(), None)]


# /v1 and the Jaeger API ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted, uid", [("staging", STAGING), (STAGING, STAGING), (NAME, HOSTILE)])
def test_v1_answers_for_the_cluster_that_a_name_or_uid_means(
    fleet: Address, store: Store, wanted: str, uid: str
) -> None:
    status, body, headers = ask(fleet, "/v1/traces?" + urlencode({"cluster": wanted, "limit": 1000}))
    assert (status, headers["x-kspan-cluster"]) == (200, uid)
    assert [each["trace_id"] for each in json.loads(body)["items"]] == trace_ids(store, uid)


def test_a_server_of_several_clusters_wants_the_name_of_one(fleet: Address) -> None:
    for path in ("/v1/traces", "/v1/stream", "/api/services", "/api/v3/services"):
        status, body, _ = ask(fleet, path)
        assert status == 400, path
        assert "several clusters: choose one with the parameter cluster: " in body
        assert "staging (uid-of-staging)" in body


def test_an_unknown_cluster_is_not_found(fleet: Address) -> None:
    for path in ("/v1/traces", "/v1/stream", "/api/services", "/api/v3/services", "/"):
        status, body, _ = ask(fleet, f"{path}?cluster=nope")
        assert status == 404, path
        assert "nope" in body


def test_every_endpoint_accepts_a_cluster_and_its_document_says_so(fleet: Address) -> None:
    paths = json.loads(ask(fleet, "/v1/openapi.json")[1])["paths"]
    for path, operations in paths.items():
        (operation,) = operations.values()
        names = [each["name"] for each in operation.get("parameters", [])]
        assert ("cluster" in names) is (path != "/v1/clusters"), path


def test_the_clusters_are_listed_in_pages_with_names_and_times(fleet: Address, alone: Address) -> None:
    found = json.loads(ask(fleet, "/v1/clusters")[1])["items"]
    assert [(each["cluster"], each["name"]) for each in found] == [
        (HOSTILE, NAME),
        (PROD, "prod"),
        (STAGING, "staging"),
    ]
    assert all(each["first_at"] < each["last_at"] for each in found)
    first = json.loads(ask(fleet, "/v1/clusters?limit=2")[1])
    rest = json.loads(ask(fleet, "/v1/clusters?" + urlencode({"limit": 2, "cursor": first["next"]}))[1])
    assert [*first["items"], *rest["items"]] == found
    assert rest["next"] is None
    mine = json.loads(ask(alone, "/v1/clusters")[1])["items"]
    assert [each["cluster"] for each in mine] == [PROD]


def test_the_jaeger_api_answers_for_the_cluster_that_is_named(fleet: Address, store: Store) -> None:
    (first, *_) = trace_ids(store, STAGING)
    assert ask(fleet, f"/api/traces/{first}?cluster=staging")[0] == 200
    assert ask(fleet, f"/api/traces/{first}?cluster=prod")[0] == 404
    assert "kubelet" in json.loads(ask(fleet, "/api/services?cluster=staging")[1])["data"]


def test_a_statement_gets_the_cluster_that_is_named_and_needs_none_without_the_parameter(fleet: Address) -> None:
    def sql(statement: str, query: str = "") -> tuple[int, Any]:
        body = json.dumps({"statement": statement})
        status, text, _ = ask(fleet, f"/v1/sql{query}", "POST", {"Content-Type": "application/json"}, body)
        return status, json.loads(text)

    assert sql("SELECT :cluster", "?cluster=staging")[1]["rows"] == [[STAGING]]
    assert sql("SELECT count(*) FROM clusters")[1]["rows"] == [[3]]
    assert sql("SELECT :cluster")[0] == 400
    assert sql("SELECT :cluster", "?cluster=nope")[0] == 400


def test_the_stream_is_that_of_the_cluster_that_is_named(fleet: Address) -> None:
    with stream(fleet, "/v1/stream?cluster=staging") as one, stream(fleet, "/v1/stream?cluster=prod") as other:
        epochs = []
        for each in (one, other):
            assert each.answer.status == 200
            assert each.line().startswith("retry: ")
            epochs.append(each.line().partition("-")[0])
        assert epochs[0] != epochs[1], "each has its own news"


# Pages ---------------------------------------------------------------------------------------------------------------


def links(page: Node) -> list[str]:
    """The addresses on this server that a page leads to or reads."""
    found = [node.attributes.get(name, "") for node in all_of(page) for name in ("href", "data-href", "data-source")]
    return [each for each in found if each.startswith(("/", "?")) and not each.startswith(("/static/", "/logout"))]


def all_of(node: Node) -> Iterator[Node]:
    for child in node.children:
        yield child
        yield from all_of(child)


def pages_of(db: Path, store: Store, cluster: str) -> list[str]:
    """Addresses of pages that show the cluster: those of the database, with what this cluster has."""
    (first, *_) = trace_ids(store, cluster)
    with store.reading("test") as connection:
        uid = connection.exec_driver_sql(
            "SELECT object_uid FROM spans WHERE cluster = ? AND object_kind = 'Deployment' LIMIT 1", (cluster,)
        ).scalar_one()
    assert len(PAGES) == len(addresses(db))
    lists = ("/", "/traces", "/timeline", "/rollouts", "/objects")
    return [*lists, "/why", "/why/deploy/web", f"/traces/{first}", f"/objects/{quote(uid)}", "/traces?namespace=x"]


def in_cluster(path: str, name: str) -> str:
    return path + ("&" if "?" in path else "?") + urlencode({"cluster": name})


def test_every_link_and_form_of_every_page_keeps_the_cluster(fleet: Address, db: Path, store: Store) -> None:
    for path in pages_of(db, store, HOSTILE):
        page = read(fleet, in_cluster(path, NAME))
        found = links(page)
        assert len(found) > 5
        assert [each for each in found if parse_qs(urlsplit(each).query).get("cluster") != [NAME]] == [], path
        assert len(page.all("html", **{"data-cluster": NAME})) == 1, "for the scripts"
        for form in page.all("form"):
            if form.attributes.get("method") != "dialog":
                names = [each.attributes["value"] for each in form.all("input", name="cluster")]
                names += ["a select" for _ in form.all("select", name="cluster")]
                assert names in ([NAME], ["a select"]), (path, form.attributes)


def test_links_lead_to_pages_of_the_same_cluster(fleet: Address, db: Path, store: Store) -> None:
    followed = {link for path in pages_of(db, store, HOSTILE) for link in links(read(fleet, in_cluster(path, NAME)))}
    for link in sorted(each for each in followed if each.startswith("/"))[:80]:
        assert ask(fleet, link)[0] in (200, 303), link
    redirect = ask(fleet, in_cluster("/why?q=deploy/web", NAME))
    assert parse_qs(urlsplit(redirect[2]["location"]).query) == {"cluster": [NAME]}


def test_the_switch_lists_all_clusters_and_keeps_the_filters_of_a_list(fleet: Address) -> None:
    page = read(fleet, "/traces?namespace=shop&cluster=staging")
    (form,) = page.all("form", class_="cluster")
    assert form.attributes["action"] == "/traces"
    assert [each.attributes["value"] for each in form.all("option")] == sorted([NAME, "prod", "staging"])
    assert [each.text for each in form.all("option") if "selected" in each.attributes] == ["staging"]
    assert [(each.attributes["name"], each.attributes["value"]) for each in form.all("input")] == [
        ("namespace", "shop")
    ]


def test_the_switch_of_a_page_about_one_thing_leads_to_its_list(fleet: Address, store: Store) -> None:
    (first, *_) = trace_ids(store, STAGING)
    (form,) = read(fleet, f"/traces/{first}?cluster=staging").all("form", class_="cluster")
    assert form.attributes["action"] == "/traces"
    assert form.all("input") == []
    (form,) = read(fleet, "/why/deploy/crash?cluster=staging").all("form", class_="cluster")
    assert form.attributes["action"] == "/"


def test_without_a_name_the_first_cluster_is_shown_and_its_links_name_it(fleet: Address) -> None:
    page = read(fleet, "/traces")
    (form,) = page.all("form", class_="cluster")
    assert [each.text for each in form.all("option") if "selected" in each.attributes] == [NAME]
    assert {tuple(parse_qs(urlsplit(each).query)["cluster"]) for each in links(page)} == {(NAME,)}


def test_the_page_about_an_unknown_cluster_offers_the_others_and_its_links_work(fleet: Address) -> None:
    page = read(fleet, "/traces?cluster=nope", 404)
    assert [len(each.all("option")) for each in page.all("form", class_="cluster")] == [3]
    assert [each for each in links(page) if "cluster=" in each] == []


def test_with_one_cluster_nothing_on_the_pages_changes(alone: Address, db: Path, store: Store, tmp_path: Path) -> None:
    """A server of one cluster shows no switch, whatever else is in its database, and repeats no name in links."""
    with open_store(str(tmp_path / "one.sqlite")) as one:
        replay(one, read_frames([str(recording("02-rolling-update"))]), built_in_rules(), cluster=PROD)
        only = serving(one, PROD, several=True)
        try:
            for path in pages_of(db, store, PROD):
                page = ask(alone, path)[1]
                assert 'class="cluster"' not in page, path
                assert "cluster=" not in page
                assert "data-cluster" not in page
                if "time" not in path:
                    assert without_ages(page) == without_ages(ask(only.address, path)[1]), path
        finally:
            only.stop()


def without_ages(page: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+Z)?", "", page)


def test_a_server_of_one_cluster_knows_its_own_name_and_no_other(alone: Address) -> None:
    for mine in ("prod", PROD):
        assert ask(alone, "/v1/traces?" + urlencode({"cluster": mine}))[0] == 200
    status, body, _ = ask(alone, "/v1/traces?cluster=staging")
    assert (status, json.loads(body)["detail"]) == (404, "unknown cluster 'staging'")


def test_the_endpoints_of_all_clusters_are_the_only_ones_without_the_parameter() -> None:
    assert [each.path for each in ENDPOINTS if each.of_all] == ["/v1/clusters"]
