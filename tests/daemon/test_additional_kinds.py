"""A daemon that watches additional kinds: what waited for one of them goes back to whoever changed it."""

import time
from pathlib import Path
from typing import Any

from kspan.k8s.resources import ADDITIONAL
from kspan.store import open_store
from kspan.times import SECOND, format_time
from tests.apiserver import ApiServer
from tests.daemon.small_cluster import Process, wait_until

QUICK = {"hold": "1s", "settle": "1s", "max_trace_age": "10s"}

Json = dict[str, Any]


class Writes:
    """Writes objects and Events to a server, with managedFields and times as a cluster does."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.about: dict[str, Json] = {}

    def put(self, resource: str, name: str, by: str, fields: Json, owner: Json | None = None, **content: Any) -> None:
        """Create or replace an object; ``fields``: those of the writer in managedFields."""
        written = format_time(time.time_ns() // SECOND * SECOND)
        entry = {"manager": by, "operation": "Update", "time": written, "fieldsType": "FieldsV1", "fieldsV1": fields}
        metadata: Json = {"name": name, "namespace": "default", "managedFields": [entry]}
        if owner is not None:
            metadata["ownerReferences"] = [owner]
        self.server.put(resource, {"metadata": metadata} | content)
        found = self.server.get(resource, "default", name)
        assert found is not None
        self.about[name] = {
            "kind": found["kind"],
            "apiVersion": found["apiVersion"],
            "namespace": "default",
            "name": name,
            "uid": found["metadata"]["uid"],
            "resourceVersion": found["metadata"]["resourceVersion"],
        }

    def event(self, name: str, reason: str, message: str, by: str, kind: str = "Normal") -> None:
        now = time.time_ns()
        second = format_time(now // SECOND * SECOND)
        self.server.put(
            "v1/events",
            {
                "metadata": {"name": f"{name}.{now:x}", "namespace": "default"},
                "involvedObject": self.about[name],
                "reason": reason,
                "message": message,
                "type": kind,
                "source": {"component": by},
                "reportingComponent": by,
                "firstTimestamp": second,
                "lastTimestamp": second,
                "count": 1,
            },
        )

    def warn(self, name: str, reason: str, message: str, by: str) -> None:
        self.event(name, reason, message, by, "Warning")


def daemon(server: ApiServer, folder: Path, **options: Any) -> Process:
    server.put("v1/namespaces", {"metadata": {"name": "kube-system"}})
    return Process(server.kubeconfig(folder / "kubeconfig"), folder / "db", ["none"], **QUICK, **options)


def causes(folder: Path) -> dict[str, str]:
    """The parents of all spans that have one: reason, kind and name of both."""
    with open_store(str(folder / "db"), read_only=True) as store:
        spans = {row["span_id"]: row for cluster in store.clusters() for row in store.projection_rows(cluster, "spans")}

    def words(row: Json) -> str:
        return f"{row['reason']} {row['object_kind']}/{row['object_name']}"

    return {words(row): words(spans[row["parent_span_id"]]) for row in spans.values() if row["parent_span_id"] in spans}


def names(folder: Path) -> set[str]:
    """The names of all objects in the database."""
    with open_store(str(folder / "db"), read_only=True) as store:
        rows = [row for cluster in store.clusters() for row in store.projection_rows(cluster, "objects")]
    return {row["name"] for row in rows}


def test_what_waited_for_an_additional_kind_goes_back_to_whoever_changed_it(tmp_path: Path) -> None:
    with ApiServer() as server:
        writes = Writes(server)
        data: Json = {"f:data": {".": {}, "f:level": {}}}
        writes.put("v1/configmaps", "keys", "kubectl-create", data, data={"level": "1"})
        writes.put("v1/limitranges", "limits", "kubectl-create", {"f:spec": {}}, spec={"limits": [{"max": 1}]})
        with daemon(server, tmp_path) as running:
            running.wait_ready()
            wait_until(lambda: all(server.open_watches(target.resource) for target in ADDITIONAL))
            _create(writes)
            wait_until(lambda: {"lacks-map", "lacks-key", "rs"} <= names(tmp_path))
            _wait_and_go_on(writes)
            wait_until(lambda: "SuccessfulCreate ReplicaSet/rs" in causes(tmp_path))
            assert running.ends() == 0
    found = causes(tmp_path)
    assert found["Started Pod/lacks-map"] == "Create ConfigMap/settings"
    assert found["Started Pod/lacks-key"] == "Update ConfigMap/keys"
    assert found["SuccessfulCreate ReplicaSet/rs"] == "Update LimitRange/limits"


def _create(writes: Writes) -> None:
    for name in ("lacks-map", "lacks-key"):
        writes.put("v1/pods", name, "kubectl-create", {"f:spec": {}}, spec={"containers": []}, status={})
    writes.put("apps/v1/replicasets", "rs", "kubectl-create", {"f:spec": {}}, spec={"replicas": 1}, status={})


def _wait_and_go_on(writes: Writes) -> None:
    """Two Pods and a ReplicaSet wait, somebody changes what they wait for, and they go on."""
    writes.warn("lacks-map", "Failed", 'Error: configmap "settings" not found', "kubelet")
    writes.warn("lacks-key", "Failed", "Error: couldn't find key mode in ConfigMap default/keys", "kubelet")
    refused = 'Error creating: pods "rs-a" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi'
    writes.warn("rs", "FailedCreate", refused, "replicaset-controller")

    data: Json = {"f:data": {".": {}, "f:level": {}, "f:mode": {}}}
    writes.put("v1/configmaps", "settings", "kubectl-create", data, data={"mode": "a"})
    writes.put("v1/configmaps", "keys", "kubectl-create", data, data={"level": "1", "mode": "a"})
    writes.put("v1/limitranges", "limits", "kubectl-edit", {"f:spec": {}}, spec={"limits": [{"max": 2}]})
    for name in ("lacks-map", "lacks-key"):
        writes.event(name, "Started", "Started container app", "kubelet")
    rs = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": writes.about["rs"]["uid"]}
    owned: Json = {"f:metadata": {"f:ownerReferences": {".": {}}}}
    pod: Json = {"containers": []}
    writes.put(
        "v1/pods", "rs-a", "kube-controller-manager", owned, owner=rs | {"controller": True}, spec=pod, status={}
    )
    writes.event("rs", "SuccessfulCreate", "Created pod: rs-a", "replicaset-controller")


def test_a_daemon_without_rights_for_additional_kinds_is_ready_and_warns_of_nothing(tmp_path: Path) -> None:
    with ApiServer() as server:
        for target in ADDITIONAL:
            server.forbid(target.resource)
        with daemon(server, tmp_path) as running:
            running.wait_ready()
            wait_until(lambda: all(server.requests_seen(target.resource, "list") for target in ADDITIONAL))
            wait_until(lambda: "all resources are listed and watched" in running.log)
            assert running.get("/readyz")[0] == 200
            assert running.ends() == 0
        assert not [line for line in running.lines if line["level"] == "warning"]


def test_additional_kinds_are_not_asked_for_if_they_are_turned_off_and_secrets_only_if_they_are_turned_on(
    tmp_path: Path,
) -> None:
    asked = [target.resource for target in ADDITIONAL]
    other = tmp_path / "other"
    other.mkdir()
    with ApiServer() as server:
        with daemon(server, tmp_path) as running:
            running.wait_ready()
            wait_until(lambda: all(server.open_watches(name) for name in asked))
            assert running.ends() == 0
        assert not server.requests_seen("v1/secrets")
    with ApiServer() as server:
        with daemon(server, other, no_additional_kinds=True, watch_secrets=True) as running:
            running.wait_ready()
            wait_until(lambda: server.open_watches("v1/secrets"))
            assert running.ends() == 0
        assert not [name for name in asked if server.requests_seen(name)]
