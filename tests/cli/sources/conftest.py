from collections.abc import Iterator
from pathlib import Path

import pytest

from kspan.store import open_store
from tests.cli.sources.commands import Remote, Terminal, remote
from tests.history_db import fill


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with all recordings."""
    path = tmp_path_factory.mktemp("remote") / "kspan.sqlite"
    fill(str(path))
    return str(path)


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
