"""The current request: its asker, and the cluster that it asks about."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from kspan.query.visible import EVERYTHING, Visible
from kspan.store.results import NamedCluster


class AskedCluster:
    """The cluster that a request asks about.

    Args:
        given: its name or uid as the parameter ``cluster`` has it; empty: not given.
        path, query: the address of the request.
    """

    def __init__(self, given: str = "", path: str = "/", query: str = "") -> None:
        self.given = given
        self.path = path
        self.query = query
        self.offered: list[NamedCluster] = []
        """The clusters that may be asked about, once the history was asked; empty if only one may be."""
        self.uid = ""
        """uid of the cluster that was asked about, once it is known."""


_visible: ContextVar[Visible] = ContextVar("kspan_visible", default=EVERYTHING)
_signed_in: ContextVar[bool] = ContextVar("kspan_signed_in", default=False)
_cluster: ContextVar[AskedCluster | None] = ContextVar("kspan_cluster", default=None)


def of_asker() -> Visible:
    """Return what the sender of the current request may see."""
    return _visible.get()


def signed_in() -> bool:
    """Return whether the current request belongs to a session of a browser, which can be ended."""
    return _signed_in.get()


def asked_cluster() -> AskedCluster:
    """Return the cluster that the current request asks about."""
    return _cluster.get() or AskedCluster()


@contextlib.contextmanager
def asking(visible: Visible, *, session: bool = False, cluster: AskedCluster | None = None) -> Iterator[None]:
    """Let the functions above return these values inside the block."""
    tokens = _visible.set(visible), _signed_in.set(session), _cluster.set(cluster)
    try:
        yield
    finally:
        _visible.reset(tokens[0])
        _signed_in.reset(tokens[1])
        _cluster.reset(tokens[2])
