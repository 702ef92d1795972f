"""What happened before a kind was listed: a real daemon, killed in between, and an API server with a past."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kspan.store import open_store
from tests.apiserver import ApiServer
from tests.daemon.small_cluster import Process, wait_until

WIDGETS = "example.com/v1/widgets"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api:
        api.add_resource(WIDGETS, "Widget")
        yield api


def widget(size: int) -> dict[str, Any]:
    metadata = {"name": "w", "namespace": "default"}
    return {"kind": "Widget", "apiVersion": "example.com/v1", "metadata": metadata, "spec": {"size": size}}


def deploy(server: ApiServer) -> None:
    """A Deployment that the Widget owns, which nothing says anything about but its owner reference."""
    found = server.get(WIDGETS, "default", "w")
    assert found is not None
    owner = {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": found["metadata"]["uid"]}
    metadata = {"name": "d", "namespace": "default", "ownerReferences": [owner | {"controller": True}]}
    body = {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": metadata, "spec": {"replicas": 0}}
    server.put("apps/v1/deployments", body)


def told(server: ApiServer, database: Path, kind: str) -> list[tuple[str, str]]:
    """What the journal has of a kind: type and resourceVersion."""
    with open_store(str(database), read_only=True) as store:
        records = [record for run in store.replay(server.cluster_uid) for _, record in run]
    return [(record.type.value, record.resource_version) for record in records if record.kind == kind]


def run_until_told(server: ApiServer, folder: Path, kind: str, version: str) -> Process:
    """A daemon that has taken in this version of an object of this kind."""
    daemon = Process(server.kubeconfig(folder / "kubeconfig"), folder / "db", ["none"])
    with daemon:
        daemon.wait_ready()
        wait_until(lambda: version in [v for _, v in told(server, folder / "db", kind)])
        daemon.process.kill()
    return daemon


def test_a_kind_that_is_first_named_while_the_daemon_is_dead_is_told_from_its_naming_on(
    server: ApiServer, tmp_path: Path
) -> None:
    run_until_told(server, tmp_path, "Namespace", server.put("v1/namespaces", {"metadata": {"name": "new"}}))
    versions = [server.put(WIDGETS, widget(1))]
    deploy(server)
    versions += [server.put(WIDGETS, widget(size)) for size in (2, 3)]
    run_until_told(server, tmp_path, "Widget", versions[-1])
    assert told(server, tmp_path / "db", "Widget") == [
        ("ADDED", versions[0]),
        ("MODIFIED", versions[1]),
        ("MODIFIED", versions[2]),
    ]


def test_a_kind_that_was_named_before_a_kill_and_not_listed_is_told_from_before_that_on(
    server: ApiServer, tmp_path: Path
) -> None:
    server.forbid(WIDGETS)
    with Process(server.kubeconfig(tmp_path / "kubeconfig"), tmp_path / "db", ["none"]) as daemon:
        daemon.wait_ready()
        versions = [server.put(WIDGETS, widget(1))]
        deploy(server)
        # It asked, and was refused: nobody will name it again.
        wait_until(lambda: server.requests_seen(WIDGETS, "list"))
        wait_until(lambda: told(server, tmp_path / "db", "Deployment"))
        daemon.process.kill()
        daemon.process.wait()
    versions += [server.put(WIDGETS, widget(size)) for size in (2, 3)]
    server.allow(WIDGETS)
    run_until_told(server, tmp_path, "Widget", versions[-1])
    assert told(server, tmp_path / "db", "Widget")[-3:] == [
        ("ADDED", versions[0]),
        ("MODIFIED", versions[1]),
        ("MODIFIED", versions[2]),
    ]


def test_a_past_that_the_api_server_has_forgotten_is_not_waited_for(server: ApiServer, tmp_path: Path) -> None:
    run_until_told(server, tmp_path, "Namespace", server.put("v1/namespaces", {"metadata": {"name": "new"}}))
    server.put(WIDGETS, widget(1))
    deploy(server)
    newest = server.put(WIDGETS, widget(2))
    server.compact(resource=WIDGETS)
    run_until_told(server, tmp_path, "Widget", newest)
    assert told(server, tmp_path / "db", "Widget") == [("LISTED", newest)]
    assert told(server, tmp_path / "db", "") == []
