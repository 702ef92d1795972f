"""The pictures for the documents."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser

from tests.browser.screenshots import write


def test_the_same_page_gives_the_same_picture(
    browser: Browser, database: Callable[[str], Path], tmp_path: Path
) -> None:
    first, second = (
        write(browser, database("demo"), tmp_path / name, ["home", "trace"], ["dark"]) for name in ("first", "second")
    )
    assert [file.name for file in first] == ["home-dark.png", "trace-dark.png"]
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
