"""The daemon as a whole: what happens when a part dies, and how it learns which cluster it watches."""

from pathlib import Path

import pytest

from kspan.daemon.cluster_uid import cluster_uid
from kspan.daemon.daemon import Options
from kspan.daemon.main import run
from kspan.errors import KspanError
from kspan.graph import Fold, built_in_rules
from kspan.ingest.watch import Selection, connect
from kspan.model import Delta, LogRecord, RecordType
from kspan.store import open_store
from kspan.times import SECOND
from tests.apiserver import ApiServer
from tests.daemon.small_cluster import CLUSTER, SmallCluster

NOW = 1_800_000_000 * SECOND


def test_a_part_that_dies_ends_the_daemon_with_exit_code_1_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def odd(self: Fold, sequence: int, record: LogRecord) -> None:
        raise LookupError("a mistake in the fold")

    monkeypatch.setattr(Fold, "apply", odd)
    with SmallCluster() as cluster, open_store(str(tmp_path / "db")) as store:
        connection = connect(str(cluster.kubeconfig(tmp_path / "kubeconfig")))
        cluster.create("one")
        options = Options(listen="127.0.0.1:0")
        code = run(store, connection, Selection(), built_in_rules(), [], options)
        connection.close()
    assert code == 1
    assert "the writer died: a mistake in the fold" in caplog.text


def test_a_cluster_uid_that_must_not_be_read_comes_from_the_database_or_the_user(tmp_path: Path) -> None:
    with ApiServer() as server, open_store("sqlite://") as store:
        server.forbid("v1/namespaces")
        connection = connect(str(server.kubeconfig(tmp_path / "config")))
        with pytest.raises(KspanError, match="--cluster UID"):
            cluster_uid(connection, store)
        record = LogRecord(RecordType.TICK, NOW)
        store.commit(CLUSTER, 1, [record], [], Delta())
        assert cluster_uid(connection, store) == CLUSTER
        server.allow("v1/namespaces")
        assert cluster_uid(connection, store) == server.cluster_uid
        connection.close()
