"""The fold's state changes only through methods, so that no row is forgotten."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kspan import graph
from kspan.graph.state import records
from kspan.graph.state.objects import Objects
from kspan.graph.state.state import State
from kspan.settings import FoldSettings

GRAPH = Path(graph.__file__).parent
OUTSIDE = sorted(path for path in GRAPH.rglob("*.py") if GRAPH / "state" not in path.parents)

MUTATORS = frozenset(
    ["add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft"]
)
MUTATORS |= {"remove", "setdefault", "sort", "update"}

BUILT_BY_OBSERVERS = frozenset(["new", "occ", "change", "ref"])
"""Names under which observers fill in what they build: the new state of an object, an occurrence, a change; and the
reference of an Event that they decoded."""

DECODED = frozenset(["obj.kind = obj.kind or record.kind"])
"""Changes of objects as the API server sent them, whose fields have the same names."""


def stored_fields() -> set[str]:
    """The fields of all structs that the fold stores."""
    structs = [
        value for value in vars(records).values() if isinstance(value, type) and issubclass(value, msgspec.Struct)
    ]
    return {name for struct in structs if struct.__module__ == records.__name__ for name in struct.__struct_fields__}


def changes_by_hand(source: str, fields: set[str], built: frozenset[str]) -> Iterator[str]:
    """Statements that assign to a stored field, or change a stored collection."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            targets = [node.func.value]
        elif isinstance(node, ast.Assign | ast.Delete):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        changed = [part for target in targets for part in _changed(target)]
        if any(part.attr in fields and not _is_allowed(part.value, built) for part in changed):
            yield ast.unparse(node)


def _changed(target: ast.expr) -> Iterator[ast.Attribute]:
    """The attribute that an assignment to ``target`` changes: of ``a.b[c].d`` ``d`` and ``b``."""
    if isinstance(target, ast.Tuple | ast.List):
        for element in target.elts:
            yield from _changed(element)
    elif isinstance(target, ast.Subscript | ast.Starred):
        yield from _changed(target.value)
    elif isinstance(target, ast.Attribute):
        yield target
        yield from _changed(target.value)


def _is_allowed(receiver: ast.expr, built: frozenset[str]) -> bool:
    return isinstance(receiver, ast.Name) and receiver.id in (*built, "self")


@pytest.mark.parametrize("module", OUTSIDE, ids=lambda path: path.relative_to(GRAPH).as_posix())
def test_only_the_state_changes_what_is_stored(module: Path) -> None:
    built = BUILT_BY_OBSERVERS if module.parent.name == "observe" else frozenset()
    assert set(changes_by_hand(module.read_text(encoding="utf-8"), stored_fields(), built)) <= DECODED


@pytest.mark.parametrize(
    "statement",
    [
        "obj.changes.append(change)",
        "obj.changes[:0] = [change]",
        "obj.episodes += 1",
        "trace.warning = True",
        "occ.rule, occ.actor = 'own', 'kubelet'",
        "del obj.events[uid]",
        "obj.events.pop(uid)",
    ],
)
def test_the_check_above_finds_changes_by_hand(statement: str) -> None:
    assert list(changes_by_hand(statement, stored_fields(), frozenset()))


def test_the_state_has_no_public_collection() -> None:
    state = State("cluster", FoldSettings())
    for part in (state, state.objects, state.schedule, state.clock):
        public: dict[str, Any] = {name: value for name, value in vars(part).items() if not name.startswith("_")}
        assert not [name for name, value in public.items() if isinstance(value, dict | list | set)]
    assert isinstance(state.objects, Objects)
