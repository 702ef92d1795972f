"""SQLite files that are read where nothing can be written."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kspan.errors import StoreError
from kspan.model import Delta
from kspan.store import open_store
from tests.permissions import shared_folder, unprivileged
from tests.store.rowsource import CLUSTER, record


@pytest.fixture
def folder() -> Iterator[Path]:
    with shared_folder() as found:
        yield found


def write(database: Path) -> None:
    with open_store(str(database)) as store:
        store.commit(CLUSTER, 1, [record(1)], [], Delta())
    database.with_name(database.name + ".lock").unlink()


def wal_of(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def last_sequence(database: Path) -> int:
    with open_store(str(database), read_only=True) as store:
        return store.last_sequence(CLUSTER)


@pytest.mark.parametrize("empty_wal", [False, True])
def test_a_database_in_a_read_only_directory_is_read(folder: Path, empty_wal: bool) -> None:
    database = folder / "100% #1?.sqlite"
    write(database)
    if empty_wal:
        wal_of(database).touch()
    files = sorted(folder.iterdir())
    folder.chmod(0o555)
    with unprivileged():
        assert last_sequence(database) == 1
    assert sorted(folder.iterdir()) == files


def test_changes_in_a_wal_file_that_cannot_be_opened_are_an_error_that_says_what_to_do(folder: Path) -> None:
    original, copied = folder / "db.sqlite", folder / "copy.sqlite"
    with open_store(str(original)) as store:
        store.commit(CLUSTER, 1, [record(1)], [], Delta())
        shutil.copy(original, copied)
        shutil.copy(wal_of(original), wal_of(copied))
    assert wal_of(copied).stat().st_size > 0
    folder.chmod(0o555)
    for mode in (0o644, 0):
        wal_of(copied).chmod(mode)
        with unprivileged(), pytest.raises(StoreError, match=rf"in {wal_of(copied)}: copy both files to a directory"):
            open_store(str(copied), read_only=True)
    folder.chmod(0o755)
    wal_of(copied).chmod(0o644)
    assert last_sequence(copied) == 1


MOUNTS = """
set -e
mount -t tmpfs -o size=4m tmpfs {folder}
trap 'umount {folder}' EXIT
cp {database} {folder}/db.sqlite
{then}
{python} -m kspan db stats --db {folder}/db.sqlite
"""


@pytest.mark.parametrize(
    "then",
    [
        pytest.param("mount -o remount,ro {folder}", id="a read-only mount"),
        pytest.param("cat /dev/zero > {folder}/filler 2> {folder}/none || true", id="a full disk"),
    ],
)
def test_a_database_on_a_disk_that_takes_no_more_files_is_read(folder: Path, tmp_path: Path, then: str) -> None:
    if subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", tmp_path], check=False).returncode != 0:
        pytest.skip("mounting a file system needs root")
    write(tmp_path / "db.sqlite")
    places = {"folder": folder, "database": tmp_path / "db.sqlite", "python": sys.executable}
    script = MOUNTS.format(then=then.format(**places), **places)
    done = subprocess.run(["unshare", "-m", "bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"database   {folder}/db.sqlite" in done.stdout
