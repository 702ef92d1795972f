"""Several clusters in one database: --cluster accepts names, and `traces --all-clusters` lists all."""

import csv
import io
import json
import subprocess
from pathlib import Path

import pytest

from kspan.store import open_store
from tests.cli.commands.test_commands import kspan, refused
from tests.recordings import recording

STAGING, BARE = "uid-of-staging", "uid-without-a-name"


def replay(db: Path, scenario: str, *more: str) -> subprocess.CompletedProcess[str]:
    return kspan("replay", recording(scenario), "--db", db, "--export", "none", *more)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clusters with names and one without."""
    path = tmp_path_factory.mktemp("clusters") / "db.sqlite"
    for scenario, *more in (
        ("02-rolling-update", "--cluster-name", "prod"),
        ("03-crashloop", "--cluster", STAGING, "--cluster-name", "staging"),
        ("07-job-cronjob", "--cluster", BARE),
    ):
        assert replay(path, scenario, *more).returncode == 0
    return path


def prod(db: Path) -> str:
    with open_store(str(db), read_only=True) as store:
        return next(each.uid for each in store.named_clusters() if each.name == "prod")


@pytest.mark.parametrize(
    "command",
    [
        ("traces",),
        ("timeline", "--limit", "5"),
        ("rollouts",),
        ("why", "deploy/web"),
        ("show", "deploy/web"),
        ("diff", "deploy/web"),
        ("sql", "SELECT count(*) FROM spans WHERE cluster = :cluster"),
        ("db", "verify"),
    ],
    ids=lambda command: command[0],
)
def test_a_name_means_the_same_as_the_uid(db: Path, command: tuple[str, ...]) -> None:
    named = kspan(*command, "--db", db, "--cluster", "prod")
    assert (named.returncode, named.stderr) == (0, kspan(*command, "--db", db, "--cluster", prod(db)).stderr)
    assert named.stdout == kspan(*command, "--db", db, "--cluster", prod(db)).stdout != ""


def test_the_statistics_have_the_names(db: Path) -> None:
    lines = kspan("db", "stats", "--db", db).stdout.splitlines()
    clusters = sorted(line.partition("    ")[2] for line in lines if line.startswith("cluster"))
    assert clusters == sorted([f"{prod(db)}  prod", f"{STAGING}  staging", BARE])


def test_without_a_cluster_or_with_an_unknown_one_names_and_uids_are_listed(db: Path) -> None:
    known = f"{prod(db)}"
    clusters = sorted([(known, "prod"), (STAGING, "staging"), (BARE, "")])
    listed = ", ".join(f"{name} ({uid})" if name else uid for uid, name in clusters)
    assert refused(kspan("traces", "--db", db)).endswith(f"several clusters: choose one with --cluster: {listed}")
    unknown = refused(kspan("traces", "--db", db, "--cluster", "prd"))
    assert unknown.endswith(f"unknown cluster 'prd'; the database has {listed}")


def test_a_name_of_two_clusters_is_refused_with_their_uids(tmp_path: Path) -> None:
    db = tmp_path / "db.sqlite"
    for uid in ("a", "b"):
        assert replay(db, "03-crashloop", "--cluster", uid, "--cluster-name", "twin").returncode == 0
    problem = refused(kspan("traces", "--db", db, "--cluster", "twin"))
    assert problem.endswith("several clusters have the name 'twin': choose one by its uid with --cluster: a, b")
    assert kspan("traces", "--db", db, "--cluster", "b").returncode == 0


def test_a_replay_into_a_known_cluster_can_name_it(tmp_path: Path) -> None:
    db = tmp_path / "db.sqlite"
    assert replay(db, "03-crashloop", "--cluster", "a", "--cluster-name", "lab").returncode == 0
    again = replay(db, "03-crashloop", "--cluster", "lab")
    assert "0 records journalled" in again.stderr
    with open_store(str(db), read_only=True) as store:
        assert store.clusters() == ["a"], "lab is a, and not a new cluster"


@pytest.mark.parametrize("name", ["x" * 254, "two\nlines", "\x1b[31mred"])
def test_a_name_that_cannot_be_typed_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    done = replay(tmp_path / "db.sqlite", "03-crashloop", "--cluster-name", name)
    assert refused(done).endswith("--cluster-name: use at most 253 printable characters")
    assert not (tmp_path / "db.sqlite").exists()


def test_the_traces_of_all_clusters_are_one_list_newest_first(db: Path) -> None:
    rows = json.loads(kspan("traces", "--db", db, "--all-clusters", "--limit", "0", "-o", "json").stdout)
    starts = [row["start_time"] for row in rows]
    assert starts == sorted(starts, reverse=True)
    assert {(row["cluster"], row["cluster_name"]) for row in rows} == {
        (prod(db), "prod"),
        (STAGING, "staging"),
        (BARE, ""),
    }
    for uid in (prod(db), STAGING, BARE):
        alone = json.loads(kspan("traces", "--db", db, "--cluster", uid, "--limit", "0", "-o", "json").stdout)
        mine = [
            {name: value for name, value in row.items() if not name.startswith("cluster")}
            for row in rows
            if row["cluster"] == uid
        ]
        assert mine == alone, "each cluster's traces are those that it lists alone"


def test_the_table_of_all_clusters_begins_with_the_name_or_else_the_uid(db: Path) -> None:
    done = kspan("traces", "--db", db, "--all-clusters", "--limit", "0")
    header, *lines = done.stdout.splitlines()
    assert header.split()[:2] == ["CLUSTER", "TRACE"]
    assert {line.split()[0] for line in lines} == {"prod", "staging", BARE}
    assert "CLUSTER" not in kspan("traces", "--db", db, "--cluster", "prod").stdout


def test_the_list_of_all_clusters_is_filtered_limited_and_says_so(db: Path) -> None:
    filters = ("--status", "warning", "--limit", "2")
    done = kspan("traces", "--db", db, "--all-clusters", *filters, "-o", "csv")
    assert done.stderr == "kspan: only the newest 2 are shown; use --limit 0 for all\n"
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 2
    assert all(int(row["warnings"]) > 0 for row in rows)
    # Only one of the clusters has CronJobs.
    found = json.loads(kspan("traces", "--db", db, "--all-clusters", "--kind", "cronjob", "-o", "json").stdout)
    assert {row["cluster"] for row in found} == {BARE}
    assert "no object of kind" in refused(kspan("traces", "--db", db, "--all-clusters", "--kind", "nonsense"))


def test_all_clusters_and_one_cluster_exclude_each_other(db: Path) -> None:
    problem = refused(kspan("traces", "--db", db, "--all-clusters", "--cluster", "prod"))
    assert problem.endswith("--all-clusters and --cluster exclude each other: remove one of them")
