"""Asks the pages over a real socket, and reads their HTML."""

from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser

from kspan.store import Store
from kspan.web.app import make_app
from kspan.web.guard import Access
from kspan.web.history import History
from kspan.web.server import Server
from tests.web.test_server import ask

Address = tuple[str, int]

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Node:
    """An element, with its text and that of all elements in it."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[Node] = []
        self.parts: list[str] = []

    @property
    def text(self) -> str:
        """The text, with single blanks."""
        return " ".join("".join(self.parts).split())

    def all(self, tag: str, **attributes: str) -> list["Node"]:
        """The elements below this one, in order. ``class_`` is one of the classes."""
        found = []
        for child in self.children:
            if child.tag == tag and all(child.has(*item) for item in attributes.items()):
                found.append(child)
            found += child.all(tag, **attributes)
        return found

    def has(self, name: str, value: str) -> bool:
        """True if an attribute has this value, or the class is among its classes."""
        if name == "class_":
            return value in self.attributes.get("class", "").split()
        return self.attributes.get(name) == value


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Node("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(node)
        if tag not in _VOID:
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> ends <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for node in self._open:
            node.parts.append(data)


@contextmanager
def site(store: Store, cluster: str, *, serves_sql: bool = False) -> Iterator[Address]:
    """Serve the history of a cluster; yields the address."""
    history = History(lambda _: (store, cluster), serves_sql=serves_sql)
    server = Server("127.0.0.1:0", make_app({}, Access(hosts=None), history))
    server.start()
    try:
        yield server.address
    finally:
        server.stop()


def read(address: Address, path: str, status: int = 200) -> Node:
    """Return a page whose status is as expected. All its elements are closed, and it has one heading."""
    found, body, headers = ask(address, path)
    assert found == status, body[-2000:]
    assert headers["content-type"] == "text/html; charset=utf-8"
    reader = _Reader()
    reader.feed(body)
    assert len(reader.root.all("h1")) == 1
    return reader.root
