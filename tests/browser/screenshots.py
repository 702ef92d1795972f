"""Writes the pictures of the pages for the documents (``make screenshots``).

    python -m tests.browser.screenshots [FOLDER]

They show the demo. The clocks of the server and of the browser stand still, so that the same code gives the same
pictures.
"""

import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page

from kspan.times import SECOND, parse_time
from tests.browser.addresses import addresses
from tests.browser.chromium import NoBrowserError, launched
from tests.browser.databases import build
from tests.browser.reader import Reader
from tests.browser.serving import serving

PICTURES: Final = ("home", "traces", "trace", "object", "timeline", "rollouts", "why")
SCHEMES: Final = ("light", "dark")
FOLDER: Final = Path(__file__).parents[2] / "docs" / "images"

NOW: Final = parse_time("2026-11-22T10:30:00Z")
"""Some minutes after the rolling update of the demo."""


class NoPictureError(Exception):
    """A page has a fault; the text says which."""


def write(
    browser: Browser, db: Path, folder: Path, pictures: Sequence[str] = PICTURES, schemes: Sequence[str] = SCHEMES
) -> list[Path]:
    """Write a PNG of 1400 x 900 for each picture and scheme; return the files. Raises NoPictureError."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = addresses(db)
    files = []
    with serving(db, now=NOW) as server:
        for scheme in schemes:
            for name in pictures:
                file = folder / f"{name}-{scheme}.png"
                _shoot(browser, server + paths[name], scheme, file)
                files.append(file)
    return files


def _shoot(browser: Browser, url: str, scheme: str, file: Path) -> None:
    reader = Reader(browser)
    try:
        page = reader.open(
            url,
            now=datetime.fromtimestamp(NOW / SECOND, UTC),
            color_scheme=scheme,
            timezone_id="UTC",
            reduced_motion="reduce",
        )
        if reader.faults:
            raise NoPictureError(f"{url}: {'; '.join(reader.faults)}")
        _painted(page).screenshot(path=file, animations="disabled", caret="hide")
    finally:
        reader.close()


def _painted(page: Page) -> Page:
    """Paint the whole page at once: what was painted part by part has other shades at its edges."""
    page.evaluate(
        """() => new Promise((done) => {
          const root = document.documentElement;
          root.style.visibility = "hidden";
          requestAnimationFrame(() => requestAnimationFrame(() => {
            root.style.visibility = "";
            requestAnimationFrame(() => requestAnimationFrame(done));
          }));
        })"""
    )
    return page


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    with tempfile.TemporaryDirectory() as made:
        try:
            with launched() as browser:
                for file in write(browser, build("demo", Path(made)), folder):
                    print(file)
        except (NoBrowserError, NoPictureError) as error:
            raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
