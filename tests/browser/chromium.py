"""Debian's Chromium, driven by Playwright."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, sync_playwright

EXECUTABLE: Final = Path("/usr/bin/chromium")

FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

DESK: Final = {"width": 1400, "height": 900}
"""Viewport of a large window in CSS pixels."""

PHONE: Final = {"width": 390, "height": 844}
"""Viewport of a phone."""

READER: Final[dict[str, Any]] = {
    "viewport": DESK,
    "locale": "en-GB",
    "timezone_id": "Europe/Berlin",
    "reduced_motion": "reduce",
}
"""The browser of a reader: options of a context. Nothing moves, so that a picture does not depend on its moment."""


class NoBrowserError(Exception):
    """Chromium is missing; the text says how to install it."""


@contextmanager
def launched(executable: Path = EXECUTABLE) -> Iterator[Browser]:
    """Start the browser, and stop it at the end. Raises NoBrowserError."""
    if not executable.exists():
        raise NoBrowserError(
            f"{executable} is missing: apt-get install --no-install-recommends chromium fonts-dejavu-core"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
