"""A reader with a browser: opens pages, and notes everything that a reader must not meet."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, WebError

from tests.browser.chromium import READER

HANG_MS: Final = 60_000.0
"""Milliseconds until a page that does not settle, or an element that does not appear, counts as a failure."""

_SETTLED: Final = """() => {
    const rows = document.querySelector("[data-rows]");
    return !document.querySelector("[aria-busy=true]") && (!rows || rows.querySelector("[data-row]"));
}"""

_TWO_FRAMES: Final = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"


class Reader:
    """Opens pages in contexts of their own, or in one of ``kept``, which outlive this reader.

    ``faults`` grows by a text for each console error (a violated Content-Security-Policy and an answer of 400 or more
    are among them), uncaught error, dialog, and request to another host.
    """

    def __init__(self, browser: Browser, kept: dict[str, BrowserContext] | None = None) -> None:
        self.faults: list[str] = []
        self._kept = {} if kept is None else kept
        self._borrowed: list[tuple[BrowserContext, Page, dict[str, Callable[..., None]]]] = []
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    def open(self, url: str, *, now: datetime | None = None, again: bool = False, **options: Any) -> Page:
        """Open a page and wait until it has its rows and is not busy.

        Args:
            url: its address.
            now: the time at which the clock of the browser stands still; None: it has the time of the machine.
            again: by a reader who has opened pages with these options before: in a process that runs, with a cache.
            options: options of a browser context.
        """
        page = self.blank(url, again=again, **options)
        if now is not None:
            page.clock.set_fixed_time(now)
        page.goto(url, wait_until="load")
        if options.get("java_script_enabled", True):
            page.wait_for_function(_SETTLED)
            page.evaluate(_TWO_FRAMES)
        return page

    def blank(self, url: str, *, again: bool = False, **options: Any) -> Page:
        """Return an empty page in a new context, from which requests only to the host of ``url`` are expected.

        Args:
            url: an address of that host.
            again: in a context that is kept for these options.
            options: options of a browser context.
        """
        key = repr(sorted(options.items()))
        context = self._kept.get(key) if again else None
        if context is None:
            context = self._browser.new_context(**{**READER, **options})
            context.set_default_timeout(HANG_MS)
            if again:
                self._kept[key] = context
            else:
                self._contexts.append(context)
        host = urlsplit(url).netloc

        def asked(request: Request) -> None:
            if urlsplit(request.url).netloc != host and not request.url.startswith(("blob:", "about:")):
                self.faults.append(f"a request to another host: {request.url[:200]}")

        def logged(message: ConsoleMessage) -> None:
            if message.type == "error":
                self.faults.append(f"console: {message.text} ({message.location['url'][:200]})")

        def threw(error: WebError) -> None:
            self.faults.append(f"uncaught: {error.error}")

        def asks(dialog: Dialog) -> None:
            self.faults.append(f"a dialog: {dialog.message[:200]}")
            dialog.dismiss()

        context.on("request", asked)
        context.on("console", logged)
        context.on("weberror", threw)
        context.on("dialog", asks)
        page = context.new_page()
        if again:
            listeners: dict[str, Callable[..., None]] = {
                "request": asked,
                "console": logged,
                "weberror": threw,
                "dialog": asks,
            }
            self._borrowed.append((context, page, listeners))
        return page

    def close(self) -> None:
        """Close all pages."""
        for context, page, listeners in self._borrowed:
            page.close()
            for event, listener in listeners.items():
                context.remove_listener(event, listener)
        self._borrowed.clear()
        for context in self._contexts:
            context.close()
        self._contexts.clear()
