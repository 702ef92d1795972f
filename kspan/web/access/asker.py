"""The asker of the current request."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from kspan.query.visible import EVERYTHING, Visible

_asker: ContextVar[Visible] = ContextVar("kspan_asker", default=EVERYTHING)


def of_asker() -> Visible:
    """Return what the sender of the current request may see."""
    return _asker.get()


@contextlib.contextmanager
def asking(visible: Visible) -> Iterator[None]:
    """Let ``of_asker`` return ``visible`` inside the block."""
    token = _asker.set(visible)
    try:
        yield
    finally:
        _asker.reset(token)
