"""Short ways to make what the fold stores. Times are seconds; a span is any name."""

from typing import Any

from kspan.graph.state.records import KnownChange, LostDependent, ObjectState, Occurrence, Replacement, Transition
from kspan.graph.state.state import State
from kspan.model import OwnerRow
from kspan.settings import FoldSettings
from kspan.times import SECOND

CLUSTER = "cluster"


def change(span: str, rv: int, seconds: float = 0, verb: str = "Update", **more: Any) -> KnownChange:
    return KnownChange(span, verb, rv, int(seconds * SECOND), **more)


def transition(span: str, rv: int, seconds: float = 0, kind: str = "Ready", **more: Any) -> Transition:
    return Transition(span, kind, more.pop("bad", True), rv, int(seconds * SECOND), **more)


def lost(span: str, rv: int, seconds: float = 0, name: str = "web-0", **more: Any) -> LostDependent:
    return LostDependent(span, rv, int(seconds * SECOND), more.pop("uid", name), name, **more)


def replacement(span: str, rv: int, seconds: float = 0, name: str = "web-0", **more: Any) -> Replacement:
    return Replacement(span, rv, int(seconds * SECOND), name, **more)


def occurrence(span: str = "this", rv: int = 0, seconds: float = 0, **more: Any) -> Occurrence:
    """An occurrence of the object ``uid``, of a Pod called web-0 in shop."""
    at = int(seconds * SECOND)
    named: dict[str, Any] = {"uid": "pod", "kind": "Pod", "namespace": "shop", "name": "web-0", "reason": "Killing"}
    named |= {"arrival": 1, "received": at, "time": at, "latest": at, "rv": rv}
    return Occurrence(span, **(named | more))


def state_of(*objects: ObjectState, **settings: Any) -> State:
    """The state with these objects, each owned by its ``owner``."""
    state = State(CLUSTER, FoldSettings(**settings))
    for obj in objects:
        state.objects.put(obj)
        for owner in obj.owners or ((obj.owner,) if obj.owner else ()):
            of = state.object(owner)
            kind, name = (of.kind, of.name) if of is not None else ("", "")
            state.objects.own(OwnerRow(obj.uid, owner, "", kind, name, owner == obj.owner))
    return state


def thing(uid: str, kind: str = "Pod", name: str = "", **more: Any) -> ObjectState:
    """A seen object in the namespace shop, named like its uid."""
    return ObjectState(uid, kind, more.pop("namespace", "shop"), name or uid, **({"rv": 1} | more))
