"""What holds on every page, for every database: with a mouse or a phone, light or dark, with or without scripts."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.browser import checks
from tests.browser.addresses import PAGES, objects_named
from tests.browser.chromium import DESK, PHONE
from tests.browser.databases import NAME
from tests.browser.reader import Reader

SMALL: Final = ("demo", "recordings", "hostile")
SHOWN: Final = [
    *((database, page) for database in (*SMALL, "spans-2000") for page in PAGES),
    ("spans-20000", "home"),
    ("spans-20000", "trace"),
    ("spans-20000", "timeline"),
]
NAMED: Final = ("traces", "trace", "timeline", "why", "objects", "pod")
"""Pages of the hostile database on which the hostile name is shown."""

Urls = Callable[[str, str], str]

every_page = pytest.mark.parametrize("database_name, page_name", SHOWN, ids=["-".join(pair) for pair in SHOWN])


@every_page
def test_a_page_has_one_heading_does_not_move_or_overflow_and_axe_finds_nothing_serious(
    reader: Reader, url_of: Urls, database_name: str, page_name: str
) -> None:
    page = reader.open(url_of(database_name, page_name))
    each = (*checks.AT_A_DESK, checks.inaccessible_light_or_dark)  # Axe last: it looks at the page for seconds.
    assert [text for check in each for text in check(page)] == []


@every_page
def test_nothing_sticks_out_on_a_phone(reader: Reader, url_of: Urls, database_name: str, page_name: str) -> None:
    page = reader.open(url_of(database_name, page_name), again=True, viewport=PHONE, is_mobile=True, has_touch=True)
    assert [*checks.unreadable(page), *checks.overflow(page), *checks.too_long(page)] == []


@every_page
def test_a_page_can_be_read_without_javascript(
    reader: Reader, url_of: Urls, database_name: str, page_name: str
) -> None:
    page = reader.open(url_of(database_name, page_name), again=True, java_script_enabled=False)
    assert [*checks.unreadable(page), *checks.overflow(page)] == []


@pytest.mark.parametrize("page_name", NAMED)
def test_a_name_that_is_mark_up_is_shown_as_text(reader: Reader, url_of: Urls, page_name: str) -> None:
    page = reader.open(url_of("hostile", page_name), again=True)
    assert NAME in checks.text(page)


def test_the_pages_of_objects_with_hostile_names_and_contents_show_text(
    reader: Reader, database: Callable[[str], Path], served: Callable[[str], str]
) -> None:
    found = []
    for path in objects_named(database("hostile"), NAME):
        for viewport in (DESK, PHONE):
            page = reader.open(served("hostile") + path, again=True, viewport=viewport)
            assert NAME in checks.text(page)
            for check in (checks.markup, checks.leaking_bidi, checks.overflow, checks.too_long):
                found += [f"{path}: {text}" for text in check(page)]
    assert found == []
