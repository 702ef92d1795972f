"""``kspan run`` as a process: signals, errors at the start, HTTP, logs, and the database afterwards."""

import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kspan.k8s.resources import DEFAULT
from kspan.store import open_store
from tests.apiserver import ApiServer, Break, Stall
from tests.daemon.small_cluster import CLUSTER, Process, SmallCluster, wait_until
from tests.emit.receivers import reserved_ports
from tests.limits import HANG_S

LEASE = Path(__file__).parents[1] / "data" / "cases" / "trace-id-reused-lease.jsonl"
"""Five lists, then Events of a Lease that are eight seconds apart."""


@pytest.fixture
def cluster() -> Iterator[SmallCluster]:
    with SmallCluster() as small:
        yield small


@pytest.fixture
def config(cluster: SmallCluster, tmp_path: Path) -> Path:
    return cluster.kubeconfig(tmp_path / "kubeconfig")


def names(database: Path) -> list[str]:
    with open_store(str(database), read_only=True) as store:
        return [record.name for run in store.replay(CLUSTER) for _, record in run if record.name]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_after_a_signal_everything_is_committed_and_the_exit_code_is_0(
    cluster: SmallCluster, config: Path, tmp_path: Path, number: signal.Signals
) -> None:
    database = tmp_path / "db"
    with Process(config, database, ["none"]) as daemon:
        daemon.wait_ready()
        cluster.create("one")
        cluster.create("two")
        wait_until(lambda: 'kspan_records_total{type="ADDED"} 2.0' in daemon.get("/metrics")[1])
        daemon.process.send_signal(number)
        assert daemon.process.wait(HANG_S) == 0
        assert "secret-token" not in daemon.log
    assert names(database) == ["one", "two"]


def test_a_restart_resumes_from_its_cursors_without_a_list(cluster: SmallCluster, config: Path, tmp_path: Path) -> None:
    database = tmp_path / "db"
    with Process(config, database, ["none"]) as daemon:
        daemon.wait_ready()
        cluster.create("one")
        wait_until(lambda: 'type="ADDED"} 1.0' in daemon.get("/metrics")[1])
        daemon.process.kill()
        daemon.process.wait()
    lists = cluster.lists
    cluster.create("two")
    with Process(config, database, ["none"]) as daemon:
        wait_until(lambda: 'type="ADDED"} 1.0' in daemon.get("/metrics")[1])
        daemon.process.terminate()
        assert daemon.process.wait(HANG_S) == 0
    assert cluster.lists == lists
    assert names(database) == ["one", "two"]


def test_the_name_of_the_cluster_is_stored_and_stays_without_the_option(
    cluster: SmallCluster, config: Path, tmp_path: Path
) -> None:
    database = tmp_path / "db"

    def known() -> list[str]:
        with open_store(str(database), read_only=True) as store:
            return [each.name for each in store.named_clusters()]

    for options, name in (({"cluster_name": "lab"}, "lab"), ({}, "lab"), ({"cluster_name": "staging"}, "staging")):
        with Process(config, database, ["none"], **options) as daemon:
            daemon.wait_ready()
            wait_until(lambda wanted=name: known() == [wanted])  # type: ignore[misc]
            assert daemon.ends() == 0
        assert known() == [name]


def test_a_second_daemon_on_the_same_file_is_refused(config: Path, tmp_path: Path) -> None:
    database = tmp_path / "db"
    with Process(config, database, ["none"]) as daemon:
        daemon.wait_ready()
        with Process(config, database, ["none"]) as second:
            assert second.process.wait(HANG_S) == 2
            assert f"another kspan is writing to this database (pid {daemon.process.pid})" in second.log
        assert daemon.get("/healthz") == (200, "ok\n")


def test_a_port_in_use_is_reported_in_one_line(config: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with Process(config, tmp_path / "db", ["none"], listen=listen) as daemon:
            assert daemon.process.wait(HANG_S) == 2
            assert f"cannot listen on {listen}: Address already in use" in daemon.log


def test_a_closed_trace_is_exported_and_an_open_one_waits_for_the_next_start(
    cluster: SmallCluster, config: Path, tmp_path: Path
) -> None:
    spans, database = tmp_path / "spans.jsonl", tmp_path / "db"
    with Process(config, database, [f"file:{spans}", "none"]) as daemon:
        daemon.wait_ready()
        cluster.create("one")
        wait_until(lambda: spans.exists() and "Deployment.Create" in spans.read_text())
        assert "kspan_open_traces 0.0" in daemon.get("/metrics")[1]
        daemon.process.terminate()
        assert daemon.process.wait(HANG_S) == 0
    (line,) = spans.read_text().splitlines()
    (resource,) = json.loads(line)["resourceSpans"]
    attributes = {entry["key"]: entry["value"]["stringValue"] for entry in resource["resource"]["attributes"]}
    assert attributes["k8s.cluster.uid"] == CLUSTER


def test_every_event_of_an_object_that_is_never_watched_is_sent_once_in_a_trace_of_its_own(tmp_path: Path) -> None:
    """Between two Events of the Lease, longer apart than the maximum age of a trace, all of it is forgotten."""
    spans, database = tmp_path / "spans.jsonl", tmp_path / "db"
    quick = {"hold": "500ms", "settle": "500ms", "max_trace_age": "2s"}
    recording = tmp_path / "recording.jsonl"
    recording.write_text("".join(LEASE.read_text().splitlines(keepends=True)[:8]))
    with ApiServer(token="t0ken") as api:
        api.serve_recording(recording, speed=3, wait_for=["v1/events"])
        with Process(api.kubeconfig(tmp_path / "kubeconfig"), database, [f"file:{spans}"], **quick) as daemon:
            wait_until(lambda: spans.exists() and spans.read_text().count("Lease.LeaderElection") == 3)
            assert daemon.ends() == 0
    sent = re.findall('"traceId":"([0-9a-f]{32})","spanId":"([0-9a-f]{16})"', spans.read_text())
    assert (len({trace for trace, _ in sent}), len({span for _, span in sent})) == (3, 3)
    with open_store(str(database), read_only=True) as store:
        (cluster,) = store.clusters()
        found = [(row["trace_id"], row["span_id"]) for row in store.projection_rows(cluster, "spans")]
    assert sorted(found) == sorted(sent)


def test_a_receiver_that_hangs_does_not_delay_the_stop(
    cluster: SmallCluster, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(int(2 * HANG_S)))
        with Process(config, tmp_path / "db", ["otlp"]) as daemon:
            daemon.wait_ready()
            cluster.create("one")
            silent.settimeout(HANG_S)
            connection, _ = silent.accept()
            with connection:
                daemon.process.terminate()
                assert daemon.process.wait(HANG_S) == 0


def test_a_target_that_is_away_does_not_block_another(
    cluster: SmallCluster, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    targets = [f"file:{spans[0]}", "otlp", f"file:{spans[1]}"]
    with reserved_ports(1) as (port,):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        with Process(config, tmp_path / "db", targets, hold="500ms", settle="1s") as daemon:
            daemon.wait_ready()
            for number in range(3):
                cluster.create(f"number-{number}")
            wait_until(lambda: all(path.exists() and len(found_in(path)) == 3 for path in spans))
            wait_until(lambda: 'kspan_failed_exports_total{target="otlp"} 0.0' not in daemon.get("/metrics")[1])
            assert daemon.ends() == 0
    with open_store(str(tmp_path / "db"), read_only=True) as store:
        assert len(store.unemitted_traces(CLUSTER, "otlp", 10)) == 3
        assert not store.unemitted_traces(CLUSTER, targets[0], 10)


def found_in(spans: Path) -> set[str]:
    return set(re.findall(r"number-\d", spans.read_text()))


def test_the_daemon_waits_for_an_api_server_that_starts_later(tmp_path: Path) -> None:
    with SmallCluster() as gone:
        config = gone.kubeconfig(tmp_path / "kubeconfig")
    with Process(config, tmp_path / "db", ["none"]) as daemon:
        status, reasons = daemon.get("/readyz")
        assert status == 503
        assert reasons.startswith("cluster: ")
        assert daemon.get("/healthz")[0] == 200
        daemon.process.terminate()
        assert daemon.process.wait(HANG_S) == 0


METRICS = {
    "kspan_build": "info",
    "kspan_records": "counter",
    "kspan_commit_seconds": "histogram",
    "kspan_event_lag_seconds": "histogram",
    "kspan_failed_commits": "counter",
    "kspan_skipped_objects": "counter",
    "kspan_gaps": "counter",
    "kspan_queue_length": "gauge",
    "kspan_queue_bytes": "gauge",
    "kspan_open_traces": "gauge",
    "kspan_pending_occurrences": "gauge",
    "kspan_emitted_spans": "counter",
    "kspan_emitted_traces": "counter",
    "kspan_rejected_traces": "counter",
    "kspan_failed_exports": "counter",
    "kspan_watch_restarts": "counter",
    "kspan_watch_connected": "gauge",
    "kspan_watch_reopened": "counter",
    "kspan_invalid_trace_contexts": "counter",
    "kspan_pruned_records": "counter",
}


def test_every_metric_has_a_help_text_and_follows_the_naming_conventions(
    cluster: SmallCluster, config: Path, tmp_path: Path
) -> None:
    target = f"file:{tmp_path / 'spans.jsonl'}"
    with Process(config, tmp_path / "db", [target], hold="500ms", settle="1s") as daemon:
        daemon.wait_ready()
        cluster.create("one")
        wait_until(lambda: re.search(r"kspan_emitted_spans_total\{.*\} 1\.0", daemon.get("/metrics")[1]))
        text = daemon.get("/metrics")[1]
        status, paths = daemon.get("/nothing")
    assert (status, paths.splitlines()[:4]) == (404, ["/healthz", "/readyz", "/metrics", "/api/services"])
    families = {family.name: family for family in text_string_to_metric_families(text)}
    ours = {name: family for name, family in families.items() if name.startswith("kspan_")}
    kinds = {name: family.type for name, family in ours.items()}
    # The text format has no infos: they are gauges of 1.
    assert kinds == {
        name.replace("build", "build_info"): kind.replace("info", "gauge") for name, kind in METRICS.items()
    }
    for name, family in ours.items():
        assert family.documentation.endswith("."), name
        assert not re.search("_(ms|millis|minutes|kb|mb)(_|$)", name), "base units: seconds and bytes"
        if family.type == "counter":
            assert all(sample.name == f"{name}_total" for sample in family.samples)
    values = {
        (s.name, s.labels.get("target", s.labels.get("type", ""))): s.value for f in ours.values() for s in f.samples
    }
    assert values["kspan_records_total", "ADDED"] == 1
    assert values["kspan_records_total", "GAP"] == 0
    assert values["kspan_emitted_spans_total", target] == 1
    assert values["kspan_commit_seconds_count", ""] >= 1
    assert families["process_resident_memory_bytes"].samples[0].value > 1_000_000


def test_readiness_names_the_resources_that_are_not_listed(tmp_path: Path) -> None:
    with ApiServer() as server:
        fault = server.faults.add(Stall(), resource="v1/pods", verb="list")
        with Process(server.kubeconfig(tmp_path / "kubeconfig"), tmp_path / "db", ["none"]) as daemon:
            wait_until(lambda: daemon.get("/readyz") == (503, "watches: not listed yet: v1/pods\n"))
            fault.lift()
            daemon.wait_ready()
            assert daemon.ends() == 0


def test_a_daemon_is_not_ready_while_something_that_it_watched_is_refused(tmp_path: Path) -> None:
    with (
        ApiServer() as server,
        Process(server.kubeconfig(tmp_path / "kubeconfig"), tmp_path / "db", ["none"]) as daemon,
    ):
        daemon.wait_ready()
        server.forbid("v1/pods")
        with server.faults.add(Break(), resource="v1/pods"):
            wait_until(lambda: daemon.get("/readyz") == (503, "watches: not watched at the moment: v1/pods\n"))
        server.allow("v1/pods")
        daemon.wait_ready()
        assert daemon.ends() == 0


def test_a_daemon_that_may_watch_nothing_is_not_ready_and_does_not_claim_to_watch_everything(tmp_path: Path) -> None:
    with ApiServer() as server:
        for target in DEFAULT:
            server.forbid(target.resource)
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
        with Process(kubeconfig, tmp_path / "db", ["none"], cluster="uid") as daemon:
            wait_until(lambda: daemon.get("/readyz")[1].startswith("watches: nothing is watched; refused or unknown: "))
            assert daemon.get("/readyz")[0] == 503
            except_for = "listed and watched, except what is refused or unknown: apps/v1/controllerrevisions, "
            wait_until(lambda: except_for in daemon.log)
            assert daemon.ends() == 0
        assert "all resources are listed and watched" not in daemon.log


def test_a_resource_that_the_api_server_does_not_have_is_an_error_unless_its_definition_can_follow(
    tmp_path: Path,
) -> None:
    with ApiServer() as server:
        server.put("v1/namespaces", {"metadata": {"name": "kube-system"}})
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
        with Process(kubeconfig, tmp_path / "db", ["none"], watch="ingresss") as daemon:
            assert daemon.process.wait(HANG_S) == 2
            assert (
                "--watch 'ingresss': the API server has no such resource; did you mean 'ingresses' or 'ingress'"
                in daemon.log
            )
        with Process(kubeconfig, tmp_path / "db", ["none"], watch="widgets.example.com") as daemon:
            wait_until(lambda: "the API server has no resource 'widgets.example.com'; waiting for it" in daemon.log)
            assert daemon.ends() == 0
