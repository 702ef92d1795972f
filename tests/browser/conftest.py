"""A browser, and servers of the databases that the pages are shown with."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext
from xdist import is_xdist_worker

from tests.browser.addresses import addresses
from tests.browser.chromium import NoBrowserError, launched
from tests.browser.databases import build
from tests.browser.reader import Reader
from tests.browser.serving import serving


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the database of a name in ``DATABASES``. All workers share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if is_xdist_worker(request) else base) / "databases"
    folder.mkdir(exist_ok=True)
    return lambda name: build(name, folder)


@pytest.fixture(scope="session")
def served(database: Callable[[str], Path]) -> Iterator[Callable[[str], str]]:
    """Return where the database of a name is served; the first call starts the server."""
    running: dict[str, str] = {}
    with ExitStack() as stack:

        def address(name: str) -> str:
            if name not in running:
                running[name] = stack.enter_context(serving(database(name)))
            return running[name]

        yield address


@pytest.fixture(scope="session")
def url_of(database: Callable[[str], Path], served: Callable[[str], str]) -> Callable[[str, str], str]:
    """Return the URL of a page of ``PAGES`` for the database of a name."""
    known: dict[str, dict[str, str]] = {}

    def url(name: str, page: str) -> str:
        if name not in known:
            known[name] = addresses(database(name))
        return served(name) + known[name][page]

    return url


# Not for the session: while Playwright runs, no other test of the worker can run an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with ExitStack() as stack:
        try:
            started = stack.enter_context(launched())
        except NoBrowserError as error:
            pytest.fail(str(error), pytrace=False)
        yield started


@pytest.fixture(scope="module")
def contexts(browser: Browser) -> Iterator[dict[str, BrowserContext]]:
    """The contexts of readers who open pages again."""
    kept: dict[str, BrowserContext] = {}
    yield kept
    for context in kept.values():
        context.close()


@pytest.fixture
def reader(browser: Browser, contexts: dict[str, BrowserContext]) -> Iterator[Reader]:
    """Opens pages. The test fails if a page had an error or sent a request to another host."""
    opened = Reader(browser, contexts)
    yield opened
    opened.close()
    if opened.faults:
        pytest.fail("\n".join(opened.faults), pytrace=False)
