"""Commands as processes in unfriendly surroundings: full disks, closed streams, directories of other users."""

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli.commands.test_commands import refused
from tests.forking import forked
from tests.permissions import shared_folder
from tests.recordings import recording

ROLLING_UPDATE = recording("02-rolling-update")
KSPAN = (sys.executable, "-m", "kspan")


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("surroundings") / "db.sqlite"
    subprocess.run([*KSPAN, "replay", ROLLING_UPDATE, "--db", path, "--export", "none"], check=True)
    return path


def shell(script: str, db: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a script of bash in which ``"$@"`` is the command. It becomes a new interpreter if a stream is closed."""
    environment = os.environ | {"KSPAN_DB": str(db)}
    command = ["bash", "-c", script, "bash", *forked(), *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


# Standard output

JOURNAL = "SELECT * FROM journal"
PRINTING = [
    ("--help",),
    ("--version",),
    ("sql", "--help"),
    ("traces",),
    ("traces", "-o", "json"),
    ("traces", "-o", "csv"),
    ("timeline",),
    ("timeline", "-o", "json"),
    ("timeline", "--follow", "--since", "2026-11-22T10:00:00Z"),
    ("timeline", "--follow", "--since", "2026-11-22T10:00:00Z", "-o", "json"),
    ("why", "deploy/web"),
    ("why", "deploy/web", "-o", "json"),
    ("db", "stats"),
    ("db", "stats", "-o", "json"),
    ("db", "verify"),
    ("rules", "list"),
    ("rules", "explain", str(ROLLING_UPDATE)),
    ("rules", "explain", str(ROLLING_UPDATE), "-o", "json"),
    ("sql", "--schema"),
    *(("sql", JOURNAL, "-o", form) for form in ("table", "record", "json", "jsonl", "csv", "parquet")),
]


def words(args: tuple[str, ...]) -> str:
    return " ".join(args).replace(str(ROLLING_UPDATE), "FILE")


@pytest.mark.parametrize("args", PRINTING, ids=words)
def test_output_that_cannot_be_written_is_an_error_of_one_line(db: Path, args: tuple[str, ...]) -> None:
    full = shell('exec "$@" > /dev/full', db, *args)
    assert refused(full) == "standard output cannot be written: no space left on device"
    closed = shell('exec "$@" >&-', db, *args)
    assert refused(closed) == "standard output cannot be written: it is closed"
    assert all(line.startswith("kspan: ") for line in (full.stderr + closed.stderr).splitlines())


@pytest.mark.parametrize("args", PRINTING, ids=words)
def test_a_reader_that_exits_ends_the_command_quietly(db: Path, args: tuple[str, ...]) -> None:
    done = shell('"$@" | true; exit "${PIPESTATUS[0]}"', db, *args)
    assert done.returncode == 0
    assert "rror" not in done.stderr


@pytest.mark.parametrize("redirection, reason", [("> /dev/full", "no space left on device"), (">&-", "it is closed")])
def test_a_replay_whose_traces_cannot_be_printed_keeps_them_for_the_next_one(
    tmp_path: Path, redirection: str, reason: str
) -> None:
    args = ("replay", str(ROLLING_UPDATE))
    done = shell(f'exec "$@" {redirection}', tmp_path / "db.sqlite", *args)
    assert f"console: standard output cannot be written: {reason}; the other traces are kept" in refused(done)
    again = shell('exec "$@"', tmp_path / "db.sqlite", *args)
    assert "10 traces" in again.stderr
    assert "Deployment.Update web" in again.stdout


@pytest.mark.parametrize("redirection", ["2> /dev/full", "2>&-", "0<&- 1>&- 2>&-"])
def test_messages_that_cannot_be_written_are_dropped(tmp_path: Path, redirection: str) -> None:
    args = ("replay", str(ROLLING_UPDATE), "--export", "none")
    assert shell(f'exec "$@" {redirection}', tmp_path / "db.sqlite", *args).returncode == 0
    assert shell(f'exec "$@" {redirection}', tmp_path / "db.sqlite", "replay", "no-such-file").returncode == 2


def test_unbuffered_output_is_complete(db: Path) -> None:
    query = "SELECT count(*) AS n FROM journal"
    done = shell('PYTHONUNBUFFERED=1 exec "$@"', db, "sql", query, "-o", "json")
    assert (done.returncode, done.stdout) == (0, '[{"n":550}]\n')


# Directories and files of other users


def kspan(*args: str | Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run kspan so that file permissions apply to it, also as root."""
    drop = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    env = {key: value for key, value in os.environ.items() if not key.startswith(("KSPAN_", "XDG_", "KUBE"))}
    command = [*forked(*drop), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**env, **(environment or {})})


@pytest.fixture(scope="module")
def closed(db: Path) -> Iterator[Path]:
    """A directory that cannot be searched, with a database in it."""
    with shared_folder() as folder:
        inside = folder / "closed"
        inside.mkdir()
        (inside / "db.sqlite").write_bytes(db.read_bytes())
        inside.chmod(0)
        yield inside
        inside.chmod(0o755)


@pytest.mark.parametrize(
    "args",
    [
        ("--help",),
        ("traces", "--db", "DB"),
        ("timeline", "--db", "DB"),
        ("why", "deploy/web", "--db", "DB"),
        ("sql", JOURNAL, "--db", "DB"),
        ("db", "stats", "--db", "DB"),
        ("db", "verify", "--db", "DB"),
        ("rules", "list"),
        ("replay", str(ROLLING_UPDATE), "--db", "sqlite://"),
    ],
    ids=words,
)
@pytest.mark.parametrize("variable", ["HOME", "XDG_CONFIG_HOME"])
def test_no_command_needs_the_home_directory(db: Path, closed: Path, args: tuple[str, ...], variable: str) -> None:
    done = kspan(*(str(db) if arg == "DB" else arg for arg in args), environment={variable: str(closed)})
    assert done.returncode == 0, done.stderr


def test_without_a_state_directory_the_error_names_the_option(closed: Path) -> None:
    for command in (("traces",), ("replay", ROLLING_UPDATE)):
        message = refused(kspan(*command, environment={"HOME": str(closed)}))
        assert message == (
            f"cannot create the state directory {closed}/.local/state/kspan: permission denied; "
            "choose a database with --db"
        )


@pytest.mark.parametrize(
    "args",
    [
        ("traces", "--db", "IN/db.sqlite"),
        ("sql", "SELECT 1", "--db", "IN/db.sqlite"),
        ("db", "rebuild", "--db", "IN/db.sqlite"),
        ("replay", str(ROLLING_UPDATE), "--db", "IN/db.sqlite"),
        ("replay", "IN/recording", "--db", "sqlite://"),
        ("replay", str(ROLLING_UPDATE), "--db", "sqlite://", "--export", "file:IN/traces"),
        ("record", "IN/recording"),
        ("run", "--kubeconfig", "IN/config", "--db", "sqlite://"),
        ("rules", "check", "IN/rules.toml"),
        ("rules", "explain", "IN/recording"),
        ("traces", "--config", "IN/config.toml"),
    ],
    ids=words,
)
def test_a_file_in_a_directory_of_another_user_is_named_in_an_error_of_one_line(
    closed: Path, args: tuple[str, ...]
) -> None:
    given = [arg.replace("IN/", f"{closed}/") for arg in args]
    (path,) = [arg.removeprefix("file:") for arg in given if str(closed) in arg]
    assert refused(kspan(*given)) == f"{path}: permission denied"


def test_a_working_directory_that_was_deleted_is_an_error_of_one_line_at_most(db: Path) -> None:
    script = 'cd "$(mktemp -d)" && rmdir "$PWD" && exec "$@"'
    assert shell(script, db, "traces").returncode == 0
    relative = shell(script, Path("db.sqlite"), "traces")
    assert "no such" in refused(relative)


def test_a_recording_of_several_gzip_members_is_replayed(tmp_path: Path) -> None:
    """More than zlib decompresses at once is in the first one."""
    plain = gzip.decompress(ROLLING_UPDATE.read_bytes())
    half = len(plain) // 2
    path = tmp_path / "two.gz"
    path.write_bytes(gzip.compress(plain[:half]) + gzip.compress(plain[half:]) + b"\0" * 512)
    done = kspan("replay", path, "--db", "sqlite://", "--export", "none")
    assert "550 records journalled" in done.stderr
    assert kspan("rules", "explain", path).returncode == 0
