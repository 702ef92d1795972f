"""/v1 answers what the commands print with -o json, over histories of recordings on both databases."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from kspan.query.rollouts import Rollout
from kspan.query.view_rows import Failure, Termination
from kspan.store.schema.views import VIEWS
from tests.forking import forked
from tests.query.conftest import Histories, histories  # noqa: F401
from tests.web.pages.site import Address, site
from tests.web.test_server import ask

SCENARIO = "02-rolling-update"


@pytest.fixture
def address(histories: Histories) -> Iterator[Address]:  # noqa: F811
    known = histories(SCENARIO)
    with site(known.store, known.cluster) as found:
        yield found


@pytest.fixture(params=[SCENARIO, "03-crashloop"])
def both(histories: Histories, request: pytest.FixtureRequest) -> Iterator[tuple[Address, str, str]]:  # noqa: F811
    """The address of a history, its database and its cluster."""
    known = histories(request.param)
    with site(known.store, known.cluster) as found:
        yield found, known.url, known.cluster


def get(address: Address, path: str, _status: int = 200, /, **parameters: str) -> Any:
    found, body, headers = ask(address, f"{path}?{urlencode(parameters)}" if parameters else path)
    assert found == _status, body
    assert headers["content-type"] == ("application/json" if _status == 200 else "application/problem+json")
    return json.loads(body)


def pages(address: Address, path: str, **parameters: str) -> list[Any]:
    """All items of a list, in small pages."""
    items: list[Any] = []
    cursor = ""
    while True:
        page = get(address, path, **parameters, limit="3", **({"cursor": cursor} if cursor else {}))
        assert len(page["items"]) <= 3
        items += page["items"]
        if page["next"] is None:
            return items
        cursor = page["next"]


def printed(cluster: str, database: str, *arguments: str) -> Any:
    of_cluster = ["--cluster", cluster] if cluster else []
    command = [*forked(), *arguments, "--db", database, *of_cluster, "-o", "json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_pages_of_lists_have_what_the_commands_print(both: tuple[Address, str, str]) -> None:
    address, database, cluster = both
    assert pages(address, "/v1/traces") == printed(cluster, database, "traces", "--limit", "0")
    assert pages(address, "/v1/timeline") == printed(cluster, database, "timeline")
    order = "ORDER BY start_time DESC, trace_id DESC, span_id DESC"
    for view in ("rollouts", "failures", "terminations"):
        statement = f"SELECT * FROM {view} WHERE cluster = :cluster {order}"  # noqa: S608 - names of views
        rows = printed(cluster, database, "sql", statement)
        assert pages(address, f"/v1/{view}") == [{k: v for k, v in row.items() if k != "cluster"} for row in rows]


def test_answers_about_one_thing_are_what_the_commands_print(address: Address, histories: Histories) -> None:  # noqa: F811
    known = histories(SCENARIO)
    database, cluster = known.url, known.cluster
    trace_id = get(address, "/v1/traces", limit="1")["items"][0]["trace_id"]
    assert get(address, f"/v1/traces/{trace_id}") == printed(cluster, database, "trace", trace_id)
    web, at = "deploy/rolling-update/web", "2026-11-22T10:25:20Z"
    assert get(address, f"/v1/why/{web}") == printed(cluster, database, "why", web)
    assert get(address, "/v1/why/deploy/web", at=at) == printed(cluster, database, "why", "deploy/web", "--at", at)
    assert get(address, f"/v1/show/{web}", at=at) == printed(cluster, database, "show", web, "--at", at)
    assert get(address, f"/v1/diff/{web}") == printed(cluster, database, "diff", web)
    (stats,) = (each for each in printed("", database, "db", "stats") if each["cluster"] == cluster)
    found = get(address, "/v1/stats")
    assert found | {"size": 0} == stats | {"size": 0}


@pytest.mark.parametrize("kind, name", [(Rollout, "rollouts"), (Failure, "failures"), (Termination, "terminations")])
def test_rows_have_the_columns_of_their_view(kind: type[msgspec.Struct], name: str) -> None:
    (view,) = (each for each in VIEWS if each.name == name)
    assert ["cluster", *kind.__struct_fields__] == [column for column, *_ in view.columns]


def test_objects_are_found_by_kind_namespace_and_the_beginning_of_a_name(address: Address) -> None:
    def names(**given: str) -> list[str]:
        return [f"{each['kind']}/{each['name']}" for each in pages(address, "/v1/objects", **given)]

    assert names(kind="deploy") == ["Deployment/web"]
    assert names(kind="rs", name="web-f") == ["ReplicaSet/web-f7b9868c4"]
    existing, all_of_them = names(kind="pod"), names(kind="pod", deleted="true")
    assert set(existing) < set(all_of_them)
    assert names(namespace="nowhere") == []
    everything = pages(address, "/v1/objects", deleted="true")
    assert len({each["uid"] for each in everything}) == len(everything) > 10
    uid = pages(address, "/v1/objects", kind="deploy")[0]["uid"]
    found = get(address, f"/v1/objects/{uid}")
    assert (found["name"], found["state"]) == ("web", "4 of 4 replicas available")


@pytest.mark.parametrize(
    "given, count",
    [
        ({"text": "WEB:V2"}, 2),
        ({"text": "no such thing"}, 0),
        ({"outcome": "ok", "name": "web", "kind": "deploy"}, 4),
        ({"outcome": "failing"}, 0),
        ({"actor": "kubectl", "text": "replicas"}, 1),
    ],
)
def test_traces_are_found_by_outcome_and_text(address: Address, given: dict[str, str], count: int) -> None:
    assert len(pages(address, "/v1/traces", **given)) == count


@pytest.mark.parametrize(
    "path, given, status, detail",
    [
        ("/v1/traces", {"limti": "3"}, 400, "unknown parameter 'limti': did you mean 'limit'?"),
        ("/v1/traces", {"limit": "0"}, 400, "limit: invalid number '0': use 1 to 1000"),
        ("/v1/traces", {"limit": "9999"}, 400, "limit: invalid number '9999': use 1 to 1000"),
        ("/v1/traces", {"status": "good"}, 400, "status: unknown value 'good'"),
        ("/v1/traces", {"since": "soon"}, 400, "since: invalid time 'soon'"),
        ("/v1/traces", {"min_duration": "long"}, 400, "min_duration: invalid duration 'long'"),
        ("/v1/traces", {"cursor": "1AAAA"}, 400, "cursor: not one that this list has returned"),
        ("/v1/traces", {"name": "x" * 600}, 400, "name: longer than 512 characters"),
        ("/v1/traces", {"kind": "gadget"}, 404, "no object of kind 'gadget' is known"),
        ("/v1/timeline", {"errors": "maybe"}, 400, "errors: invalid value 'maybe': use true or false"),
        ("/v1/traces/zz", {}, 404, "invalid trace id 'zz'"),
        ("/v1/traces/" + "0" * 32, {}, 404, "no trace id starts with"),
        ("/v1/objects/nope", {}, 404, "no object has uid 'nope'"),
        ("/v1/why/pod/nope", {}, 404, "Pod nope is not known"),
        ("/v1/diff/deploy/web", {"from": "1m", "to": "2h"}, 400, "from is later than to"),
        ("/v1/nothing", {}, 404, "no such address"),
    ],
)
def test_a_mistake_is_a_problem_that_says_what_is_wrong(
    address: Address, path: str, given: dict[str, str], status: int, detail: str
) -> None:
    found = get(address, path, status, **given)
    assert found["status"] == status
    assert found["detail"].startswith(detail)
    assert set(found) == {"title", "status", "detail"}


def test_a_parameter_that_is_given_twice_is_refused(address: Address) -> None:
    status, body, _ = ask(address, "/v1/traces?name=a&name=b")
    assert (status, json.loads(body)["detail"]) == (400, "name: given more than once")


def test_a_closed_trace_is_read_once(address: Address) -> None:
    (trace,) = get(address, "/v1/traces", limit="1")["items"]
    path = f"/v1/traces/{trace['trace_id']}"
    status, body, headers = ask(address, path)
    assert (status, headers["cache-control"]) == (200, "private, no-cache")
    status, again, same = ask(address, path, headers={"If-None-Match": f'"other", W/{headers["etag"]}'})
    assert (status, again, same["etag"]) == (304, "", headers["etag"])
    assert ask(address, path, headers={"If-None-Match": '"other"'})[1] == body
    assert "etag" not in ask(address, "/v1/traces")[2], "a list changes"
