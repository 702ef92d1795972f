"""Histories that are asked: databases made by real replays of recordings."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest

from kspan.daemon.replay import replay
from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.store import Store, open_store
from tests.recordings import recording


class History:
    """A store with the history of one cluster."""

    def __init__(self, store: Store, cluster: str) -> None:
        self.store = store
        self.cluster = cluster

    def ask(self, question: Callable[..., object], *args: object, **options: object) -> object:
        """The answer to a question that takes (connection, cluster, ...)."""
        with self.store.reading("ask") as connection:
            return question(connection, self.cluster, *args, **options)


Histories = Callable[[str], History]


@pytest.fixture(scope="session")
def histories() -> Iterator[Histories]:
    """The history of each recording, replayed once."""
    opened: list[Store] = []

    @cache
    def of(scenario: str) -> History:
        store = open_store("sqlite://")
        opened.append(store)
        done = replay(store, read_frames([str(recording(scenario))]), built_in_rules())
        return History(store, done.cluster)

    yield of
    for store in opened:
        store.close()


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty store."""
    with open_store("sqlite://") as opened:
        yield opened
