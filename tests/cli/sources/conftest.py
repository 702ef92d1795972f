import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kspan.store import open_store
from tests.cli.sources.commands import Remote, Terminal, remote


@pytest.fixture(scope="session")
def history(history_file: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with all recordings."""
    return str(shutil.copy(history_file, tmp_path_factory.mktemp("remote") / "kspan.sqlite"))


@pytest.fixture
def daemon(history: str, tmp_path: Path) -> Iterator[Remote]:
    """A daemon with the history of the rolling update."""
    with (
        open_store(history, read_only=True) as store,
        remote(store, history, "02-rolling-update", tmp_path) as found,
    ):
        yield found


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> Terminal:
    return Terminal(monkeypatch, capfdbinary, tmp_path)
