"""The database is full or locked while the cluster continues: the daemon reports it, waits, and loses nothing."""

import errno
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from kspan.store import open_store
from tests.acceptance.conftest import Undisturbed
from tests.acceptance.harness import (
    records_and_unsent,
    serving,
    spans_received,
    start,
    wait_for,
    wait_until_all_is_emitted,
)
from tests.apiserver import ApiServer
from tests.daemon.small_cluster import Process, get
from tests.emit.receivers import free_ports, run_rotel
from tests.limits import HANG_S

SCENARIO = "02-rolling-update"

DISK = "64m"
"""Enough for the database of the scenario. The rest of the disk is filled."""

LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("has it", flush=True)
sys.stdin.read()
"""

LOCKED_S = 10.0


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert mounted.returncode == 0, f"this test mounts a tmpfs, which takes root (CAP_SYS_ADMIN): {mounted.stderr}"
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def full(database: Path) -> Iterator[None]:
    """The disk of the database is full."""
    ballast = database.with_name("ballast")
    with ballast.open("wb", buffering=0) as file:
        size = 1024 * 1024
        while size:
            try:
                file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process holds the write lock of the database."""
    other = subprocess.Popen(
        [sys.executable, "-c", LOCK, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "has it\n"
        began = time.monotonic()
        yield
        time.sleep(max(0.0, LOCKED_S - (time.monotonic() - began)))
    finally:
        other.communicate()


@pytest.mark.parametrize("outage, said", [(full, "full"), (locked, "locked")])
def test_an_outage_of_the_database_is_reported_and_nothing_is_lost(
    tmp_path: Path, undisturbed: Undisturbed, outage: Callable[[Path], AbstractContextManager[None]], said: str
) -> None:
    log, (port,) = tmp_path / "kspan.log", free_ports(1)
    page = f"http://127.0.0.1:{port}"
    with small_disk(tmp_path / "disk") as disk, run_rotel(tmp_path) as rotel, serving(SCENARIO, tmp_path) as cluster:
        database = disk / "kspan.sqlite"
        daemon = start(cluster.kubeconfig, database, rotel, log, "--listen", f"127.0.0.1:{port}")
        try:
            wait_for(lambda: records_and_unsent(database)[1] > 0, "something is on its way")
            wait_for(lambda: get(f"{page}/readyz") == (200, "ok\n"), "everything is listed")
            with outage(database):
                wait_for(lambda: get(f"{page}/readyz")[1].startswith("database: "), "it says that it is not ready")
                assert get(f"{page}/readyz")[0] == 503
                assert get(f"{page}/healthz") == (200, "ok\n"), "restarting it would mend nothing"
                wait_for(lambda: said in log.read_text(), "the reason is in the log")
                wait_for(cluster.finished, "the cluster continues")
            wait_for(lambda: get(f"{page}/readyz") == (200, "ok\n"), "it is ready again")
            wait_until_all_is_emitted(database, daemon, cluster)
            daemon.terminate()
            assert daemon.wait(HANG_S) == 0
            assert spans_received(rotel) == undisturbed(SCENARIO)
        finally:
            daemon.kill()
            daemon.wait()
    messages = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    assert sum("database unavailable" in message for message in messages) <= 3, "an outage is logged when it begins"
    assert "database available again, ingestion continues" in messages


PODS = 16_000
POD_BYTES = 8_000
QUEUE_BYTES = 5_000 * POD_BYTES
ROOM = 40_000_000
"""Bytes for everything but the queue: a batch, buffers, the interpreter. All Pods together are three times as large as
this and the queue."""


def resident(daemon: Process) -> int:
    (line,) = [x for x in daemon.get("/metrics")[1].splitlines() if x.startswith("process_resident_memory_bytes ")]
    return int(float(line.split()[1]))


def test_memory_stays_flat_while_the_database_is_locked_and_everything_is_journalled_after(tmp_path: Path) -> None:
    database = tmp_path / "kspan.sqlite"
    note = {"annotations": {"note": "x" * POD_BYTES}}
    with ApiServer() as server:
        server.put("v1/pods", {"metadata": {"name": "first", "namespace": "default"} | note})
        with Process(server.kubeconfig(tmp_path / "kubeconfig"), database, ["none"]) as daemon:
            daemon.wait_ready()
            before = resident(daemon)
            with locked(database):
                for number in range(PODS):
                    server.put("v1/pods", {"metadata": {"name": f"pod-{number}", "namespace": "default"} | note})
                wait_for(lambda: "queue: full with 5000 frames" in daemon.get("/readyz")[1], "the watches wait")
                sizes = []
                for _ in range(20):
                    sizes.append(resident(daemon))
                    time.sleep(0.1)
            assert max(sizes) - before < QUEUE_BYTES + ROOM, f"{before:,} {max(sizes):,}"
            assert max(sizes) - sizes[0] < 4_000_000, f"it grows: {sizes}"
            wait_for(lambda: f'type="ADDED"}} {PODS}.0' in daemon.get("/metrics")[1], "all of it")
            wait_for(lambda: daemon.get("/readyz") == (200, "ok\n"), "ready again")
            assert daemon.ends() == 0
    with open_store(str(database), read_only=True) as store:
        (cluster,) = store.clusters()
        names = {record.name for run in store.replay(cluster) for _, record in run if record.resource == "v1/pods"}
    assert len(names) == PODS + 1
