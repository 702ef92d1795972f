"""Fixtures of the tests of kspan.emit: a real OTLP receiver, and an environment without OTLP settings."""

import os
from collections.abc import Iterator

import pytest

from tests.emit.memory_store import MemoryStore
from tests.emit.receivers import Rotel, run_rotel


@pytest.fixture(scope="session")
def rotel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotel]:
    """A collector that runs as long as the tests do."""
    with run_rotel(tmp_path_factory.mktemp("rotel")) as running:
        yield running


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()
