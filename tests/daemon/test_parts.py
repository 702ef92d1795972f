"""The parts of the daemon by themselves: HTTP, logs, schedule, exports, and what happens when one of them dies."""

import io
import json
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kspan.cli.options import parse_duration
from kspan.daemon import logging_setup as logs
from kspan.daemon.cluster_uid import cluster_uid
from kspan.daemon.daemon import Options
from kspan.daemon.http_server import Answer, Server, parse_listen, verdict
from kspan.daemon.main import run
from kspan.daemon.scheduler import Scheduler
from kspan.errors import KspanError, SettingsError
from kspan.graph import Fold, built_in_rules
from kspan.ingest.watch import Selection, connect
from kspan.model import LogRecord, RecordType
from kspan.store import open_store
from kspan.times import SECOND
from tests.apiserver import ApiServer
from tests.daemon.small_cluster import CLUSTER, SmallCluster, get, wait_until

NOW = 1_800_000_000 * SECOND
EVERYWHERE = "0.0.0.0"  # noqa: S104


# HTTP -----------------------------------------------------------------------------------------------------------------


def test_reasons_for_not_being_ready_are_lines() -> None:
    assert verdict([]) == Answer(200, b"ok\n")
    assert verdict(["database: locked", "queue: full"]) == Answer(503, b"database: locked\nqueue: full\n")


def test_an_answer_that_cannot_be_made_is_a_500_and_the_server_lives_on() -> None:
    def broken() -> Answer:
        raise RuntimeError("no")

    server = Server("127.0.0.1:0", {"/broken": broken, "/fine": lambda: verdict([])})
    server.start()
    try:
        url = "http://{}:{}".format(*server.address)
        assert get(url + "/broken")[0] == 500
        assert get(url + "/fine?x=1") == (200, "ok\n")
        assert get(url + "/other") == (404, "/broken\n/fine\n")
    finally:
        server.stop()
        server.stop()


@pytest.mark.parametrize("text", ["8474", "host:port", "127.0.0.1:70000", ""])
def test_an_address_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="HOST:PORT"):
        parse_listen(text)


def test_addresses_are_those_of_the_usual_notations() -> None:
    assert parse_listen("127.0.0.1:8474") == ("127.0.0.1", 8474)
    assert parse_listen(":80") == (EVERYWHERE, 80)
    assert parse_listen("[::1]:80") == ("::1", 80)


def test_a_name_that_has_no_address_is_refused_in_one_line() -> None:
    with pytest.raises(SettingsError, match="cannot listen on no-such-host"):
        Server("no-such-host.invalid:0", {})


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SettingsError, match="in use"):
        Server(f"127.0.0.1:{taken.getsockname()[1]}", {})


# Durations ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, seconds", [("90s", 90), ("1h30m", 5_400), ("7d", 604_800), ("0", 0), ("500ms", 0.5), ("1.5m", 90)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text, "--for") == seconds


@pytest.mark.parametrize("text", ["", "7", "d7", "7 days", "-1s", "1h?"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--for"):
        parse_duration(text, "--for")


# Logs -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_off_a_terminal_each_record_is_a_json_object_with_its_fields(root_logger: logging.Logger) -> None:
    out = io.StringIO()
    logs.set_up("info", out)
    logging.getLogger("kspan.x").warning("gone %d", 1, extra={"resource": "v1/pods", "namespace": "default"})
    logging.getLogger("kspan.x").debug("not told")
    line = json.loads(out.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "kspan.x",
        "message": "gone 1",
        "resource": "v1/pods",
        "namespace": "default",
    }


def test_an_error_is_one_line_of_json_too(root_logger: logging.Logger) -> None:
    out = io.StringIO()
    logs.set_up("info", out)
    try:
        raise ValueError("Authorization: Bearer abcdef.123456")
    except ValueError:
        logging.getLogger("kspan.x").exception("it broke")
    (line,) = out.getvalue().splitlines()
    assert "ValueError" in json.loads(line)["error"]
    assert "abcdef" not in line


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer s3cr3t-t0ken",
        "{'authorization': 'Bearer s3cr3t-t0ken'}",
        "Authorization: Basic s3cr3t-t0ken==",
        "HTTPSConnectionPool(host='x'): /api?token=s3cr3t-t0ken&watch=1",
        "postgresql://kspan:s3cr3t-t0ken@db/kspan",
        "password=s3cr3t-t0ken",
        '{"access_token": "s3cr3t-t0ken"}',
        "x-api-key: s3cr3t-t0ken",
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.s3cr3t-t0ken",
    ],
)
def test_no_token_is_logged(text: str) -> None:
    shown = logs.masked(text)
    assert "s3cr3t" not in shown
    assert logs.MASK in shown


def test_what_is_no_secret_is_left_alone() -> None:
    text = "v1/secrets is not watched: 403 secrets is forbidden; trying again in 600 s (http://127.0.0.1:80/a)"
    assert logs.masked(text) == text


# Scheduler ------------------------------------------------------------------------------------------------------------


def test_a_job_that_hangs_is_not_started_twice_and_keeps_no_other_waiting() -> None:
    schedule, hang = Scheduler(lambda: NOW), threading.Event()
    started: list[int] = []
    ticks: list[int] = []

    def wait(now: int) -> None:
        started.append(now)
        hang.wait()

    schedule.every(0.05, "hang", wait)
    schedule.every(0.05, "tick", ticks.append)
    schedule.start()
    wait_until(lambda: len(ticks) >= 5)
    schedule.stop()
    hang.set()
    assert started == [NOW]
    assert set(ticks) == {NOW}
    assert schedule.failure is None


def test_a_job_that_raises_is_told_and_ends_the_schedule() -> None:
    schedule = Scheduler()
    later: list[int] = []

    def fail(now: int) -> None:
        raise LookupError("odd")

    schedule.every(0.05, "odd", fail)
    schedule.start()
    wait_until(lambda: schedule.failure)
    schedule.every(0.05, "later", later.append)
    schedule.stop()
    assert isinstance(schedule.failure, LookupError)
    assert later == []


# The whole ------------------------------------------------------------------------------------------------------------


def test_a_part_that_dies_ends_the_whole_with_exit_code_1_and_the_reason(
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


def test_a_cluster_that_does_not_tell_its_uid_is_known_by_the_database_or_named_by_the_user(tmp_path: Path) -> None:
    with ApiServer() as server, open_store("sqlite://") as store:
        server.forbid("v1/namespaces")
        connection = connect(str(server.kubeconfig(tmp_path / "config")))
        with pytest.raises(KspanError, match="--cluster UID"):
            cluster_uid(connection, store)
        record = LogRecord(RecordType.TICK, NOW)
        from kspan.model import Delta

        store.commit(CLUSTER, 1, [record], [], Delta())
        assert cluster_uid(connection, store) == CLUSTER
        server.allow("v1/namespaces")
        assert cluster_uid(connection, store) == server.cluster_uid
        connection.close()
