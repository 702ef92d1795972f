"""What holds on every page. Each check returns its findings as texts; none: all is well."""

from typing import Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

LONGEST_PAGE: Final = 20_000
"""CSS pixels. A page that is longer shows a text or a list without a limit."""

SHORTEST_TEXT: Final = 20
"""Characters of a ``main`` that says something."""

MOST_SHIFT: Final = 0.02
"""Cumulative layout shift; up to 0.1 counts as good elsewhere."""

_OVERFLOW: Final = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const clips = element => !["visible"].includes(getComputedStyle(element).overflowX);
    const clipped = element => {
        for (let up = element.parentElement; up && up !== document.body; up = up.parentElement)
            if (clips(up) && up.getBoundingClientRect().right <= width) return true;
        return false;
    };
    const found = [...document.body.querySelectorAll("*")].filter(
        element => element.getBoundingClientRect().right > width + 0.5 && !clipped(element));
    const shown = found.slice(0, 5).map(element =>
        `${element.tagName.toLowerCase()}.${element.className} ends at ${element.getBoundingClientRect().right} px`);
    return [`the page is ${document.documentElement.scrollWidth} px wide, the window ${width} px`, ...shown];
}"""

_MARKUP: Final = """() => [
    ...[...document.querySelectorAll("img[src=x], [onerror], [onload], [onclick]")],
    ...[...document.querySelectorAll("script:not([src])")].filter(
        script => !["application/json", "speculationrules"].includes(script.type)),
].map(element => element.outerHTML.slice(0, 200))"""

_BIDI: Final = """() => {
    const isolating = ["isolate", "plaintext", "isolate-override"];
    const controls = /[\\u202a-\\u202e\\u2066-\\u2069]/;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        if (!controls.test(node.data) || node.parentElement.closest("script, style")) continue;
        const text = node.data.trim();
        let element = node.parentElement;
        while (!isolating.includes(getComputedStyle(element).unicodeBidi)
            && element.parentElement && element.parentElement.textContent.trim() === text)
            element = element.parentElement;
        if (!isolating.includes(getComputedStyle(element).unicodeBidi)) found.push(element.outerHTML.slice(0, 200));
    }
    return found;
}"""

_SHIFT: Final = """() => new Promise(done => {
    let sum = 0;
    const add = entries => entries.forEach(entry => { if (!entry.hadRecentInput) sum += entry.value; });
    const observer = new PerformanceObserver(list => add(list.getEntries()));
    observer.observe({type: "layout-shift", buffered: true});
    requestAnimationFrame(() => setTimeout(() => { add(observer.takeRecords()); done(sum); }));
})"""


_BLOCKING: Final = """() => [...document.scripts]
    .filter(script => script.src && !script.async && !script.defer && script.type !== "module")
    .map(script => script.src)"""


def overflow(page: Page) -> list[str]:
    """What makes the page wider than the window."""
    return [str(found) for found in page.evaluate(_OVERFLOW)]


def inaccessible(page: Page) -> list[str]:
    """What axe calls serious or critical."""
    found = []
    for violation in Axe().run(page).response["violations"]:
        if violation["impact"] in ("serious", "critical"):
            nodes = "".join(f"\n    {node['html'][:200]}\n    {_why(node)}" for node in violation["nodes"][:5])
            found.append(f"{violation['id']} ({violation['impact']}): {violation['help']}{nodes}")
    return found


def inaccessible_light_or_dark(page: Page) -> list[str]:
    """The same in the light and in the dark colours of one loaded page: all of the styles follow when they change."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found += [f"{scheme}: {text}" for text in inaccessible(page)]
    return found


def _why(node: dict[str, str]) -> str:
    return " ".join(node.get("failureSummary", "").split())


def unreadable(page: Page) -> list[str]:
    """What a reader misses on a page: its one heading, and contents."""
    found = []
    headings = page.locator("h1").all()
    if len(headings) != 1:
        found.append(f"{len(headings)} h1, not 1")
    found += ["the h1 is empty or hidden" for h1 in headings if not h1.is_visible() or not h1.inner_text().strip()]
    mains = page.locator("main").all()
    if len(mains) != 1:
        return [*found, f"{len(mains)} main, not 1"]
    said = text(page).strip()
    for h1 in headings:
        said = said.replace(h1.inner_text().strip(), "", 1).strip()
    return found if len(said) >= SHORTEST_TEXT else [*found, f"main says only {said!r} beside its heading"]


def text(page: Page) -> str:
    """The text of ``main`` that is shown."""
    return "\n".join(page.locator("main").all_inner_texts())


def markup(page: Page) -> list[str]:
    """Elements that only a text from the cluster can have made, or a script that the policy forbids."""
    return [str(found) for found in page.evaluate(_MARKUP)]


def leaking_bidi(page: Page) -> list[str]:
    """Elements from which bidi control characters change the order of the text around them."""
    return [str(found) for found in page.evaluate(_BIDI)]


def too_long(page: Page) -> list[str]:
    """A page on which a long text or list is shown in full."""
    height = page.evaluate("() => document.documentElement.scrollHeight")
    return [f"the page is {height} px long, more than {LONGEST_PAGE} px"] if height > LONGEST_PAGE else []


def shifts(page: Page) -> list[str]:
    """Contents that moved while the page was built."""
    moved = float(page.evaluate(_SHIFT))
    return [f"the layout shifted by {moved:.3f}, more than {MOST_SHIFT}"] if moved > MOST_SHIFT else []


def blocking(page: Page) -> list[str]:
    """Scripts without which nothing is painted."""
    return [f"{url} delays the first paint: use type=module or defer" for url in page.evaluate(_BLOCKING)]


AT_A_DESK: Final = (unreadable, overflow, shifts, blocking, too_long, leaking_bidi, markup)
"""What holds on every page that is read with a mouse."""
