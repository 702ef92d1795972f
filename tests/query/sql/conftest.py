"""The history of all recordings, on every kind of store."""

from collections.abc import Iterator

import pytest

from kspan.store import Store, open_store
from tests.history_db import fill
from tests.postgres import TEMPLATE, PostgresServer


@pytest.fixture(scope="session")
def histories(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> dict[str, str]:
    """The URLs of a filled database of each kind. Made once for each worker: takes 5 s."""
    urls = {
        "sqlite": f"sqlite:///{tmp_path_factory.mktemp('history') / 'history.sqlite'}",
        "postgresql": postgres.url(postgres.create(TEMPLATE)),
    }
    for url in urls.values():
        fill(url)
    return urls


@pytest.fixture(params=["sqlite", "postgresql"])
def history_url(request: pytest.FixtureRequest, histories: dict[str, str]) -> str:
    """A database of each kind, not to be changed."""
    return histories[request.param]


@pytest.fixture
def history(history_url: str) -> Iterator[Store]:
    """The same, opened as a reader does."""
    with open_store(history_url, read_only=True) as store:
        yield store
