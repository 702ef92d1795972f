"""Histories that are asked, on either store: databases made by real replays of recordings, and empty ones."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from kspan.store import Store, open_store
from tests.postgres import PostgresServer

STORES = ("sqlite", "postgresql")


class History(msgspec.Struct):
    """A store, the cluster in it that is asked about, and the URL of the store."""

    store: Store
    cluster: str
    url: str = ""


Histories = Callable[[str], History]


@pytest.fixture(scope="session", params=STORES)
def histories(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Histories]:
    """The history of each recording."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.url(server.create(request.getfixturevalue("history_template")))
    else:
        file: Path = request.getfixturevalue("history_file")
        url = str(shutil.copy(file, tmp_path_factory.mktemp("histories") / "kspan.sqlite"))
    with open_store(url, read_only=True) as opened:
        yield lambda scenario: History(opened, scenario, url)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else str(tmp_path / "kspan.sqlite")
    with open_store(url) as opened:
        yield opened
