"""The asker of the current request."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from kspan.query.visible import EVERYTHING, Visible

_visible: ContextVar[Visible] = ContextVar("kspan_visible", default=EVERYTHING)
_signed_in: ContextVar[bool] = ContextVar("kspan_signed_in", default=False)


def of_asker() -> Visible:
    """Return what the sender of the current request may see."""
    return _visible.get()


def signed_in() -> bool:
    """Return whether the current request belongs to a session of a browser, which can be ended."""
    return _signed_in.get()


@contextlib.contextmanager
def asking(visible: Visible, *, session: bool = False) -> Iterator[None]:
    """Let ``of_asker`` return ``visible`` and ``signed_in`` return ``session`` inside the block."""
    tokens = _visible.set(visible), _signed_in.set(session)
    try:
        yield
    finally:
        _visible.reset(tokens[0])
        _signed_in.reset(tokens[1])
