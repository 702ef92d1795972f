"""`kspan run` answers questions about its own history, also if the database has other clusters."""

import json
import os
import signal
import urllib.request
from pathlib import Path

from kspan.store import open_store
from tests.daemon.small_cluster import Process, SmallCluster, wait_until
from tests.emit.rows import START, make_span, make_trace
from tests.limits import HANG_S
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


def test_the_process_that_answers_ends_with_a_daemon_that_is_killed(tmp_path: Path) -> None:
    with SmallCluster() as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        with Process(config, tmp_path / "db", ["none"], hold="500ms", settle="1s") as daemon:
            daemon.wait_ready()
            assert children_of(daemon) == []
            wait_until(lambda: daemon.get("/v1/traces")[0] == 200)
            (answering,) = children_of(daemon)
            daemon.process.kill()
            wait_until(lambda: not is_running(answering))


def test_ctrl_c_ends_both_processes_while_somebody_listens(tmp_path: Path) -> None:
    with SmallCluster() as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        with Process(config, tmp_path / "db", ["none"], starter=GROUP, hold="500ms", settle="1s") as daemon:
            daemon.wait_ready()
            wait_until(lambda: daemon.get("/v1/traces")[0] == 200)
            (answering,) = children_of(daemon)
            with urllib.request.urlopen(daemon.url + "/v1/stream", timeout=HANG_S) as stream:
                assert stream.readline().startswith(b"retry: ")
                os.killpg(daemon.process.pid, signal.SIGINT)
                assert daemon.process.wait(HANG_S) == 0
            assert not is_running(answering)
            assert "Traceback" not in daemon.log


GROUP = ("setsid",)
"""Starts the daemon in a process group of its own, as a shell does."""


def children_of(daemon: Process) -> list[int]:
    pid = daemon.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] + [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        if task.name != str(pid)
        for child in (task / "children").read_text().split()
    ]


def is_running(pid: int) -> bool:
    """False also for a process that has ended and whose exit code nobody has asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
