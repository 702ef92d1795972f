"""Fixtures for all: a real PostgreSQL server, and databases on it."""

from collections.abc import Iterator

import pytest

from tests.postgres import TEMPLATE, PostgresServer, run_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that runs as long as the tests of this worker do; started by the first that asks for it."""
    with run_postgres() as running:
        yield running


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A database with kspan's empty tables."""
    name = postgres.create(TEMPLATE)
    yield postgres.url(name)
    postgres.drop(name)
