"""JSON Patch: each patch turns the old document into the new one, and is short."""

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kspan.k8s.json_patch import format_pointer, make_patch

keys = st.sampled_from(["name", "env", "data", "value", "a/b", "a~b", "~1", "", "0", "1", "é"]) | st.text(max_size=3)
leaves = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2, allow_nan=False) | st.text(max_size=3)
named = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("abcd")}, optional={"image": leaves, "ports": st.lists(leaves)}),
    unique_by=lambda item: str(item["name"]),
)
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4) | named, max_leaves=20
)


def patch_of(old: Any, new: Any) -> list[dict[str, Any]]:
    """The patch, as a receiver reads it."""
    patch = json.loads(json.dumps([operation.as_json() for operation in make_patch(old, new)]))
    assert isinstance(patch, list)
    return patch


def apply(document: Any, patch: list[dict[str, Any]]) -> Any:
    """RFC 6902, section 4: add, remove and replace, with every precondition asserted."""
    whole = {"": copy.deepcopy(document)}  # So that "", which is the document, is the name of a member too.
    for operation in patch:
        parent: Any = whole
        *above, last = (t.replace("~1", "/").replace("~0", "~") for t in operation["path"].split("/"))
        for token in above:
            parent = parent[index(token, len(parent) - 1)] if isinstance(parent, list) else parent[token]
        edit(parent, last, operation)
    return whole[""]


def edit(parent: Any, token: str, operation: dict[str, Any]) -> None:
    op = operation["op"]
    assert set(operation) == ({"op", "path"} if op == "remove" else {"op", "path", "value"})
    if isinstance(parent, list):
        at = index(token, len(parent) - (op != "add"))
        parent[at : at + (op != "add")] = [] if op == "remove" else [operation["value"]]
        return
    assert (token in parent) is (op != "add")
    if op == "remove":
        del parent[token]
    else:
        parent[token] = operation["value"]


def index(token: str, most: int) -> int:
    assert re.fullmatch("0|[1-9][0-9]*", token)
    assert int(token) <= most
    return int(token)


def typed(document: Any) -> str:
    """Equal only for documents whose numbers and booleans have the same type too."""
    return json.dumps(document, sort_keys=True).replace("-0.0", "0.0")


def test_arrays_that_are_equal_in_a_part_are_different_values() -> None:
    assert patch_of({"a": {"b": [[1, 2]]}}, {"a": {"b": [[1, 3]]}}) != []
    assert patch_of([[1, 2], 0], [[1, 3], 0]) != []


@settings(deadline=None)
@given(old=documents, new=documents)
def test_applying_the_patch_to_the_old_document_gives_the_new_one(old: Any, new: Any) -> None:
    assert typed(apply(old, patch_of(old, new))) == typed(new)


@settings(deadline=None)
@given(old=st.lists(leaves, max_size=6) | named, new=st.lists(leaves, max_size=6) | named)
def test_arrays_of_values_and_of_named_things_are_patched_correctly(old: Any, new: Any) -> None:
    assert typed(apply(old, patch_of(old, new))) == typed(new)


@settings(deadline=None)
@given(old=documents, new=documents)
def test_the_order_of_members_does_not_change_the_patch(old: Any, new: Any) -> None:
    shuffled = [json.loads(json.dumps(document, sort_keys=True)) for document in (old, new)]
    assert typed(patch_of(old, new)) == typed(patch_of(*shuffled))


@settings(deadline=None)
@given(document=documents)
def test_a_document_does_not_differ_from_itself(document: Any) -> None:
    assert patch_of(document, copy.deepcopy(document)) == []


NAMED = [{"name": "app", "image": "web:v1"}, {"name": "log", "image": "log:v1"}]
"""Containers, as a pod template has them."""


@pytest.mark.parametrize(
    "old, new, expected",
    [
        ({"a": 1}, {"a": 1.0}, [{"op": "replace", "path": "/a", "value": 1.0}]),
        ({"a": 1}, {"a": True}, [{"op": "replace", "path": "/a", "value": True}]),
        ({"a": 0}, {"a": None}, [{"op": "replace", "path": "/a", "value": None}]),
        ({"a": {}}, {"a": []}, [{"op": "replace", "path": "/a", "value": []}]),
        (1, [1], [{"op": "replace", "path": "", "value": [1]}]),
        ({"b": 1, "d": 1}, {"a": 1, "c": 1, "d": 2}, [
            {"op": "add", "path": "/a", "value": 1},
            {"op": "remove", "path": "/b"},
            {"op": "add", "path": "/c", "value": 1},
            {"op": "replace", "path": "/d", "value": 2},
        ]),
        ({"a/b~c": {"": 1}}, {"a/b~c": {"": 2}}, [{"op": "replace", "path": "/a~1b~0c/", "value": 2}]),
        ([1, 2, 3], [0, 1, 2, 3], [{"op": "add", "path": "/0", "value": 0}]),
        ([1, 2, 3], [1, 2, 3, 4], [{"op": "add", "path": "/3", "value": 4}]),
        ([1, 2, 3], [1, 3], [{"op": "remove", "path": "/1"}]),
        (["a", "b", "c"], ["a", "x", "c"], [{"op": "replace", "path": "/1", "value": "x"}]),
        (["a", "b", "c"], ["x"], [
            {"op": "replace", "path": "/0", "value": "x"},
            {"op": "remove", "path": "/1"},
            {"op": "remove", "path": "/1"},
        ]),
        ([[1], [2]], [[1], [3]], [{"op": "replace", "path": "/1/0", "value": 3}]),
        ([1], [True], [{"op": "replace", "path": "/0", "value": True}]),
        ([[1]], [[1.0]], [{"op": "replace", "path": "/0/0", "value": 1.0}]),
        ([{"a": 1}], [{"a": True}], [{"op": "replace", "path": "/0/a", "value": True}]),
        (NAMED, [{"name": "proxy"}, {"name": "app", "image": "web:v2"}, NAMED[1]], [
            {"op": "add", "path": "/0", "value": {"name": "proxy"}},
            {"op": "replace", "path": "/1/image", "value": "web:v2"},
        ]),
        (NAMED, [{"name": "log", "image": "log:v2"}], [
            {"op": "remove", "path": "/0"},
            {"op": "replace", "path": "/0/image", "value": "log:v2"},
        ]),
        (NAMED, [{"name": "app", "image": "web:v2"}], [
            {"op": "replace", "path": "/0/image", "value": "web:v2"},
            {"op": "remove", "path": "/1"},
        ]),
        (NAMED, NAMED[::-1], [
            {"op": "replace", "path": "/0/image", "value": "log:v1"},
            {"op": "replace", "path": "/0/name", "value": "log"},
            {"op": "replace", "path": "/1/image", "value": "web:v1"},
            {"op": "replace", "path": "/1/name", "value": "app"},
        ]),
        ([{"name": "a"}, {"name": "a", "x": 1}], [{"name": "a", "x": 2}], [
            {"op": "add", "path": "/0/x", "value": 2},
            {"op": "remove", "path": "/1"},
        ]),
    ],
)  # fmt: skip
def test_patches_are_as_short_as_a_reader_expects(old: Any, new: Any, expected: list[dict[str, Any]]) -> None:
    assert typed(patch_of(old, new)) == typed(expected)
    assert typed(apply(old, expected)) == typed(new)


def test_a_pointer_escapes_tildes_before_slashes() -> None:
    assert format_pointer(("a/b", "~1", 0, "")) == "/a~1b/~01/0/"
    assert format_pointer(()) == ""
