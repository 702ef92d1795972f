"""Jaeger's query APIs over histories of recordings, on both databases, asked as Jaeger UI and Grafana do."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest

from kspan.times import SECOND, parse_time
from kspan.web.app import make_app
from kspan.web.guard import Access
from kspan.web.history import History
from kspan.web.jaeger import v3
from kspan.web.server import Server
from tests.query.conftest import Histories, histories  # noqa: F401
from tests.web.test_server import ask

SCENARIO = "02-rolling-update"
TEN, ELEVEN = "2026-11-22T10:00:00.000Z", "2026-11-22T11:00:00.000Z"
AROUND = {"query.startTimeMin": TEN, "query.startTimeMax": ELEVEN}


@pytest.fixture
def address(histories: Histories) -> Iterator[tuple[str, int]]:  # noqa: F811
    known = histories(SCENARIO)
    server = Server("127.0.0.1:0", make_app({}, Access(hosts=None), History(lambda _: (known.store, known.cluster))))
    server.start()
    yield server.address
    server.stop()


def asked(address: tuple[str, int], path: str, **parameters: str) -> tuple[int, Any]:
    status, body, headers = ask(address, f"{path}?{urlencode(parameters)}" if parameters else path)
    assert headers["content-type"] == "application/json"
    return status, json.loads(body)


def microseconds(text: str) -> str:
    return str(parse_time(text) // 1000)


def update(address: tuple[str, int]) -> str:
    """The trace of the image change."""
    window = {"query.startTimeMin": "2026-11-22T10:25:04Z", "query.startTimeMax": "2026-11-22T10:25:06Z"}
    found = asked(address, "/api/v3/trace-summaries", **{"query.serviceName": "kubectl"}, **window)[1]["summaries"]
    assert len(found) == 1
    return str(found[0]["traceId"])


def test_services_and_operations_are_those_of_the_spans(address: tuple[str, int]) -> None:
    status, old = asked(address, "/api/services")
    assert (status, old["errors"]) == (200, None)
    assert {"kubectl", "kubelet", "default-scheduler"} <= set(old["data"])
    assert asked(address, "/api/v3/services") == (200, {"services": old["data"]})
    _, of_kubelet = asked(address, "/api/services/kubelet/operations")
    assert "Pod.Pulled" in of_kubelet["data"]
    assert not any(" " in name for name in of_kubelet["data"]), "operations do not have the names of objects"
    _, new = asked(address, "/api/v3/operations", service="kubelet")
    assert new == {"operations": [{"name": name, "spanKind": "internal"} for name in of_kubelet["data"]]}
    assert asked(address, "/api/operations", service="kubelet")[1]["data"] == new["operations"]


def test_a_search_of_jaeger_ui_finds_the_traces_of_a_component(address: tuple[str, int]) -> None:
    _, answer = asked(address, "/api/v3/trace-summaries", **{"query.serviceName": "kubectl"}, **AROUND)
    found = msgspec.convert(answer, v3.Summaries, strict=True).summaries
    assert [each.rootOperationName for each in found].count("Deployment.Update") == 3
    for each in found:
        assert each.spanCount == sum(service.spanCount for service in each.services)
        assert int(each.minStartTimeUnixNano) <= int(each.maxEndTimeUnixNano)
        assert "kubectl" in [service.name for service in each.services]


def test_a_search_without_a_match_is_an_empty_list_or_404(address: tuple[str, int]) -> None:
    nobody = {"query.serviceName": "nobody", **AROUND}
    assert asked(address, "/api/v3/trace-summaries", **nobody) == (200, {"summaries": []})
    nothing = {"error": {"httpCode": 404, "message": "No traces found"}}
    assert asked(address, "/api/v3/traces", **nobody) == (404, nothing)
    assert asked(address, f"/api/v3/traces/{'0' * 31}1") == (404, nothing)
    window = {"start": microseconds(TEN), "end": microseconds(ELEVEN)}
    assert asked(address, "/api/traces", service="nobody", **window)[1]["data"] == []
    missing = {"data": None, "total": 0, "limit": 0, "offset": 0, "errors": [{"code": 404, "msg": "trace not found"}]}
    assert asked(address, f"/api/traces/{'0' * 31}1") == (404, missing)


def test_a_search_of_grafana_finds_the_same_traces(address: tuple[str, int]) -> None:
    window = {"start": microseconds(TEN), "end": microseconds(ELEVEN), "limit": "20"}
    old = asked(address, "/api/traces", service="kubectl", **window)[1]["data"]
    new = asked(address, "/api/v3/trace-summaries", **{"query.serviceName": "kubectl"}, **AROUND)[1]["summaries"]
    assert [trace["traceID"] for trace in old] == [trace["traceId"] for trace in new]


@pytest.mark.parametrize(
    "narrower, expected",
    [
        ({"query.operationName": "Deployment.Update"}, 3),
        ({"query.operationName": "Pod.Update"}, 0),
        ({"query.attributes": '{"k8s.deployment.name":"web"}'}, 3),
        ({"query.attributes": '{"k8s.deployment.name":"other"}'}, 0),
        ({"query.attributes": '{"error":"true"}'}, 0),
        ({"query.durationMin": "1h"}, 0),
        ({"query.searchDepth": "1"}, 1),
    ],
    ids=str,
)
def test_a_search_is_narrowed(address: tuple[str, int], narrower: dict[str, str], expected: int) -> None:
    wanted = {"query.serviceName": "kubectl", "query.operationName": "Deployment.Update", **AROUND, **narrower}
    assert len(asked(address, "/api/v3/trace-summaries", **wanted)[1]["summaries"]) == expected


def test_the_waterfall_has_a_tree_with_the_names_of_objects(address: tuple[str, int]) -> None:
    (trace,) = asked(address, f"/api/traces/{update(address)}")[1]["data"]
    by_id = {span["spanID"]: span for span in trace["spans"]}
    roots = [span for span in trace["spans"] if not span["references"]]
    assert [root["operationName"] for root in roots] == ["Deployment.Update web"]
    for span in trace["spans"]:
        assert trace["processes"][span["processID"]]["serviceName"]
        for first in span["references"][:1]:
            assert first["refType"] == "CHILD_OF"
            assert by_id[first["spanID"]]["startTime"] <= span["startTime"]
    pods = {span["operationName"] for span in trace["spans"] if span["operationName"].startswith("Pod.Create ")}
    assert len(pods) == 2, "two Pods are two different rows"


def test_processes_have_what_leads_from_a_trace_to_logs(address: tuple[str, int]) -> None:
    (trace,) = asked(address, f"/api/traces/{update(address)}")[1]["data"]
    pulled = next(span for span in trace["spans"] if span["operationName"].startswith("Pod.Pulled "))
    tags = {tag["key"]: tag["value"] for tag in trace["processes"][pulled["processID"]]["tags"]}
    assert tags["k8s.namespace.name"] == "rolling-update"
    assert pulled["operationName"] == f"Pod.Pulled {tags['k8s.pod.name']}"
    assert tags["k8s.cluster.uid"] == SCENARIO


def test_a_trace_in_version_3_is_otlp_with_hexadecimal_ids_and_integers(address: tuple[str, int]) -> None:
    trace_id = update(address)
    _, answer = asked(address, f"/api/v3/traces/{trace_id}")
    spans = [
        span
        for resource in answer["result"]["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert {span["traceId"] for span in spans} == {trace_id}
    assert {span["kind"] for span in spans} == {1}
    old = asked(address, f"/api/traces/{trace_id}")[1]["data"][0]["spans"]
    assert {span["spanId"] for span in spans} == {span["spanID"] for span in old}


def test_a_link_to_another_trace_follows_from_it(histories: Histories, address: tuple[str, int]) -> None:  # noqa: F811
    _, answer = asked(address, "/api/traces", start=microseconds(TEN), end=microseconds(ELEVEN))
    links = [
        (reference["refType"], reference["traceID"] == span["traceID"])
        for trace in answer["data"]
        for span in trace["spans"]
        for reference in span["references"]
    ]
    assert set(links) <= {("CHILD_OF", True), ("FOLLOWS_FROM", False)}


def test_dependencies_count_what_one_component_caused_in_another(address: tuple[str, int]) -> None:
    end = str(parse_time(ELEVEN) // 1_000_000)
    edges = asked(address, "/api/dependencies", endTs=end, lookback="3600000")[1]["data"]
    counts = {(edge["parent"], edge["child"]): edge["callCount"] for edge in edges}
    assert counts["kubectl", "deployment-controller"] >= 3
    assert asked(address, "/api/dependencies", endTs=end, lookback="1")[1]["data"] == []


@pytest.mark.parametrize(
    "path, parameters, status",
    [
        ("/api/traces", {"limit": "x"}, 400),
        ("/api/traces/zz", {}, 400),
        ("/api/dependencies", {}, 400),
        ("/api/operations", {}, 400),
        ("/api/v3/trace-summaries", {}, 400),
        ("/api/v3/traces", {"query.startTimeMin": "x", "query.startTimeMax": "y"}, 400),
    ],
)
def test_a_mistake_is_an_error_in_the_form_of_its_api(
    address: tuple[str, int], path: str, parameters: dict[str, str], status: int
) -> None:
    found, answer = asked(address, path, **parameters)
    error = answer["error"] if "/v3/" in path else answer["errors"][0]
    assert (found, error["httpCode"] if "/v3/" in path else error["code"]) == (status, status)


def test_a_service_with_a_slash_and_hostile_names_are_only_names(address: tuple[str, int]) -> None:
    for name in ("a/b", "<script>", "' OR 1=1 --", "\u202e", "%"):
        assert asked(address, f"/api/services/{quote(name, safe='')}/operations")[1]["data"] == []


def test_a_question_that_takes_too_long_is_504(histories: Histories) -> None:  # noqa: F811
    known = histories(SCENARIO)
    slow = History(lambda _: (known.store, known.cluster), seconds=1e-9)
    server = Server("127.0.0.1:0", make_app({}, Access(hosts=None), slow))
    server.start()
    try:
        end = str(parse_time(ELEVEN) // 1_000_000)
        status, answer = asked(server.address, "/api/dependencies", endTs=end, lookback=str(10 * SECOND))
    finally:
        server.stop()
    assert status in (200, 504), "a question that the database answers at once is not stopped"
    assert answer
