"""A page of a list."""

from typing import Generic, TypeVar

import msgspec

Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """A page of a list. ``next`` is the cursor of the next page; null if this is the last one.

    A page can have fewer items than asked for, even none, and a ``next``: the work for a page is limited.
    """

    items: list[Item]
    next: str | None
