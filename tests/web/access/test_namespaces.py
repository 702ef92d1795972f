"""An asker sees only namespaces whose Events the asker may list: query APIs and pages, on both databases."""

import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from kspan.ingest.watch import connect
from kspan.ingest.watch.client.reviews import Reviews
from kspan.model import SpanLink
from kspan.query.rollouts import RolloutFilter, list_rollouts
from kspan.query.traces import read_traces
from kspan.query.visible import EVERYTHING, NOTHING, Visible
from kspan.store.schema import tables as schema
from kspan.times import parse_time
from kspan.web.access.doors import CACHED_S, PREFIX, Delegated
from kspan.web.app import make_app
from kspan.web.guard import Access
from kspan.web.history import History
from kspan.web.server import Server
from kspan.web.v1.endpoints import ENDPOINTS
from tests.apiserver import ApiServer
from tests.query.conftest import Histories, histories  # noqa: F401
from tests.query.conftest import History as Known
from tests.web.test_server import ask

SCENARIO = "02-rolling-update"
MINE = "rolling-update"
ALICE, ADMIN = "token-of-alice", "token-of-the-administrator"
START, END = parse_time("2026-11-01T00:00:00Z"), parse_time("2026-12-01T00:00:00Z")
OLD = {"start": str(START // 1000), "end": str(END // 1000), "limit": "1000"}
NEW = {
    "query.startTimeMin": "2026-11-01T00:00:00Z",
    "query.startTimeMax": "2026-12-01T00:00:00Z",
    "query.searchDepth": "1000",
}


class Setup:
    """A server over a history, whose askers an API server knows."""

    def __init__(self, api: ApiServer, connection: Any, known: Known) -> None:
        self.api, self.known = api, known
        self.now = 0.0
        self.door = Delegated(Reviews(connection), by_namespace=True, clock=lambda: self.now)
        self.history = History(lambda _: (known.store, known.cluster))
        self.server = Server("127.0.0.1:0", make_app({}, Access(hosts=None, door=self.door), self.history))

    def ask(self, path: str, token: str = ALICE, **parameters: Any) -> tuple[int, str]:
        target = f"{path}?{urlencode(parameters, doseq=True)}" if parameters else path
        return ask(self.server.address, target, headers={"Authorization": f"Bearer {token}"})[:2]

    def traces(self) -> dict[str, set[str]]:
        """The namespaces of each trace of the history, read without any filter."""
        with self.known.store.reading("test") as connection:
            spans = schema.spans
            query = select(spans.c.trace_id, spans.c.object_namespace).where(spans.c.cluster == self.known.cluster)
            found: dict[str, set[str]] = {}
            for trace_id, namespace in connection.execute(query):
                found.setdefault(trace_id, set()).add(namespace)
            return found


@pytest.fixture
def setup(histories: Histories, tmp_path: Path) -> Iterator[Setup]:  # noqa: F811
    with ApiServer(token="own") as api:
        api.reviewed.add(ALICE, "alice")
        api.reviewed.add(ADMIN, "admin")
        api.reviewed.paths |= {("alice", f"{PREFIX}/*"), ("admin", f"{PREFIX}/*")}
        api.reviewed.lists |= {("alice", "events", MINE), ("admin", "events", "")}
        connection = connect(str(api.kubeconfig(tmp_path / "kubeconfig", token="own")))
        made = Setup(api, connection, histories(SCENARIO))
        made.server.start()
        try:
            yield made
        finally:
            made.server.stop()
            connection.close()


def everything(setup: Setup, token: str) -> str:
    """The answers of all endpoints to one asker, also for the ids of all traces."""
    ids = sorted(setup.traces())
    answers = [
        setup.ask("/api/services", token),
        setup.ask("/api/v3/services", token),
        setup.ask("/api/v3/operations", token),
        setup.ask("/api/dependencies", token, endTs=str(END // 1_000_000), lookback=str(30 * 86_400_000)),
        setup.ask("/api/traces", token, **OLD),
        setup.ask("/api/traces", token, traceID=ids),
        setup.ask("/api/v3/trace-summaries", token, **NEW),
        setup.ask("/api/v3/traces", token, **NEW),
    ]
    for service in json.loads(setup.ask("/api/services", ADMIN)[1])["data"]:
        answers += [
            setup.ask(f"/api/services/{service}/operations", token),
            setup.ask("/api/operations", token, service=service),
            setup.ask("/api/traces", token, service=service, **OLD),
        ]
    return "\n".join(body for _, body in answers)


def words_of(setup: Setup) -> tuple[set[str], set[str]]:
    """The ids of the visible traces, and the ids, names and texts that only other traces have."""
    namespaces = setup.traces()
    mine = {trace_id for trace_id, found in namespaces.items() if found == {MINE}}
    with setup.known.store.reading("test") as connection:
        whole = read_traces(connection, setup.known.cluster, sorted(namespaces))
    words, own = {""}, ""
    for trace, spans in whole:
        if trace.trace_id in mine:
            own += repr(trace) + repr([replace(span, links=[]) for span in spans])
            continue
        words.add(trace.trace_id)
        for span in spans:
            words |= {span.span_id, span.object_name, span.object_uid, span.service, span.name, span.message}
    # A Pod of a namespace names its Node, and the components that wrote to it.
    hidden = {word for word in words if word not in own}
    assert len(hidden) > 50, "the history has something to hide"
    return mine, hidden


def test_nothing_of_another_namespace_is_in_any_answer(setup: Setup) -> None:
    mine, hidden = words_of(setup)
    seen = json.dumps(everything(setup, ALICE))
    assert [word for word in hidden if json.dumps(json.dumps(word))[3:-3] in seen] == []
    assert all(trace_id in seen for trace_id in mine), "and nothing else is hidden"
    all_of_it = json.dumps(everything(setup, ADMIN))
    assert [trace_id for trace_id in setup.traces() if trace_id not in all_of_it] == []


def test_nothing_of_another_namespace_is_on_any_page(setup: Setup) -> None:
    mine, hidden = words_of(setup)
    namespaces = {namespace for found in setup.traces().values() for namespace in found if namespace != MINE}
    assert {"kube-system", "default"} <= namespaces
    pages = ["/", "/traces", "/traces?status=open", "/traces?actor=kubelet", "/traces?min_duration=1ms", "/rollouts"]
    pages += [f"{page}?since=2026-11-01T00:00:00Z" for page in ("/traces", "/rollouts")]
    pages += [
        f"{page}?{query}" for page in ("/traces", "/rollouts") for query in ("kind=deploy", "kind=node", "kind=x")
    ]
    pages += ["/traces?kind=deploy&name=web", f"/traces?namespace={MINE}", f"/why/deploy/{MINE}/web"]
    text = ""
    for page in pages:
        status, body = setup.ask(page)
        assert status == 200, page
        text += body
    seen = html.unescape(text)
    assert [word for word in hidden if word in seen] == []
    assert sum(trace_id in seen for trace_id in mine) > 1
    assert "registry.example.com/shop/web:v2" in seen
    of_admin = html.unescape("".join(setup.ask(page, ADMIN)[1] for page in pages))
    assert sum(word in of_admin for word in hidden) > 10


def test_a_filter_for_another_namespace_finds_nothing(setup: Setup) -> None:
    for page in ("/traces", "/rollouts"):
        missing = setup.ask(f"{page}?namespace=nowhere&since=2026-11-01T00:00:00Z")
        for namespace in ("kube-system", "default"):
            status, body = setup.ask(f"{page}?namespace={namespace}&since=2026-11-01T00:00:00Z")
            assert (status, body.replace(namespace, "nowhere")) == missing


def test_why_answers_for_another_namespace_as_for_what_does_not_exist(setup: Setup) -> None:
    with setup.known.store.reading("test") as connection:
        objects = schema.objects.c
        query = select(objects.kind, objects.namespace, objects.name).where(objects.cluster == setup.known.cluster)
        known = {(kind, inside, name) for kind, inside, name in connection.execute(query)}
    others = {place for place in known if place[1] != MINE}
    assert len(others) > 10
    assert "Node" in {kind for kind, namespace, _ in others if not namespace}

    answers: dict[tuple[str, str], tuple[int, str]] = {}
    for kind, namespace, name in sorted(others):
        for inside in {namespace, MINE} - {""}:
            if (kind, inside, name) not in known - others:
                if (kind, inside) not in answers:
                    answers[kind, inside] = setup.ask(f"/why/{kind}/{inside}/no-such-object")
                status, missing = answers[kind, inside]
                assert status == 404
                assert setup.ask(f"/why/{kind}/{inside}/{name}") == (404, missing.replace("no-such-object", name))
        status, body = setup.ask(f"/why/{kind}/{name}")
        assert status == 404
        assert "is not known: name its namespace" in body


def test_whole_spans_in_an_answer_of_why_have_nothing_of_another_namespace(setup: Setup) -> None:
    _, hidden = words_of(setup)
    with setup.known.store.reading("test") as connection:
        objects = schema.objects.c
        query = select(objects.kind, objects.name).where(
            objects.cluster == setup.known.cluster, objects.namespace == MINE
        )
        places = list(connection.execute(query))
    answers = [setup.ask(f"/v1/why/{kind}/{MINE}/{name}?rows=true") for kind, name in places]
    whole = [json.loads(body)["rows"] for status, body in answers if status == 200]
    assert sum(len(each["links"]) for each in whole) > 20
    seen = "".join(body for _, body in answers)
    assert [word for word in hidden if word in seen] == []


def test_statements_are_only_for_those_who_see_everything(setup: Setup) -> None:
    setup.history.serves_sql = True
    for token, status in ((ALICE, 403), (ADMIN, 200), ("nobody", 401)):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        assert ask(setup.server.address, "/v1/sql", "POST", headers, '{"statement": "SELECT 1"}')[0] == status
    setup.api.reviewed.paths.clear()
    setup.now += CACHED_S
    headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"}
    assert ask(setup.server.address, "/v1/sql", "POST", headers, '{"statement": "SELECT 1"}')[0] == 403


def test_a_rollout_of_another_namespace_is_not_compared(setup: Setup) -> None:
    with setup.known.store.reading("test") as connection:
        rollouts = list_rollouts(connection, setup.known.cluster, RolloutFilter(), 100)
    assert rollouts
    chosen = f"rollout={rollouts[0].trace_id}.{rollouts[0].span_id}"
    assert setup.ask(f"/rollouts/compare?{chosen}&{chosen}")[0] == 200
    setup.api.reviewed.lists.clear()
    setup.now += CACHED_S
    status, body = setup.ask(f"/rollouts/compare?{chosen}&{chosen}")
    assert status == 404
    assert f"no rollout is span {rollouts[0].span_id}" in body
    missing = setup.ask(f"/rollouts/compare?rollout={'0' * 32}.{'0' * 16}&{chosen}")
    assert missing[0] == 404
    for known, zeros in ((rollouts[0].trace_id, "0" * 32), (rollouts[0].span_id, "0" * 16)):
        body = body.replace(known, zeros)
    assert body == missing[1]


def test_a_trace_of_another_namespace_is_answered_like_one_that_does_not_exist(setup: Setup) -> None:
    hidden = [trace_id for trace_id, namespaces in setup.traces().items() if namespaces != {MINE}]
    assert hidden
    for path in ("/api/traces/{}", "/api/v3/traces/{}"):
        missing = setup.ask(path.format("0" * 31 + "1"))
        assert missing[0] == 404
        for trace_id in hidden:
            assert setup.ask(path.format(trace_id)) == missing
            assert setup.ask(path.format(trace_id), ADMIN)[0] == 200
    services = json.loads(setup.ask("/api/services", ADMIN)[1])["data"]
    others = [name for name in services if name not in json.loads(setup.ask("/api/services")[1])["data"]]
    assert others
    for service in others:
        assert setup.ask("/api/traces", service=service, **OLD) == setup.ask("/api/traces", service="nobody", **OLD)


def test_a_search_is_as_long_as_asked_although_newer_traces_are_hidden(setup: Setup) -> None:
    mine = [trace_id for trace_id, namespaces in setup.traces().items() if namespaces == {MINE}]
    found = json.loads(setup.ask("/api/traces", **{**OLD, "limit": "2"})[1])["data"]
    assert len(found) == 2
    assert {trace["traceID"] for trace in found} <= set(mine)


def test_rights_in_no_namespace_show_nothing(setup: Setup) -> None:
    setup.api.reviewed.lists.discard(("alice", "events", MINE))
    assert json.loads(setup.ask("/api/services")[1])["data"] == []
    assert json.loads(setup.ask("/api/traces", **OLD)[1])["data"] == []
    assert setup.ask("/api/v3/traces", **NEW)[0] == 404


def test_a_right_that_is_taken_away_ends_after_ten_seconds(setup: Setup) -> None:
    assert json.loads(setup.ask("/api/services")[1])["data"]
    setup.api.reviewed.lists.clear()
    setup.now += CACHED_S
    assert json.loads(setup.ask("/api/services")[1])["data"] == []


def test_each_namespace_is_reviewed_once_in_ten_seconds(setup: Setup) -> None:
    for _ in range(3):
        setup.ask("/api/services")
        setup.ask("/api/traces", **OLD)
    namespaces = {namespace for found in setup.traces().values() for namespace in found}
    paths = 2
    assert setup.api.requests_seen("authorization.k8s.io/v1/subjectaccessreviews") <= len(namespaces) + paths


def test_if_the_api_server_fails_within_a_question_nothing_is_shown(setup: Setup) -> None:
    body = json.loads(setup.ask("/api/services")[1])
    assert body["data"]
    setup.api.forbid("authorization.k8s.io/v1/subjectaccessreviews", "create")
    setup.now += CACHED_S
    status, text = setup.ask("/api/services")
    assert status == 503
    assert "kubectl" not in text


def test_a_question_about_the_whole_cluster_is_refused_to_those_who_see_a_part(setup: Setup) -> None:
    whole = [endpoint.path for endpoint in ENDPOINTS if endpoint.whole]
    assert whole
    for path in whole:
        assert setup.ask(path, ADMIN)[0] == 200
        status, text = setup.ask(path)
        assert (status, json.loads(text)["detail"]) == (
            403,
            "this is shown only to those who may list the Events of all namespaces",
        )


def test_links_into_hidden_traces_are_left_out(setup: Setup) -> None:
    limited = Visible(lambda namespace: namespace == MINE)
    namespaces = setup.traces()
    mine, other = (trace_id for trace_id, found in namespaces.items() if found == {MINE}), "f" * 32
    here, there = next(mine), next(mine)
    hidden = next(trace_id for trace_id, found in namespaces.items() if MINE not in found)
    cluster = setup.known.cluster
    with setup.known.store.reading("test") as connection:
        ((_, (span, *_)),) = read_traces(connection, cluster, [here])
        linked = replace(span, links=[SpanLink(each, "0" * 16, {}) for each in (there, hidden, other)])
        assert EVERYTHING.spans(connection, cluster, [linked]) == [linked]
        (seen,) = limited.spans(connection, cluster, [linked])
        assert [link.trace_id for link in seen.links] == [there, other], "an unknown trace may be one of another system"
        assert NOTHING.spans(connection, cluster, [linked]) == []


def test_an_asker_with_rights_in_the_cluster_sees_objects_without_a_namespace() -> None:
    assert EVERYTHING.namespace("")
    assert Visible(lambda namespace: namespace == "").namespace("")
    assert Visible(lambda namespace: namespace == "").namespace("shop")
    limited = Visible(lambda namespace: namespace == "shop")
    assert limited.namespace("shop")
    assert not limited.namespace("")
    assert not limited.namespace("other")
    assert not NOTHING.namespace("shop")


def test_the_page_of_a_trace_and_its_data_are_those_of_visible_traces(setup: Setup) -> None:
    known = setup.traces()
    assert {frozenset(namespaces) for namespaces in known.values()} > {frozenset({MINE})}
    with setup.known.store.reading("test") as connection:
        query = select(schema.spans.c.trace_id, schema.spans.c.span_id).where(
            schema.spans.c.cluster == setup.known.cluster, schema.spans.c.parent_span_id == ""
        )
        roots = {row.trace_id: row.span_id for row in connection.execute(query)}
    for trace_id, namespaces in known.items():
        path = f"/traces/{trace_id}"
        for rest in ("", "/rows.json", "/otlp.json", "/perfetto.json", f"/spans/{roots[trace_id]}.json"):
            assert setup.ask(path + rest, ADMIN)[0] == 200
            status, body = setup.ask(path + rest)
            assert status == (200 if namespaces == {MINE} else 404), (path, rest, namespaces)
            if status == 404:
                other = setup.ask("/traces/" + "0" * 32 + rest)[1]
                assert body.replace(trace_id, "0" * 32) == other
