"""The history of all recordings, on every kind of store."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kspan.store import Store, open_store
from tests.postgres import PostgresServer


@pytest.fixture(scope="session")
def histories(
    tmp_path_factory: pytest.TempPathFactory, history_file: Path, postgres: PostgresServer, history_template: str
) -> dict[str, str]:
    """The URLs of a filled database of each kind."""
    copy = shutil.copy(history_file, tmp_path_factory.mktemp("history") / "history.sqlite")
    return {"sqlite": f"sqlite:///{copy}", "postgresql": postgres.url(postgres.create(history_template))}


@pytest.fixture(params=["sqlite", "postgresql"])
def history_url(request: pytest.FixtureRequest, histories: dict[str, str]) -> str:
    """A database of each kind, not to be changed."""
    return histories[request.param]


@pytest.fixture
def history(history_url: str) -> Iterator[Store]:
    """The same, opened as a reader does."""
    with open_store(history_url, read_only=True) as store:
        yield store
