"""The stores that the contract holds for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kspan.store import Store, open_store


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind that is supported."""
    url = "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'kspan.sqlite'}"
    with open_store(url) as opened:
        yield opened
