"""`kspan run` answers questions about its own history, also if the database has other clusters."""

import json
from pathlib import Path

from kspan.store import open_store
from tests.daemon.small_cluster import Process, SmallCluster, wait_until
from tests.emit.rows import START, make_span, make_trace
from tests.query.made import commit, make_object


def test_the_daemon_answers_questions_about_its_own_cluster(tmp_path: Path) -> None:
    spans = [make_span("Pod.Create", start=START, service="another-cluster")]
    with open_store(str(tmp_path / "db")) as store:
        commit(store, [make_object("Pod", "web")], spans, [make_trace(spans)], cluster="other")
    with SmallCluster() as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        with Process(config, tmp_path / "db", ["none"], hold="500ms", settle="1s") as daemon:
            daemon.wait_ready()
            cluster.create("one")
            wait_until(lambda: daemon.get("/api/services")[0] == 200)
            wait_until(lambda: json.loads(daemon.get("/api/services")[1])["data"])
            assert "another-cluster" not in daemon.get("/api/services")[1]
            assert daemon.get("/healthz") == (200, "ok\n")
