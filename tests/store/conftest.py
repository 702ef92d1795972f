"""The stores that every test of the contract runs on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kspan.store import Store, open_store


@pytest.fixture(params=["file", "memory", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each supported kind."""
    with open_store(database_url(request, tmp_path)) as opened:
        yield opened


def database_url(request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of an empty database of the requested kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return "sqlite://" if request.param == "memory" else f"sqlite:///{folder / 'kspan.sqlite'}"
