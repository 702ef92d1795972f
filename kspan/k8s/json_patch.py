"""JSON Patch (RFC 6902) between two JSON documents. Pure.

The patch depends on nothing but the two documents: members are compared in the order of their sorted names.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

Pointer = tuple[str | int, ...]
"""A JSON Pointer (RFC 6901) as its tokens. An index of an array is an int, the name of a member a str."""


class Operation(NamedTuple):
    """An operation of a JSON Patch. ``old`` is the value that it replaces or removes."""

    op: Literal["add", "remove", "replace"]
    pointer: Pointer
    old: Any = None
    new: Any = None

    def as_json(self) -> dict[str, Any]:
        """The operation in the form of RFC 6902."""
        found = {"op": self.op, "path": format_pointer(self.pointer)}
        return found if self.op == "remove" else found | {"value": self.new}


def format_pointer(pointer: Pointer) -> str:
    """A pointer in the form of RFC 6901: ``/metadata/annotations/example.com~1ticket``."""
    return "".join(f"/{str(token).replace('~', '~0').replace('/', '~1')}" for token in pointer)


def make_patch(old: Any, new: Any, pointer: Pointer = ()) -> Iterator[Operation]:
    """Yield the operations that turn ``old`` into ``new``, to be applied in this order.

    Only ``add``, ``remove`` and ``replace`` are used. A number is different from a boolean, and 1 from 1.0.

    Args:
        old: the decoded JSON before.
        new: the decoded JSON after.
        pointer: where both are in the document that the patch is for.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _objects(old, new, pointer)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _arrays(old, new, pointer)
    elif not _equal(old, new):
        yield Operation("replace", pointer, old, new)


def _objects(old: dict[str, Any], new: dict[str, Any], pointer: Pointer) -> Iterator[Operation]:
    for name in sorted(old.keys() | new.keys()):
        at = (*pointer, name)
        if name not in new:
            yield Operation("remove", at, old=old[name])
        elif name not in old:
            yield Operation("add", at, new=new[name])
        else:
            yield from make_patch(old[name], new[name], at)


def _arrays(old: list[Any], new: list[Any], pointer: Pointer) -> Iterator[Operation]:
    """Compare items by name where they have one (containers, env), otherwise by position.

    Equal items at the beginning and at the end are left alone first.
    """
    start, end = _common_ends(old, new)
    left, right = old[start : len(old) - end], new[start : len(new) - end]
    shared = _shared_names(left, right)
    if shared is None:
        yield from _by_position(left, right, pointer, start)
    else:
        yield from _by_name(left, right, shared, pointer, start)


def _common_ends(old: list[Any], new: list[Any]) -> tuple[int, int]:
    """Return how many items are equal at the beginning and, of the others, at the end."""
    shorter = min(len(old), len(new))
    start = 0
    while start < shorter and _equal(old[start], new[start]):
        start += 1
    end = 0
    while end < shorter - start and _equal(old[-1 - end], new[-1 - end]):
        end += 1
    return start, end


def _by_position(old: list[Any], new: list[Any], pointer: Pointer, at: int) -> Iterator[Operation]:
    shorter = min(len(old), len(new))
    for index in range(shorter):
        yield from make_patch(old[index], new[index], (*pointer, at + index))
    for item in old[shorter:]:  # The items after a removed one move up.
        yield Operation("remove", (*pointer, at + shorter), old=item)
    for index in range(shorter, len(new)):
        yield Operation("add", (*pointer, at + index), new=new[index])


def _shared_names(old: list[Any], new: list[Any]) -> frozenset[str] | None:
    """Return the names that are in both arrays; None if names do not identify the items, or their order changed."""
    before, after = _names(old), _names(new)
    if before is None or after is None:
        return None
    shared = frozenset(before).intersection(after)
    in_order = [name for name in before if name in shared] == [name for name in after if name in shared]
    return shared if in_order else None


def _names(items: list[Any]) -> list[str] | None:
    """Return the member ``name`` of every item; None unless each has one of its own."""
    names = [item["name"] for item in items if isinstance(item, dict) and isinstance(item.get("name"), str)]
    return names if len(names) == len(items) == len(set(names)) else None


def _by_name(
    old: list[dict[str, Any]], new: list[dict[str, Any]], shared: frozenset[str], pointer: Pointer, at: int
) -> Iterator[Operation]:
    remaining = iter(old)
    for item in new:
        if item["name"] not in shared:
            yield Operation("add", (*pointer, at), new=item)
        else:
            for before in remaining:
                if before["name"] in shared:
                    yield from make_patch(before, item, (*pointer, at))
                    break
                yield Operation("remove", (*pointer, at), old=before)
        at += 1
    for before in remaining:
        yield Operation("remove", (*pointer, at), old=before)


def _equal(old: Any, new: Any) -> bool:
    """Compare JSON values with their types: for Python, 1, 1.0 and True are equal."""
    if type(old) is not type(new):
        return False
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(_equal(value, new[name]) for name, value in old.items())
    if isinstance(old, list):
        return len(old) == len(new) and all(map(_equal, old, new))
    return bool(old == new)
