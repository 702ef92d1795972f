"""Settings and fixtures for all tests: a real PostgreSQL server, and databases on it."""

import fcntl
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist import is_xdist_worker

from tests.history_db import fill
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


@pytest.fixture(scope="session")
def history_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with the history of all recordings, to be copied. Made once for all workers: takes seconds."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if is_xdist_worker(request) else base
    path = folder / "history.sqlite"
    with (folder / "history.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            part = folder / "history-part.sqlite"
            fill(str(part))
            part.rename(path)
    return path


@pytest.fixture(scope="session")
def history_template(postgres: PostgresServer) -> str:
    """The name of a PostgreSQL database with the same history, from which others are created."""
    name = postgres.create(TEMPLATE)
    fill(postgres.url(name))
    return name
