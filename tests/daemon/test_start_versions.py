"""Changes before the first list of a kind: a real daemon that is killed, and an API server with a history."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kspan.k8s.resources import CRDS
from kspan.model import RecordType
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


def journalled(server: ApiServer, database: Path, kind: str) -> list[tuple[str, str]]:
    """Type and resourceVersion of the journal's records of a kind; of its gaps if that is empty."""
    with open_store(str(database), read_only=True) as store:
        records = [record for run in store.replay(server.cluster_uid) for _, record in run]
    return [
        (record.type.value, record.resource_version)
        for record in records
        if record.kind == kind and record.type is not RecordType.TICK
    ]


def run_until_journalled(server: ApiServer, folder: Path, kind: str, version: str) -> Process:
    """A daemon that has taken in this version of an object of this kind."""
    daemon = Process(server.kubeconfig(folder / "kubeconfig"), folder / "db", ["none"])
    with daemon:
        daemon.wait_ready()
        wait_until(lambda: version in [v for _, v in journalled(server, folder / "db", kind)])
        daemon.process.kill()
    return daemon


def test_a_kind_first_named_while_the_daemon_is_dead_is_watched_from_that_time(
    server: ApiServer, tmp_path: Path
) -> None:
    run_until_journalled(server, tmp_path, "Namespace", server.put("v1/namespaces", {"metadata": {"name": "new"}}))
    versions = [server.put(WIDGETS, widget(1))]
    deploy(server)
    versions += [server.put(WIDGETS, widget(size)) for size in (2, 3)]
    run_until_journalled(server, tmp_path, "Widget", versions[-1])
    assert journalled(server, tmp_path / "db", "Widget") == [
        ("ADDED", versions[0]),
        ("MODIFIED", versions[1]),
        ("MODIFIED", versions[2]),
    ]


def test_a_kind_named_but_not_listed_before_a_kill_is_watched_from_before_the_kill(
    server: ApiServer, tmp_path: Path
) -> None:
    server.forbid(WIDGETS)
    with Process(server.kubeconfig(tmp_path / "kubeconfig"), tmp_path / "db", ["none"]) as daemon:
        daemon.wait_ready()
        versions = [server.put(WIDGETS, widget(1))]
        deploy(server)
        # The request was refused. The kind is not named again.
        wait_until(lambda: server.requests_seen(WIDGETS, "list"))
        wait_until(lambda: journalled(server, tmp_path / "db", "Deployment"))
        daemon.process.kill()
        daemon.process.wait()
    versions += [server.put(WIDGETS, widget(size)) for size in (2, 3)]
    server.allow(WIDGETS)
    run_until_journalled(server, tmp_path, "Widget", versions[-1])
    assert journalled(server, tmp_path / "db", "Widget")[-3:] == [
        ("ADDED", versions[0]),
        ("MODIFIED", versions[1]),
        ("MODIFIED", versions[2]),
    ]


def test_a_kind_defined_while_the_daemon_is_dead_is_watched_from_its_definition(tmp_path: Path) -> None:
    names = {"kind": "Widget", "plural": "widgets", "singular": "widget"}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [{"name": "v1", "served": True}]}
    with ApiServer() as server:
        run_until_journalled(server, tmp_path, "Namespace", server.put("v1/namespaces", {"metadata": {"name": "new"}}))
        # The API server has no past of the kind before its definition.
        server.put(CRDS.resource, {"metadata": {"name": "widgets.example.com"}, "spec": spec})
        versions = [server.put(WIDGETS, widget(1))]
        deploy(server)
        versions += [server.put(WIDGETS, widget(size)) for size in (2, 3)]
        run_until_journalled(server, tmp_path, "Widget", versions[-1])
    assert journalled(server, tmp_path / "db", "Widget") == [
        ("ADDED", versions[0]),
        ("MODIFIED", versions[1]),
        ("MODIFIED", versions[2]),
    ]


def test_a_compacted_start_version_is_not_waited_for(server: ApiServer, tmp_path: Path) -> None:
    run_until_journalled(server, tmp_path, "Namespace", server.put("v1/namespaces", {"metadata": {"name": "new"}}))
    server.put(WIDGETS, widget(1))
    deploy(server)
    newest = server.put(WIDGETS, widget(2))
    server.compact(resource=WIDGETS)
    run_until_journalled(server, tmp_path, "Widget", newest)
    assert journalled(server, tmp_path / "db", "Widget") == [("LISTED", newest)]
    assert journalled(server, tmp_path / "db", "") == []
