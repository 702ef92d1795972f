"""Start and stop of ``kspan run`` as a process, while things around it hang, die or are missing."""

import re
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kspan.store import open_store
from tests.apiserver import ApiServer, Stall
from tests.cli.commands.test_commands import kspan
from tests.daemon.small_cluster import Process, SmallCluster, deployment, wait_until
from tests.limits import HANG_S
from tests.recordings import recording

PLANTED = "pL4nt3d-s3cr3t"
"""Must not be in any log."""


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes every connection and never says a word; its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


@contextmanager
def locked(database: Path) -> Iterator[sqlite3.Connection]:
    """The database, while another program writes to it."""
    other = sqlite3.connect(database, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        yield other
    finally:
        other.close()


def kubeconfig_of(url: str, path: Path) -> Path:
    path.write_text(
        f'{{"apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [{{"name": "c", "context": '
        f'{{"cluster": "c", "user": "c"}}}}], "clusters": [{{"name": "c", "cluster": {{"server": "{url}"}}}}], '
        f'"users": [{{"name": "c", "user": {{"token": "{PLANTED}"}}}}]}}'
    )
    return path


def gone(path: Path) -> Path:
    """A kubeconfig of an API server that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return kubeconfig_of(f"http://127.0.0.1:{port}", path)


# The beginning --------------------------------------------------------------------------------------------------------


def test_closed_traces_are_exported_while_the_api_server_is_away(tmp_path: Path) -> None:
    database, spans = tmp_path / "db", tmp_path / "spans.jsonl"
    assert kspan("replay", recording("02-rolling-update"), "--db", database, "--export", "none").returncode == 0
    with Process(gone(tmp_path / "kubeconfig"), database, [f"file:{spans}"]) as daemon:
        wait_until(lambda: spans.exists() and "Deployment.Update" in spans.read_text())
        status, reasons = daemon.get("/readyz")
        assert status == 503
        assert re.fullmatch(r"cluster: GET http.*refused.*\n|cluster: .*refused.*\n", reasons), reasons
        assert daemon.ends() == 0
    with open_store(str(database), read_only=True) as store:
        (cluster,) = store.clusters()
        assert not store.unemitted_traces(cluster, f"file:{spans}", 10)


def test_traces_exported_before_the_api_server_answered_are_not_exported_again(tmp_path: Path) -> None:
    database, spans = tmp_path / "db", tmp_path / "spans.jsonl"
    assert kspan("replay", recording("02-rolling-update"), "--db", database, "--export", "none").returncode == 0
    with ApiServer() as server:
        server.serve_recording(recording("02-rolling-update"), stepwise=True)
        server.stop()
        with Process(server.kubeconfig(tmp_path / "kubeconfig"), database, [f"file:{spans}"]) as daemon:
            wait_until(lambda: spans.exists() and "Deployment.Update" in spans.read_text())
            sent = spans.read_bytes()
            server.start()
            daemon.wait_ready()
            assert daemon.ends() == 0
    assert spans.read_bytes() == sent


def test_an_invalid_target_is_refused_before_the_first_request(tmp_path: Path) -> None:
    target = f"file:{tmp_path / 'nowhere' / 'spans.jsonl'}"
    with Process(gone(tmp_path / "kubeconfig"), tmp_path / "db", [target]) as daemon:
        assert daemon.process.wait(HANG_S) == 2
        assert "does not exist" in daemon.log


# The end --------------------------------------------------------------------------------------------------------------


def test_an_api_server_that_never_answers_does_not_delay_the_stop(tmp_path: Path) -> None:
    with silent_server() as url:
        config = kubeconfig_of(url, tmp_path / "kubeconfig")
        with Process(config, tmp_path / "db", ["none"]) as daemon:
            assert daemon.get("/readyz") == (503, "cluster: the API server has not answered yet\n")
            assert daemon.ends() == 0


@pytest.mark.parametrize("verb", ["list", "watch"])
def test_an_api_server_that_stops_answering_does_not_delay_the_stop(tmp_path: Path, verb: str) -> None:
    with ApiServer() as server:
        server.put("v1/pods", {"metadata": {"name": "a", "namespace": "default"}})
        fault = server.faults.add(Stall(), verb=verb)
        with Process(server.kubeconfig(tmp_path / "kubeconfig"), tmp_path / "db", ["none"]) as daemon:
            wait_until(lambda: fault.hits)
            assert daemon.ends() == 0


def test_a_locked_database_and_a_receiver_that_hangs_do_not_delay_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, spans = tmp_path / "db", tmp_path / "spans.jsonl"
    with SmallCluster() as cluster, silent_server() as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60")
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        with Process(config, database, ["otlp", f"file:{spans}"], hold="500ms", settle="1s") as daemon:
            daemon.wait_ready()
            cluster.create("one")
            wait_until(spans.exists)
            with locked(database):
                cluster.create("two")
                wait_until(lambda: daemon.get("/readyz")[0] == 503)
                assert daemon.get("/readyz")[1].startswith("database: ")
                assert daemon.ends() == 0
        with Process(config, database, ["none"]) as daemon:
            daemon.wait_ready()
            wait_until(lambda: 'type="ADDED"} 1.0' in daemon.get("/metrics")[1])
            assert daemon.ends() == 0
    with open_store(str(database), read_only=True) as store:
        (name,) = store.clusters()
        found = [record.name for run in store.replay(name) for _, record in run if record.name]
    assert found == ["one", "two"]


def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    database = tmp_path / "db"
    with SmallCluster() as cluster, Process(cluster.kubeconfig(tmp_path / "c"), database, ["none"]) as daemon:
        daemon.wait_ready()
        with locked(database):
            cluster.create("one")
            wait_until(lambda: daemon.get("/readyz")[0] == 503)
            daemon.process.terminate()
            wait_until(lambda: any(line["message"] == "stopping" for line in daemon.lines))
            assert daemon.ends() == -signal.SIGTERM


SABOTAGE = {
    "the writer": "from kspan.graph import Fold\nFold.apply = lambda *_: 1 / 0",
    "a watch": "from kspan.ingest.watch.reflector import Reflector\nReflector.run = lambda *_: 1 / 0",
    "a kind's discovery": "from kspan.ingest.watch.resources.plan import Plan\nPlan.wanted = lambda *_: 1 / 0",
    "an export": "from kspan.emit.export_queue import ExportQueue\nExportQueue.export_pending = lambda *_, **__: 1 / 0",
    "a tick": "from kspan.daemon.writer import Writer\nWriter.tick = lambda *_: 1 / 0",
    "the HTTP server": (
        "import asyncio\nfrom kspan.web import server\n"
        "async def fail(_):\n    await asyncio.sleep(0.5)\n    1 / 0\n"
        "server._Uvicorn.main_loop = fail"
    ),
}


@pytest.mark.parametrize("part", SABOTAGE)
def test_a_part_that_dies_ends_the_process_with_1_and_the_reason(tmp_path: Path, part: str) -> None:
    with SmallCluster() as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        cluster.create("one")
        target = f"file:{tmp_path / 'spans.jsonl'}"
        with Process(config, tmp_path / "db", [target], sabotage=SABOTAGE[part]) as daemon:
            assert daemon.process.wait(HANG_S) == 1
            critical = [line for line in daemon.lines if line["level"] == "critical"]
            assert any("died: division by zero" in line["message"] for line in critical), daemon.log
            assert any("ZeroDivisionError" in line.get("error", "") for line in critical)


# Logs -----------------------------------------------------------------------------------------------------------------


def test_no_log_contains_a_token_or_the_content_of_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "db"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://user:{PLANTED}@127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer%20{PLANTED},x-api-key={PLANTED}")
    secret = {"metadata": {"name": "s", "namespace": "default"}, "data": {"k": PLANTED}, "stringData": {"k": PLANTED}}
    env = [{"name": "PASSWORD", "value": PLANTED}]
    pod = {"metadata": {"name": "p", "namespace": "default", "annotations": {}}, "spec": {"containers": [{"env": env}]}}
    manifest = {"kubectl.kubernetes.io/last-applied-configuration": f'{{"data": "{PLANTED}"}}'}
    with ApiServer(token=PLANTED) as server:
        server.put("v1/secrets", secret)
        server.put("v1/pods", pod)
        server.put("apps/v1/deployments", {"metadata": {"name": "d", "namespace": "default", "annotations": manifest}})
        config = server.kubeconfig(tmp_path / "kubeconfig")
        waiting = {"hold": "500ms", "settle": "1s"}
        with Process(config, database, ["otlp"], all_kinds=True, log_level="debug", **waiting) as daemon:
            daemon.wait_ready()
            server.put("v1/secrets", secret | {"data": {"k": PLANTED + "2"}})
            server.put("v1/pods", pod | {"spec": {"containers": [{"env": [*env, *env]}], "nodeName": 7}})
            server.put("apps/v1/deployments", deployment("e", 1))
            wait_until(lambda: "export to otlp failing" in daemon.log)
            server.tokens = {"another"}
            server.stop()
            server.start()
            wait_until(lambda: "401" in daemon.log or "unauthorized" in daemon.log)
            assert daemon.ends() == 0
            assert PLANTED not in daemon.log
            assert all(set(line) >= {"time", "level", "logger", "message"} for line in daemon.lines), "all of it JSON"
    assert PLANTED.encode() not in database.read_bytes()
    with open_store(str(database), read_only=True) as store:
        (name,) = store.clusters()
        records = [record for run in store.replay(name) for _, record in run]
    assert {"v1/secrets", "v1/pods"} <= {record.resource for record in records}
    assert all(PLANTED.encode() not in record.payload for record in records)
