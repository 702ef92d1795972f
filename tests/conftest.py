"""Settings and fixtures for all tests: a real PostgreSQL server, and databases on it."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import TEMPLATE, PostgresServer, run_postgres

# A slow machine is not a fault of the code.
settings.register_profile("kspan", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kspan")


def pytest_configure() -> None:
    """Makes Ctrl-C work for the processes that tests start.

    A shell starts background jobs with SIGINT ignored. Processes inherit that, and Python heeds it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
