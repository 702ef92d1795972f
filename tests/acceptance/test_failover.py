"""Two daemons for one cluster on one PostgreSQL: one writes, the other waits, and the traces are the same."""

import json
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.conftest import Undisturbed
from tests.acceptance.harness import (
    Cluster,
    records_and_unsent,
    serving,
    spans_received,
    start,
    wait_until_all_is_emitted,
)
from tests.daemon.small_cluster import wait_until
from tests.emit.receivers import Rotel, run_rotel
from tests.limits import HANG_S
from tests.postgres import PASSWORD, PostgresServer

SCENARIO = "02-rolling-update"


class Daemon:
    """A ``kspan run`` and what it says."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def says(self, words: str) -> bool:
        assert self.process.poll() is None, self.log
        return words in self.log

    def readiness(self) -> str:
        listening = re.search(r"listening on (http://[\d.:]+)", self.log)
        assert listening is not None
        try:
            with urllib.request.urlopen(f"{listening[1]}/readyz", timeout=HANG_S) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return str(error.read().decode())


class House(NamedTuple):
    """A cluster, a receiver and a database."""

    cluster: Cluster
    rotel: Rotel
    database: str
    folder: Path


@contextmanager
def daemon(house: House, name: str) -> Iterator[Daemon]:
    log = house.folder / f"{name}.log"
    process = start(house.cluster.kubeconfig, house.database, house.rotel, log)
    try:
        yield Daemon(process, log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def house(postgres: PostgresServer, tmp_path: Path) -> Iterator[House]:
    name = postgres.create()
    with run_rotel(tmp_path) as rotel, serving(SCENARIO, tmp_path) as cluster:
        yield House(cluster, rotel, postgres.url(name, tcp=True), tmp_path)
    postgres.drop(name)


@pytest.fixture
def expected(undisturbed: Undisturbed) -> dict[str, list[str]]:
    """From SQLite: the store makes no difference either, but for the order of attributes."""
    return in_any_order(undisturbed(SCENARIO))


def in_any_order(spans: dict[str, str]) -> dict[str, list[str]]:
    def without_number(line: str) -> str:
        return re.sub(r"^\s+-> ", "-> ", line)

    return {span: sorted(map(without_number, content.splitlines())) for span, content in spans.items()}


def wait_until_it_writes(house: House) -> None:
    wait_until(lambda: records_and_unsent(house.database)[0] > 20)


def wait_until_it_waits(waiting: Daemon) -> None:
    wait_until(lambda: waiting.says("waiting to take over"))
    assert "leadership: another kspan (" in waiting.readiness()


def finish(house: House, leading: Daemon, expected: dict[str, list[str]]) -> None:
    wait_until_all_is_emitted(house.database, leading.process, house.cluster)
    assert in_any_order(spans_received(house.rotel)) == expected
    assert len(expected) > 10
    leading.process.terminate()
    assert leading.process.wait(HANG_S) == 0, leading.log
    assert PASSWORD not in leading.log


@pytest.mark.timeout(3600)
def test_the_second_takes_over_when_the_first_is_killed(house: House, expected: dict[str, list[str]]) -> None:
    with daemon(house, "first") as first:
        wait_until_it_writes(house)
        with daemon(house, "second") as second:
            wait_until_it_waits(second)
            first.process.kill()
            wait_until(lambda: second.says("watching cluster"))
            finish(house, second, expected)


@pytest.mark.timeout(3600)
def test_a_leader_that_was_paused_cannot_write_after_another_took_over(
    house: House, expected: dict[str, list[str]], postgres: PostgresServer
) -> None:
    with daemon(house, "first") as first:
        wait_until_it_writes(house)
        theirs = "SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name = 'kspan'"
        ((sessions,),) = postgres.execute(theirs)
        with daemon(house, "second") as second:
            wait_until_it_waits(second)
            first.process.send_signal(signal.SIGSTOP)
            for session in sessions:
                postgres.execute(f"SELECT pg_terminate_backend({session})")
            wait_until(lambda: second.says("watching cluster"))
            first.process.send_signal(signal.SIGCONT)
            assert first.process.wait(HANG_S) == 1
            last_words = [json.loads(line)["message"] for line in first.log.splitlines()]
            assert any("has taken over cluster" in words for words in last_words), first.log
            assert PASSWORD not in first.log
            finish(house, second, expected)
