"""`show` and `diff` as a user meets them: real processes on a replayed recording."""

import json
from pathlib import Path

import pytest
import yaml

from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.pipeline.replay import replay
from kspan.store import open_store
from tests.cli.commands.test_commands import kspan, refused
from tests.recordings import recording

WEB = ("deploy/web", "-n", "rolling-update")
POD = "pod/web-854b7f4f-9xzlt"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rolling update, replayed."""
    path = tmp_path_factory.mktemp("objects") / "db.sqlite"
    with open_store(str(path)) as store:
        replay(store, read_frames([str(recording("02-rolling-update"))]), built_in_rules())
    return path


@pytest.mark.parametrize("at, image", [("2026-11-22 10:25:04", "v1"), ("2026-11-22 10:25:30", "v2")])
def test_show_prints_the_manifest_at_a_time(db: Path, at: str, image: str) -> None:
    done = kspan("show", *WEB, "--at", at, "--db", db)
    assert (done.returncode, done.stderr) == (0, "")
    manifest = yaml.safe_load(done.stdout)
    assert list(manifest) == ["apiVersion", "kind", "metadata", "spec", "status"]
    assert manifest["spec"]["template"]["spec"]["containers"][0]["image"].endswith(f":{image}")
    assert "managedFields" not in manifest["metadata"]
    as_json = kspan("show", *WEB, "--at", at, "--db", db, "-o", "json")
    assert json.loads(as_json.stdout) == manifest


def test_show_prints_managed_fields_if_asked(db: Path) -> None:
    done = kspan("show", *WEB, "--show-managed-fields", "--db", db)
    assert yaml.safe_load(done.stdout)["metadata"]["managedFields"]


def test_show_prints_the_last_version_of_a_deleted_object_and_says_so(db: Path) -> None:
    done = kspan("show", POD, "--db", db)
    assert done.stderr == (
        "kspan: Pod rolling-update/web-854b7f4f-9xzlt was deleted at 2026-11-22T10:25:53Z: this is its last version\n"
    )
    assert yaml.safe_load(done.stdout)["metadata"]["name"] == "web-854b7f4f-9xzlt"


def test_diff_shows_the_last_change(db: Path) -> None:
    done = kspan("diff", *WEB, "--db", db)
    assert (done.returncode, done.stderr) == (0, "")
    changed = [line.strip("+- ") for line in done.stdout.splitlines() if line[:2] in ("+ ", "- ")]
    assert changed == ["image: registry.example.com/shop/web:v2", "image: registry.example.com/shop/web:v1"]


def test_diff_between_two_times_has_what_changed_between_them(db: Path) -> None:
    window = ("--from", "2026-11-22 10:25:20", "--to", "2026-11-22 10:25:40")
    answer = json.loads(kspan("diff", *WEB, *window, "--db", db, "-o", "json").stdout)
    assert answer["patch"] == [{"op": "replace", "path": "/spec/replicas", "value": 4}]
    assert answer["from"]["resource_version"] != answer["to"]["resource_version"]


@pytest.mark.parametrize("output", ["diff", "json"])
def test_diff_of_equal_versions_says_so(db: Path, output: str) -> None:
    window = ("--from", "2026-11-22 10:25:55", "--to", "2026-11-22 10:25:59")
    done = kspan("diff", *WEB, *window, "--db", db, "-o", output)
    assert done.returncode == 0
    assert done.stderr.startswith("kspan: no difference between 2026-11-22T10:25:52Z and ")
    assert (json.loads(done.stdout)["patch"] if output == "json" else done.stdout.strip()) in ([], "")


def test_diff_of_an_object_that_never_changed_says_so(db: Path) -> None:
    done = kspan("diff", "ns/rolling-update", "--db", db)
    assert (done.returncode, done.stdout.strip()) == (0, "")
    assert done.stderr == (
        "kspan: the journal has no earlier version of Namespace rolling-update that differs: "
        "use --show-status to compare the status too\n"
    )


@pytest.mark.parametrize(
    "args, expected",
    [
        (("show", "pod/web"), "Pod web is not known: did you mean deployment/web -n rolling-update?"),
        (("show", *WEB, "-o", "table"), "--output: invalid format 'table': use yaml or json"),
        (("show", *WEB, "--at", "2026-11-01"), "no version of Deployment rolling-update/web from before 2026-11-01"),
        (("diff", *WEB, "-o", "yaml"), "--output: invalid format 'yaml': use diff or json"),
        (("diff", *WEB, "--from", "10:00", "--to", "2026-11-22"), "--from is later than --to: exchange them"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_reported_in_one_line_with_exit_code_2(db: Path, args: tuple[str, ...], expected: str) -> None:
    assert expected in refused(kspan(*args, "--db", db))


@pytest.mark.parametrize("command", ["show", "diff"])
def test_the_help_has_examples(command: str) -> None:
    done = kspan(command, "--help")
    assert f"  kspan {command} " in done.stdout.partition("Examples:")[2]
