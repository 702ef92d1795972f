"""``kspan run`` on a database of another version: an older history is rebuilt, a newer one refused in one line."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kspan.graph.state.version import FOLD_VERSION
from kspan.store import open_store
from tests.daemon.small_cluster import CLUSTER, Process, SmallCluster, wait_until
from tests.limits import HANG_S


def record_version(database: Path, version: int) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE fold_history SET fold_version = ?", (version,))
        connection.execute("UPDATE objects SET state = x'90' WHERE remembered")
        connection.commit()


def recorded_version(database: Path) -> int | None:
    with open_store(str(database), read_only=True) as store:
        return store.fold_version(CLUSTER)


@pytest.fixture
def cluster() -> Iterator[SmallCluster]:
    with SmallCluster() as running:
        yield running


def test_the_daemon_rebuilds_an_older_history_and_refuses_a_newer_one(cluster: SmallCluster, tmp_path: Path) -> None:
    config, database = cluster.kubeconfig(tmp_path / "kubeconfig"), tmp_path / "db"
    with Process(config, database, ["none"]) as daemon:
        daemon.wait_ready()
        cluster.create("before")
        wait_until(lambda: recorded_version(database) == FOLD_VERSION)
        assert daemon.ends() == 0
    record_version(database, FOLD_VERSION - 1)
    with Process(config, database, ["none"]) as daemon:
        daemon.wait_ready()
        assert daemon.ends() == 0
        assert "the history was written by an older kspan: rebuilt it from" in daemon.log
    assert recorded_version(database) == FOLD_VERSION
    record_version(database, FOLD_VERSION + 1)
    with Process(config, database, ["none"]) as daemon:
        assert daemon.process.wait(HANG_S) == 2
        assert "Traceback" not in daemon.log
        last = daemon.log.splitlines()[-1]
        assert last.startswith(
            f"kspan: error: {database}: was written by a newer kspan (fold version {FOLD_VERSION + 1}"
        )
