"""Measures the pages in a browser: first paint, first rows and scrolling of long traces, moving and zooming a timeline,
and the size of scripts."""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec
from playwright.sync_api import Browser, Page, Response

from benchmarks.table import head, machine, row, say
from tests.browser.addresses import PAGES, addresses
from tests.browser.chromium import NoBrowserError, launched
from tests.browser.databases import build
from tests.browser.reader import Reader
from tests.browser.serving import serving

LIMITS: Final = {2_000: 0.5, 20_000: 1.0}
"""Spans of a trace -> seconds until the first paint."""

OCCURRENCES: Final = 100_000
"""Of the timeline."""
TIMELINE_S: Final = 5.0
"""Seconds until the lanes of all of them are drawn; the table is there before."""

SCROLL_MS: Final = 50
SCRIPTS_KB: Final = 120

RUNS: Final = 5
"""Times that a page is opened, each with an empty cache."""

STEPS: Final = 60
"""Steps of scrolling."""

_WATCH: Final = """
const seen = () => requestAnimationFrame(() => { window.firstRowsAt = performance.now(); });
const observer = new MutationObserver(() => {
    if (document.querySelector("[data-rows] [data-row]")) { observer.disconnect(); seen(); }
});
observer.observe(document, {childList: true, subtree: true});
"""

_PAINTED: Final = """() => {
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    return paint && window.firstRowsAt ? [paint.startTime, window.firstRowsAt] : null;
}"""

# The message arrives after the frame was laid out and painted.
_SCROLL: Final = """async steps => {
    const rows = document.querySelector("[data-rows]");
    const times = [];
    for (let step = 0; step < steps; step++) {
        const began = performance.now();
        rows.scrollTop += rows.clientHeight * 0.8;
        await new Promise(done => requestAnimationFrame(() => {
            const channel = new MessageChannel();
            channel.port1.onmessage = done;
            channel.port2.postMessage(0);
        }));
        times.push(performance.now() - began);
        if (rows.scrollTop + rows.clientHeight + 1 >= rows.scrollHeight) rows.scrollTop = 0;
    }
    return times;
}"""


# Zooms in around the middle, moves to the right, and zooms out again.
_PAN_AND_ZOOM: Final = """async steps => {
    const view = document.querySelector("[data-view]");
    const box = view.getBoundingClientRect();
    const middle = {clientX: box.x + box.width / 2, clientY: box.y + box.height / 2};
    const times = [];
    for (let step = 0; step < steps; step++) {
        const phase = step % 12;
        const wheel = {bubbles: true, cancelable: true, ...middle};
        if (phase < 4) Object.assign(wheel, {deltaY: -100, ctrlKey: true});
        else if (phase < 8) Object.assign(wheel, {deltaX: 40});
        else Object.assign(wheel, {deltaY: 100, ctrlKey: true});
        const began = performance.now();
        view.dispatchEvent(new WheelEvent("wheel", wheel));
        await new Promise(done => requestAnimationFrame(() => {
            const channel = new MessageChannel();
            channel.port1.onmessage = done;
            channel.port2.postMessage(0);
        }));
        times.push(performance.now() - began);
    }
    return times;
}"""


class Opened(msgspec.Struct, frozen=True):
    """What a reader of a trace waits for: seconds to the first paint and the first rows, ms of each scroll step."""

    paint: float
    rows: float
    steps: list[float]


def measure(folder: Path) -> None:
    """Print a row for each figure. ``folder`` gets the databases. Raises SystemExit if a page cannot be measured."""
    try:
        with launched() as browser:
            for spans, limit in LIMITS.items():
                _trace(browser, folder, spans, limit)
            _timeline(browser, folder)
            _scripts(browser, folder)
    except NoBrowserError as error:
        raise SystemExit(str(error)) from error


def open_trace(browser: Browser, url: str) -> Opened:
    """Open the page of a trace with an empty cache and scroll through its rows."""
    reader = Reader(browser)
    try:
        page = reader.blank(url)
        page.add_init_script(_WATCH)
        _go(page, url)
        if page.locator("[data-rows]").count() != 1:
            raise SystemExit(f"{url}: the page has no rows (one [data-rows] with [data-row] in it)")
        paint, first = page.wait_for_function(_PAINTED).json_value()
        # Equal rows are one row at first; all of them are scrolled through.
        for box in page.locator("[data-option=collapse]").all():
            box.uncheck()
        steps: list[float] = page.evaluate(_SCROLL, STEPS)
    finally:
        reader.close()
    return Opened(paint / 1000, first / 1000, steps)


def pan_and_zoom(browser: Browser, url: str) -> tuple[float, list[float]]:
    """Open a timeline, and move and zoom it. Return the seconds until all is drawn, and the ms of each step."""
    reader = Reader(browser)
    try:
        page = reader.blank(url)
        began = time.perf_counter()
        _go(page, url)
        page.wait_for_selector("[data-lanes]:not([aria-busy])", timeout=60_000)
        drawn = time.perf_counter() - began
        steps: list[float] = page.evaluate(_PAN_AND_ZOOM, STEPS)
    finally:
        reader.close()
    return drawn, steps


def script_bytes(browser: Browser, url: str) -> int:
    """Return the bytes of all JavaScript that a page loads, not compressed."""
    reader = Reader(browser)
    answers: list[Response] = []

    # Playwright sets an attribute on what it calls: a method of a list has none.
    def note(answer: Response) -> None:
        answers.append(answer)

    try:
        page = reader.blank(url)
        page.on("response", note)
        _go(page, url)
        return sum(len(answer.body()) for answer in answers if answer.request.resource_type == "script")
    finally:
        reader.close()


def _trace(browser: Browser, folder: Path, spans: int, limit: float) -> None:
    say(f"making a trace of {spans:,} spans")
    db = build(f"spans-{spans}", folder)
    with serving(db) as server:
        say("opening it")
        opened = [open_trace(browser, server + addresses(db)["trace"]) for _ in range(RUNS)]
    row(f"trace of {spans:,} spans: first paint", median(each.paint for each in opened), limit, " s")
    row(f"trace of {spans:,} spans: first rows", median(each.rows for each in opened), limit, " s")
    steps = median(step for each in opened for step in each.steps)
    row(f"trace of {spans:,} spans: scroll step", steps, SCROLL_MS, " ms")


def _timeline(browser: Browser, folder: Path) -> None:
    say(f"making {OCCURRENCES:,} occurrences")
    db = build(f"spans-{OCCURRENCES}", folder)
    with serving(db) as server:
        say("opening their timeline")
        opened = [pan_and_zoom(browser, server + "/timeline?since=2020-01-01T00:00:00Z") for _ in range(RUNS)]
    what = f"timeline of {OCCURRENCES:,} occurrences"
    row(f"{what}: drawn", median(drawn for drawn, _ in opened), TIMELINE_S, " s")
    row(f"{what}: a step", median(step for _, steps in opened for step in steps), SCROLL_MS, " ms")


def _scripts(browser: Browser, folder: Path) -> None:
    db = build("demo", folder)
    paths = addresses(db)
    with serving(db) as server:
        for name in PAGES:
            row(f"all JavaScript of {name}", script_bytes(browser, server + paths[name]) / 1000, SCRIPTS_KB, " kB")


def _go(page: Page, url: str) -> None:
    answer: Any = page.goto(url, wait_until="load")
    if answer is None or not answer.ok:
        raise SystemExit(f"{url}: status {answer.status if answer is not None else 'unknown'}")


if __name__ == "__main__":
    machine()
    head("", "figure", "limit", "ratio")
    with tempfile.TemporaryDirectory() as made:
        measure(Path(made))
