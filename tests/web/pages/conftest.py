"""Histories whose pages the tests in this folder read."""

from collections.abc import Iterator

import pytest

from tests.query.conftest import Histories, histories, store  # noqa: F401
from tests.web.pages.site import Address, site


@pytest.fixture
def update(histories: Histories) -> Iterator[Address]:  # noqa: F811
    """A rolling update and its rollback."""
    known = histories("02-rolling-update")
    with site(known.store, known.cluster) as address:
        yield address


@pytest.fixture
def crash(histories: Histories) -> Iterator[Address]:  # noqa: F811
    """A container that crashes again and again."""
    known = histories("03-crashloop")
    with site(known.store, known.cluster) as address:
        yield address
