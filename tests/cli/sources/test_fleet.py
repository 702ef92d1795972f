"""Several clusters behind one daemon: the same answers as from the database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kspan.store import open_store
from kspan.web.app import make_app
from kspan.web.guard import Access
from kspan.web.history import History
from kspan.web.server import Server
from tests.apiserver import ApiServer
from tests.cli.sources.commands import NAMESPACE, SERVICE, Remote, Terminal


@pytest.fixture
def fleet(history: str, tmp_path: Path) -> Iterator[Remote]:
    """A daemon that answers for all clusters of a database: `kspan serve` in the cluster."""
    with open_store(history) as writing:
        writing.name_cluster("03-crashloop", "staging")
    with open_store(history, read_only=True) as store, ApiServer(token="mine") as api:
        app = make_app({}, Access(hosts=None), History(lambda _: (store, ""), serves_sql=True, several=True))
        server = Server("127.0.0.1:0", app)
        server.start()
        try:
            api.run_behind(NAMESPACE, SERVICE, server.address)
            yield Remote(api, api.kubeconfig(tmp_path / "kubeconfig"), server.address, history, "")
        finally:
            server.stop()


@pytest.mark.parametrize(
    "command",
    [
        ("--limit", "0"),
        ("--limit", "3"),
        ("--limit", "0", "-o", "json"),
        ("--status", "warning", "-o", "csv"),
        ("--kind", "cronjob", "--limit", "2"),
    ],
    ids=" ".join,
)
def test_the_list_of_all_clusters_is_the_same_from_a_daemon(
    fleet: Remote, terminal: Terminal, command: tuple[str, ...]
) -> None:
    local = terminal.run("traces", "--all-clusters", *command, f"--db={fleet.url}")
    assert local.code == 0
    assert local.out.count(b"\n") > 2
    assert terminal.run("traces", "--all-clusters", *command, *fleet.flags) == local


@pytest.mark.parametrize("cluster", ["staging", "03-crashloop"])
@pytest.mark.parametrize(
    "command",
    [
        ("why", "deploy/crash"),
        ("traces",),
        ("timeline", "-o", "csv"),
        ("sql", "SELECT count(*) FROM spans WHERE cluster = :cluster"),
    ],
    ids=lambda command: command[0],
)
def test_a_daemon_answers_for_the_cluster_that_is_named(
    fleet: Remote, terminal: Terminal, command: tuple[str, ...], cluster: str
) -> None:
    local = terminal.run(*command, "--cluster", cluster, f"--db={fleet.url}")
    assert local.code == 0
    assert terminal.run(*command, "--cluster", cluster, *fleet.flags) == local


def test_a_daemon_of_several_clusters_wants_a_name_and_lists_them(fleet: Remote, terminal: Terminal) -> None:
    missing = terminal.run("traces", *fleet.flags).refused
    assert missing.startswith("--remote: kspan/kspan: several clusters: choose one with the parameter cluster: ")
    assert "staging (03-crashloop)" in missing
    assert "staging (03-crashloop)" in terminal.run("traces", "--cluster", "nope", *fleet.flags).refused


def test_a_daemon_of_one_cluster_lists_that_one(daemon: Remote, terminal: Terminal) -> None:
    one = terminal.run("traces", "-o", "json", *daemon.flags)
    all_of_them = terminal.run("traces", "--all-clusters", "-o", "json", *daemon.flags)
    assert all_of_them.code == 0
    assert all_of_them.out.count(b'"cluster":"02-rolling-update"') == one.out.count(b'"trace_id"') > 0
    assert b"03-crashloop" not in all_of_them.out
