"""The checks find the faults that they are for, on pages made to have one each, and pages can be measured."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from benchmarks.pages import STEPS, open_trace, script_bytes
from kspan.web.guard import Access, Guard
from kspan.web.server import Server
from tests.browser import checks
from tests.browser.chromium import PHONE, NoBrowserError, launched
from tests.browser.databases import BIDI, LONG
from tests.browser.reader import Reader
from tests.browser.screenshots import NoPictureError, _shoot
from tests.limits import HANG_S

TEXT: Final = "<p>Twelve Pods were replaced, one after the other.</p>"

BODIES: Final = {
    "good": f"<h1>Fine</h1>{TEXT}",
    "inline-script": f"<h1>Fine</h1>{TEXT}<script>document.title = 'run'</script>",
    "inline-style": "<h1>Fine</h1><p style='color: red'>Twelve Pods were replaced.</p>",
    "inline-handler": f"<h1>Fine</h1>{TEXT}<img src=x onerror=alert(1) alt=''>",
    "other-host": f"<h1>Fine</h1>{TEXT}<img src='http://127.0.0.2:9/x.png' alt=''>",
    "missing-file": f"<h1>Fine</h1>{TEXT}<script type=module src=/missing.js></script>",
    "blocks": f"<h1>Fine</h1><script src=/fills.js></script>{TEXT}",
    "throws": f"<h1>Fine</h1>{TEXT}<script type=module src=/throws.js></script>",
    "asks": f"<h1>Fine</h1>{TEXT}<script type=module src=/asks.js></script>",
    "shifts": f"<h1>Fine</h1>{TEXT}<script type=module src=/shifts.js></script>",
    "wide": f"<h1>Fine</h1>{TEXT}<div class=wide>{'x' * 300}</div>",
    "scrolls-inside": f"<h1>Fine</h1>{TEXT}<div class=scrolls tabindex=0>{'x' * 300}</div>",
    "no-label": f"<h1>Fine</h1>{TEXT}<input name=q>",
    "faint": f"<h1>Fine</h1>{TEXT}<p class=faint>one failed</p>",
    "faint-in-the-light": f"<h1>Fine</h1>{TEXT}<p class=faint-in-the-light>one failed</p>",
    "faint-in-the-dark": f"<h1>Fine</h1>{TEXT}<p class=faint-in-the-dark>one failed</p>",
    "two-headings": f"<h1>Fine</h1><h1>Again</h1>{TEXT}",
    "only-scripts": "<h1>Fine</h1><script type=module src=/fills.js></script>",
    "bidi": f"<h1>Fine</h1>{TEXT}<p><span>{BIDI}</span> by kubectl</p>",
    "bidi-kept": f"<h1>Fine</h1>{TEXT}<p><bdi>{BIDI}</bdi> by kubectl</p>",
    "rows": "<h1>Fine</h1><div data-rows class=rows tabindex=0></div><script type=module src=/rows.js></script>",
    "long": f"<h1>Fine</h1>{TEXT}<pre class=wraps>{LONG * 2}</pre>",
}

FILES: Final = {
    "style.css": """
        .wide { width: 1600px } .scrolls { overflow-x: auto } .faint { color: #ccc } .tall { height: 300px }
        .rows { height: 600px; overflow-y: auto } .inner { height: 400000px } .row { height: 20px }
        .wraps { white-space: pre-wrap; overflow-wrap: anywhere }
        .faint-in-the-light { color: #ccc; background: #fff } .faint-in-the-dark { color: #333; background: #fff }
        @media (prefers-color-scheme: dark) {
            .faint-in-the-light { color: #eee; background: #222 } .faint-in-the-dark { color: #333; background: #222 }
        }""",
    "throws.js": "null.length",
    "asks.js": "alert(1)",
    "shifts.js": """
        const main = document.querySelector("main"), added = document.createElement("div");
        main.ariaBusy = "true";
        added.className = "tall";
        setTimeout(() => { main.prepend(added); main.ariaBusy = "false"; }, 300);""",
    "rows.js": """
        const rows = document.querySelector("[data-rows]"), inner = document.createElement("div");
        inner.className = "inner";
        const show = () => {
            inner.replaceChildren(...Array.from({length: 40}, (_, number) => {
                const row = document.createElement("div");
                row.dataset.row = row.textContent = `row ${Math.floor(rows.scrollTop / 20) + number}`;
                row.className = "row";
                return row;
            }));
            inner.firstChild.style.marginTop = `${Math.floor(rows.scrollTop / 20) * 20}px`;
        };
        rows.addEventListener("scroll", show);
        rows.append(inner);
        show();""",
    "icon.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "fills.js": "document.querySelector('main').append('Twelve Pods were replaced, one after the other.')",
}

TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


async def show(request: Request) -> Response:
    name = request.path_params["name"]
    if name in FILES:
        return Response(FILES[name], media_type=TYPES[name.rpartition(".")[2]])
    if name not in BODIES:
        return PlainTextResponse("there is nothing\n", 404)
    head = "<meta charset=utf-8><meta name=viewport content='width=device-width'><title>A page</title>"
    head += "<link rel=stylesheet href=/style.css><link rel=icon href=/icon.svg>"
    return HTMLResponse(
        f"<!doctype html><html lang=en><head>{head}</head><body><main>{BODIES[name]}</main></body></html>"
    )


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """A server of these pages, with the headers of kspan's."""
    server = Server("127.0.0.1:0", Guard(Starlette(routes=[Route("/{name}", show)]), Access(hosts=None)))
    server.start()
    yield "http://{}:{}/".format(*server.address)
    server.stop()


@pytest.fixture
def careless(browser: Browser, contexts: dict[str, BrowserContext]) -> Iterator[Reader]:
    """A reader whose faults are looked at by the test itself."""
    opened = Reader(browser, contexts)
    yield opened
    opened.close()


ALL: Final = (*checks.AT_A_DESK, checks.inaccessible)
PHONE_OPTIONS: Final[dict[str, Any]] = {"viewport": PHONE, "is_mobile": True, "has_touch": True}


@pytest.mark.parametrize("name", ["good", "scrolls-inside", "bidi-kept"])
@pytest.mark.parametrize("options", [{}, PHONE_OPTIONS], ids=["desk", "phone"])
def test_a_good_page_passes_every_check(reader: Reader, site: str, name: str, options: dict[str, Any]) -> None:
    page = reader.open(site + name, **options)
    assert [text for check in ALL for text in check(page)] == []


@pytest.mark.parametrize(
    "name, expected",
    [
        ("inline-script", "inline script violates the following Content Security Policy"),
        ("inline-style", "inline style violates the following Content Security Policy"),
        ("inline-handler", "inline event handler violates the following Content Security Policy"),
        ("other-host", "a request to another host: http://127.0.0.2:9/x.png"),
        ("missing-file", "404 (Not Found)"),
        ("throws", "uncaught: Cannot read properties of null"),
        ("asks", "a dialog: 1"),
        ("nothing-here", "404 (Not Found)"),
    ],
)
@pytest.mark.parametrize("again", [False, True])
def test_what_the_browser_reports_is_a_fault(
    careless: Reader, site: str, name: str, expected: str, again: bool
) -> None:
    careless.open(site + name, again=again)
    assert any(expected in fault for fault in careless.faults), careless.faults


def test_a_fault_in_a_kept_context_is_that_of_the_reader_who_met_it(
    browser: Browser, contexts: dict[str, BrowserContext], site: str
) -> None:
    readers = [Reader(browser, contexts) for _ in "123"]
    for reader, name in zip(readers, ("good", "throws", "good"), strict=True):
        reader.open(site + name, again=True)
        reader.close()
    assert [len(reader.faults) for reader in readers] == [0, 1, 0]


@pytest.mark.parametrize(
    "name, check, expected",
    [
        ("wide", checks.overflow, "div.wide ends at 1608 px"),
        ("shifts", checks.shifts, "the layout shifted by"),
        ("blocks", checks.blocking, "/fills.js delays the first paint"),
        ("no-label", checks.inaccessible, "label (critical)"),
        ("faint", checks.inaccessible, "color-contrast (serious)"),
        ("faint-in-the-light", checks.inaccessible_light_or_dark, "light: color-contrast (serious)"),
        ("faint-in-the-dark", checks.inaccessible_light_or_dark, "dark: color-contrast (serious)"),
        ("two-headings", checks.unreadable, "2 h1, not 1"),
        ("inline-script", checks.markup, "<script>document.title"),
        ("inline-handler", checks.markup, "<img src="),
        ("bidi", checks.leaking_bidi, "<span>user"),
        ("long", checks.too_long, "px long, more than"),
    ],
)
def test_a_check_finds_its_fault(
    careless: Reader, site: str, name: str, check: Callable[[Page], list[str]], expected: str
) -> None:
    options = PHONE_OPTIONS if check is checks.too_long else {}
    page = careless.open(site + name, **options)
    found = check(page)
    assert any(expected in text for text in found), found
    if check is checks.inaccessible_light_or_dark:
        assert len(found) == 1, "the other colours are fine"


def test_a_page_that_only_scripts_fill_cannot_be_read_without_them(careless: Reader, site: str) -> None:
    assert checks.unreadable(careless.open(site + "only-scripts")) == []
    page = careless.open(site + "only-scripts", java_script_enabled=False)
    assert checks.unreadable(page) == ["main says only '' beside its heading"]


def test_overflow_is_found_without_scripts(careless: Reader, site: str) -> None:
    assert checks.overflow(careless.open(site + "wide", java_script_enabled=False))[1:] == ["div.wide ends at 1608 px"]


def test_without_chromium_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(NoBrowserError) as error, launched(tmp_path / "chromium"):
        pass
    assert str(error.value) == (
        f"{tmp_path}/chromium is missing: apt-get install --no-install-recommends chromium fonts-dejavu-core"
    )


def test_the_first_paint_the_first_rows_and_each_step_of_scrolling_are_measured(browser: Browser, site: str) -> None:
    opened = open_trace(browser, site + "rows")
    assert 0 < opened.paint < HANG_S
    assert 0 < opened.rows < HANG_S
    assert len(opened.steps) == STEPS
    assert min(opened.steps) > 0


def test_the_bytes_of_all_scripts_are_counted(browser: Browser, site: str) -> None:
    assert script_bytes(browser, site + "rows") == len(FILES["rows.js"])
    assert script_bytes(browser, site + "good") == 0


def test_a_page_that_cannot_be_measured_ends_the_benchmark_with_one_line(browser: Browser, site: str) -> None:
    with pytest.raises(SystemExit, match="status 404"):
        open_trace(browser, site + "nothing-here")
    with pytest.raises(SystemExit, match="the page has no rows"):
        open_trace(browser, site + "good")


def test_a_picture_of_a_page_with_a_fault_is_refused(browser: Browser, site: str, tmp_path: Path) -> None:
    with pytest.raises(NoPictureError, match="404"):
        _shoot(browser, site + "missing-file", "light", tmp_path / "picture.png")
    _shoot(browser, site + "good", "light", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
