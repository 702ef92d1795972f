"""Receivers and API servers go away and come back: nothing is lost, and gaps are recorded."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from kspan.errors import StoreError
from kspan.store import Store, open_store
from tests.acceptance.conftest import Undisturbed
from tests.acceptance.harness import (
    Receiver,
    records_and_unsent,
    serving,
    spans_received,
    start,
    wait_for,
    wait_until_all_is_emitted,
)
from tests.apiserver import ApiServer
from tests.daemon.small_cluster import get
from tests.emit.receivers import free_ports, reserved_ports, run_rotel
from tests.limits import HANG_S

SCENARIO = "02-rolling-update"
DEPLOYMENTS = "apps/v1/deployments"


def ask(database: Path, question: Callable[[Store, str], bool]) -> bool:
    """The answer of the database about its cluster; False while there is none."""
    try:
        with open_store(str(database), read_only=True) as store:
            clusters = store.clusters()
            return bool(clusters) and question(store, clusters[0])
    except StoreError:
        return False


def all_closed(store: Store, cluster: str) -> bool:
    live = store.load_projection(cluster)
    return not live.pending and not live.spans and not live.traces


def test_a_receiver_that_was_away_gets_everything_when_it_is_back(tmp_path: Path, undisturbed: Undisturbed) -> None:
    database, log = tmp_path / "kspan.sqlite", tmp_path / "kspan.log"
    with serving(SCENARIO, tmp_path) as cluster, ExitStack() as away:
        ports = away.enter_context(reserved_ports(2))
        daemon = start(cluster.kubeconfig, database, Receiver(f"http://127.0.0.1:{ports[1]}"), log)
        try:
            wait_for(lambda: cluster.finished() and ask(database, all_closed), "every trace is closed")
            assert records_and_unsent(database)[1] > 0
            assert daemon.poll() is None
            away.close()
            with run_rotel(tmp_path, ports) as rotel:
                wait_until_all_is_emitted(database, daemon, cluster)
                daemon.terminate()
                assert daemon.wait(HANG_S) == 0
                assert spans_received(rotel) == undisturbed(SCENARIO)
        finally:
            daemon.kill()
            daemon.wait()
    assert (
        log.read_text().count("export to otlp failing") <= 3
    )  # An outage is logged when it begins, not at every attempt.


def journalled(store: Store, cluster: str) -> dict[str, list[str]]:
    """Names of the Deployments in the journal, by the type of the record."""
    found: dict[str, list[str]] = {}
    for records in store.replay(cluster):
        for _, record in records:
            if record.resource == DEPLOYMENTS:
                found.setdefault(record.type.value, []).append(record.name)
    return found


def deployment(name: str, replicas: int, namespace: str = "default") -> dict[str, object]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "generation": 1},
        "spec": {"replicas": replicas},
    }


def test_a_compacted_api_server_is_listed_again_and_the_gap_is_recorded(tmp_path: Path) -> None:
    database, log = tmp_path / "kspan.sqlite", tmp_path / "kspan.log"

    with ApiServer() as server:
        for name in ("stays", "changes", "vanishes"):
            server.put(DEPLOYMENTS, deployment(name, 1))
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
        (port,) = free_ports(1)
        daemon = start(kubeconfig, database, Receiver(f"http://127.0.0.1:{port}"), log)
        try:
            wait_for(lambda: ask(database, lambda s, c: len(journalled(s, c).get("LISTED", [])) == 3), "the first list")
            server.stop()
            server.delete(DEPLOYMENTS, "default", "vanishes")
            server.patch(DEPLOYMENTS, "default", "changes", {"spec": {"replicas": 5}})
            server.put(DEPLOYMENTS, deployment("comes", 1))
            server.compact()
            server.start()
            wait_for(lambda: ask(database, lambda s, c: "GAP" in journalled(s, c)), "the gap")
            with open_store(str(database), read_only=True) as store:
                (cluster,) = store.clusters()
                found = journalled(store, cluster)
                gaps = [row for row in store.projection_rows(cluster, "gaps") if row["resource"] == DEPLOYMENTS]
            assert found["DELETED"] == ["vanishes"]
            assert found["MODIFIED"] == ["changes"]
            assert found["ADDED"] == ["comes"]
            assert len(gaps) == 1
            assert int(gaps[0]["from_version"]) < int(gaps[0]["to_version"])
            daemon.terminate()
            assert daemon.wait(HANG_S) == 0
        finally:
            daemon.kill()
            daemon.wait()


def test_a_restored_etcd_is_a_gap_and_later_changes_are_recorded(tmp_path: Path) -> None:
    database, log = tmp_path / "kspan.sqlite", tmp_path / "kspan.log"
    with ApiServer() as server:
        for name in ("reverted", "same"):
            server.put(DEPLOYMENTS, deployment(name, 1))
        backup = server.storage.backup()
        server.patch(DEPLOYMENTS, "default", "reverted", {"spec": {"replicas": 5}})
        for name in ("lost-1", "lost-2", "lost-3"):
            server.put(DEPLOYMENTS, deployment(name, 1))
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
        (port,) = free_ports(1)
        daemon = start(kubeconfig, database, None, log, "--listen", f"127.0.0.1:{port}")
        failures = re.compile(rf'kspan_watch_restarts_total.*"disconnected",resource="{DEPLOYMENTS}".* ([0-9.]+)')
        try:
            wait_for(lambda: ask(database, lambda s, c: len(journalled(s, c).get("LISTED", [])) == 5), "the first list")
            server.stop()
            server.storage.restore(backup)
            page = f"http://127.0.0.1:{port}/metrics"
            wait_for(lambda: any(float(n) > 1 for n in failures.findall(get(page)[1])), "the server does not answer")
            server.start()
            wait_for(lambda: ask(database, lambda s, c: "GAP" in journalled(s, c)), "the gap")
            server.patch(DEPLOYMENTS, "default", "same", {"spec": {"replicas": 2}})
            wait_for(lambda: ask(database, lambda s, c: "same" in journalled(s, c).get("MODIFIED", [])), "the change")
            with open_store(str(database), read_only=True) as store:
                (cluster,) = store.clusters()
                found = journalled(store, cluster)
                (gap,) = [row for row in store.projection_rows(cluster, "gaps") if row["resource"] == DEPLOYMENTS]
            assert sorted(found["DELETED"]) == ["lost-1", "lost-2", "lost-3"]
            assert found["MODIFIED"] == ["reverted", "same"]
            assert "ADDED" not in found
            assert int(gap["from_version"]) > int(gap["to_version"])
            assert "was etcd restored?" in gap["reason"]
            daemon.terminate()
            assert daemon.wait(HANG_S) == 0
        finally:
            daemon.kill()
            daemon.wait()


def test_other_namespaces_after_a_restart_delete_and_add_nothing(tmp_path: Path) -> None:
    database, log = tmp_path / "kspan.sqlite", tmp_path / "kspan.log"
    with ApiServer() as server:
        for namespace in ("bank", "shop"):
            server.put(DEPLOYMENTS, deployment(f"in-{namespace}", 1, namespace))
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")

        def watch(namespaces: list[str], until: Callable[[dict[str, list[str]]], bool]) -> dict[str, list[str]]:
            flags = [flag for name in namespaces for flag in ("--namespace", name)]
            daemon = start(kubeconfig, database, None, log, *flags)
            try:
                wait_for(lambda: ask(database, lambda s, c: until(journalled(s, c))), f"what {namespaces} hold")
                daemon.terminate()
                assert daemon.wait(HANG_S) == 0
            finally:
                daemon.kill()
                daemon.wait()
            with open_store(str(database), read_only=True) as store:
                return journalled(store, store.clusters()[0])

        assert watch(["shop"], lambda found: "LISTED" in found) == {"LISTED": ["in-shop"]}
        server.put(DEPLOYMENTS, deployment("more-shop", 1, "shop"))
        found = watch(["bank"], lambda found: "GAP" in found)
        assert found == {"LISTED": ["in-shop", "in-bank"], "GAP": [""]}
        found = watch([], lambda found: len(found["GAP"]) == 2)
        assert found == {"LISTED": ["in-shop", "in-bank", "more-shop"], "GAP": ["", ""]}
