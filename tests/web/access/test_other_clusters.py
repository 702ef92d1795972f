"""With --auth kubernetes, rights are those in one cluster: of the others in the database no answer has anything."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from sqlalchemy import func, select

from kspan.ingest.watch import connect
from kspan.ingest.watch.client.reviews import Reviews
from kspan.store import Store, open_store
from kspan.store.schema import tables as schema
from kspan.web.access.doors import PREFIX, Delegated
from kspan.web.app import make_app
from kspan.web.guard import Access
from kspan.web.history import History
from kspan.web.server import Server
from kspan.web.v1.endpoints import ENDPOINTS
from tests.apiserver import ApiServer
from tests.cli.commands.test_commands import kspan, refused
from tests.query.conftest import Histories, histories  # noqa: F401
from tests.recordings import recording
from tests.web.test_server import ask

MINE, OTHER, NAME = "02-rolling-update", "03-crashloop", "name-of-the-other"
ALICE, ADMIN = "token-of-alice", "token-of-the-administrator"
UNKNOWN = "no-such-cluster"


class Setup:
    """A server of one cluster in a database of several, for askers with all rights in that one."""

    def __init__(self, address: tuple[str, int], store: Store) -> None:
        self.address = address
        self.store = store

    def ask(self, path: str, token: str = ADMIN, method: str = "GET", body: str = "", **query: Any) -> tuple[int, str]:
        target = path + (f"{'&' if '?' in path else '?'}{urlencode(query)}" if query else "")
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/html"}
        headers |= {"Content-Type": "application/json"} if body else {}
        return ask(self.address, target, method, headers, body)[:2]

    def of_the_other(self) -> tuple[list[str], set[str]]:
        """The ids of the traces of the other cluster, and the words that only it has."""
        spans, mine = schema.spans.c, {"", "Node"}
        found: set[str] = {OTHER, NAME}
        with self.store.reading("test") as connection:
            columns = (spans.cluster, spans.trace_id, spans.span_id, spans.object_uid, spans.object_name)
            query = select(*columns, spans.object_namespace).where(spans.cluster.in_((MINE, OTHER)))
            for cluster, *words in connection.execute(query):
                (found if cluster == OTHER else mine).update(words)
            own = "".join(str(row) for row in connection.execute(select(schema.spans).where(spans.cluster == MINE)))
            ids = select(spans.trace_id).where(spans.cluster == OTHER).distinct()
            hidden = {word for word in found - mine if word not in own}
            return sorted(connection.execute(ids).scalars()), hidden


@pytest.fixture(params=[False, True], ids=["all", "namespaces"])
def setup(request: pytest.FixtureRequest, histories: Histories, tmp_path: Path) -> Iterator[Setup]:  # noqa: F811
    known = histories(MINE)
    with open_store(known.url) as writing:
        writing.name_cluster(OTHER, NAME)
    with ApiServer(token="own") as api:
        for token, name in ((ALICE, "alice"), (ADMIN, "admin")):
            api.reviewed.add(token, name)
            api.reviewed.paths.add((name, f"{PREFIX}/*"))
        api.reviewed.lists |= {("alice", "events", "rolling-update"), ("admin", "events", "")}
        connection = connect(str(api.kubeconfig(tmp_path / "kubeconfig", token="own")))
        door = Delegated(Reviews(connection), by_namespace=request.param)
        history = History(lambda _: (known.store, MINE), serves_sql=True, private=True)
        server = Server("127.0.0.1:0", make_app({}, Access(hosts=None, door=door), history))
        server.start()
        try:
            yield Setup(server.address, known.store)
        finally:
            server.stop()
            connection.close()


def paths(setup: Setup) -> list[str]:
    """Every address that could show something of the other cluster, also by its ids and names."""
    ids, words = setup.of_the_other()
    assert len(ids) > 1
    assert len(words) > 50
    with setup.store.reading("test") as connection:
        uid = connection.execute(
            select(func.max(schema.objects.c.uid)).where(
                schema.objects.c.cluster == OTHER, schema.objects.c.kind == "Deployment"
            )
        ).scalar_one()
    values = {"{trace_id}": ids[0], "{kind}": "deploy", "{namespace}": "crashloop", "{name}": "crash", "{uid}": uid}
    found = []
    for endpoint in ENDPOINTS:
        path = endpoint.path
        for part, value in values.items():
            path = path.replace(part, quote(value, safe=""))
        found.append(path)
    found += ["/", "/traces", "/timeline", "/timeline?since=2026-11-01", "/rollouts", "/objects", "/why/deploy/crash"]
    found += [
        f"/traces/{ids[0]}",
        f"/traces/{ids[0]}/rows.json",
        f"/traces/{ids[0]}/otlp.json",
        f"/objects/{quote(uid)}",
    ]
    found += ["/objects?name=crash", "/traces?namespace=crashloop", "/traces?text=crash", "/v1/traces?text=crash"]
    found += ["/v1/objects?name=crash&deleted=true", "/v1/traces?kind=deploy&name=crash", "/v1/traces/" + ids[0][:8]]
    found += ["/api/services", "/api/v3/services", f"/api/traces/{ids[0]}", f"/api/v3/traces/{ids[0]}"]
    return found


def test_nothing_of_another_cluster_is_in_any_answer(setup: Setup) -> None:
    _, words = setup.of_the_other()
    for path in paths(setup):
        for token in (ALICE, ADMIN):
            _, body = setup.ask(path, token)
            # What was asked may be repeated.
            shown = [word for word in words if len(word) > 5 and word in body and word not in path]
            assert shown == [], path


def test_another_cluster_cannot_be_told_from_an_unknown_one(setup: Setup) -> None:
    """By its name, its uid, whatever the question: status and text are those for a cluster that does not exist."""
    for path in paths(setup):
        for token in (ALICE, ADMIN):
            if path == "/v1/clusters":
                continue
            status, body = setup.ask(path, token, cluster=UNKNOWN)
            assert status in (403, 404), path
            for other in (NAME, OTHER):
                assert setup.ask(path, token, cluster=other) == (status, body.replace(UNKNOWN, other)), (path, other)


def test_the_own_cluster_can_be_named_and_is_the_only_one_in_the_list(setup: Setup) -> None:
    assert setup.ask("/v1/traces", ADMIN, cluster=MINE)[0] == 200
    found = json.loads(setup.ask("/v1/clusters")[1])
    assert [each["cluster"] for each in found["items"]] == [MINE]
    assert found["next"] is None
    assert 'class="cluster"' not in setup.ask("/traces")[1]


def test_the_stream_of_another_cluster_cannot_be_opened(setup: Setup) -> None:
    for other in (NAME, OTHER, UNKNOWN):
        status, body = setup.ask("/v1/stream", cluster=other)
        assert (status, json.loads(body)["detail"]) == (404, f"unknown cluster '{other}'")


def test_a_statement_could_read_the_others_so_it_is_answered_as_by_a_server_without_sql(setup: Setup) -> None:
    statement = json.dumps({"statement": "SELECT cluster FROM spans"})
    for token in (ALICE, ADMIN):
        status, body = setup.ask("/v1/sql", token, "POST", statement)
        assert status == 403
        assert not any(word in body for word in (MINE, OTHER, NAME))
    assert "SQL is not served here" in setup.ask("/v1/sql", ADMIN, "POST", statement)[1]


def test_serve_with_the_users_of_a_cluster_needs_its_name_if_there_are_several(tmp_path: Path) -> None:
    db = tmp_path / "db.sqlite"
    for uid, name in (("a", "one"), ("b", "two")):
        files = ("replay", recording("03-crashloop"), "--db", db, "--export", "none")
        assert kspan(*files, "--cluster", uid, "--cluster-name", name).returncode == 0
    with ApiServer(token="own") as api:
        api.reviewed.add(ALICE, "alice")
        api.reviewed.paths.add(("alice", f"{PREFIX}/*"))
        kubeconfig = api.kubeconfig(tmp_path / "kubeconfig", token="own")
        command = ("serve", "--db", db, "--auth", "kubernetes", "--kubeconfig", kubeconfig, "--listen", "127.0.0.1:0")
        assert "several clusters: choose one with --cluster: one (a), two (b)" in refused(kspan(*command))
