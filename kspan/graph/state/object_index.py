"""The objects of a cluster by uid, by name and by owner. Pure data."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import itemgetter
from sys import intern
from typing import Any, Final, TypeVar

import networkx as nx

from kspan.graph.observe.condition_diff import interned
from kspan.graph.observe.field_managers import FieldManagerEntry
from kspan.graph.state.records import SYNTHETIC_UPDATE, KnownChange, News, ObjectState, Refusal, Transition
from kspan.model import OwnerRow

Name = tuple[str, str, str]
"""Kind, namespace and name of an object."""

Key = TypeVar("Key")


MANY_DEPENDENTS: Final = 512
"""An owner with more dependents gets an index of what happened to them, once that is asked for."""


class Happenings:
    """Transitions, creations and deletions of the direct dependents of one owner, in the order of their versions.

    The key of a transition is whether it is for the worse, that of a change is its verb. Those with a key are sorted
    when it is asked for, and kept in order from then on. Old ones stay when their object drops them, and are skipped.
    """

    def __init__(self, index: "ObjectIndex", owner: str) -> None:
        self._index = index
        self._owner = owner
        self._sorted: dict[bool | str, list[_Entry]] = {}
        self._most: dict[bool | str, int] = {}
        self.owners = set(filter(index.has_dependents, index.ownership.succ[owner]))
        """The uids of those dependents that have dependents themselves."""

    def add(self, uid: str, what: Transition | KnownChange) -> None:
        """Add what happened to a dependent; again if the span of a transition changed."""
        key = _key(what)
        known = self._sorted.get(key)
        if known is None:
            return
        insort(known, (what.rv, what.span, uid, what), key=_in_order)
        if len(known) > self._most[key]:
            del self._sorted[key]  # Most of it is old.

    def newest(self, key: bool | str, before: int) -> Transition | KnownChange | None:
        """The newest one with this key and a smaller version."""
        known = self._sorted.get(key)
        if known is None:
            known = self._sort(key)
        for i in range(bisect_left(known, (before, ""), key=_in_order) - 1, -1, -1):
            rv, span, uid, what = known[i]
            if rv <= SYNTHETIC_UPDATE and isinstance(key, str):
                return None
            obj = self._index.by_uid.get(uid)
            if obj is not None and what.span == span and any(what is one for one in _happened(obj, key)):
                return what
        return None

    def _sort(self, key: bool | str) -> list["_Entry"]:
        dependents = self._index.dependents(self._owner)
        found = [(w.rv, w.span, obj.uid, w) for obj in dependents for w in _happened(obj, key) if _key(w) == key]
        found.sort(key=_in_order)
        self._sorted[key], self._most[key] = found, 2 * len(found) + 1024
        return found


_Entry = tuple[int, str, str, Transition | KnownChange]
"""Version, span, uid of the dependent, and what happened to it."""

_in_order = itemgetter(0, 1)


def _key(what: Transition | KnownChange) -> bool | str:
    return what.bad if isinstance(what, Transition) else what.verb


def _happened(obj: ObjectState, key: bool | str) -> Sequence[Transition | KnownChange]:
    return obj.changes if isinstance(key, str) else obj.transitions


_NO_ATTRIBUTES: Final[dict[str, Any]] = {}


class ObjectIndex:
    """Objects that are remembered, and the graph ``ownership``: owner -> dependent, nodes are uids."""

    def __init__(self) -> None:
        self.by_uid: dict[str, ObjectState] = {}
        self.ownership: nx.DiGraph[str] = nx.DiGraph()
        # Nodes have no attributes and share an empty dict: one for each of 100,000 takes 6 MB.
        self.ownership.node_attr_dict_factory = lambda: _NO_ATTRIBUTES
        self._by_name: dict[Name, list[str]] = {}
        self._refused: dict[Name, set[str]] = defaultdict(set)
        self._consumers: dict[tuple[str, str], set[str]] = defaultdict(set)  # namespace and name of a claim -> Pods
        self._targeting: dict[Name, set[str]] = defaultdict(set)  # what an autoscaler or a Rollout refers to -> uids
        self._publishers: dict[tuple[str, str], set[str]] = defaultdict(set)  # kind and name -> uids
        self._requesters: dict[str, set[str]] = defaultdict(set)  # kind that is wanted -> uids
        self._happenings: dict[str, Happenings] = {}
        self._on_node: dict[str, list[str]] = {}  # name of a Node -> Pods; a list takes a quarter of a set's memory
        self._seen: dict[str, int] = defaultdict(int)  # kind -> number of objects that were seen

    def put(self, obj: ObjectState) -> bool:
        """Add or replace an object. True if a column by which it is looked up in the database changed."""
        old = self.by_uid.get(obj.uid)
        _share_strings(obj, old)
        self.by_uid[obj.uid] = obj
        if old is None:
            self.ownership.add_node(obj.uid)
        if obj.rv and (old is None or not old.rv):
            self._seen[obj.kind] += 1
        if obj.kind == "Pod" and obj.node != (old.node if old is not None else ""):
            self._leave_node(old)
            if obj.node:
                self._on_node.setdefault(obj.node, []).append(obj.uid)
        is_same = old is not None and _has_same_columns(old, obj)
        if obj.name and not is_same:
            uids = self._by_name.setdefault((obj.kind, obj.namespace, obj.name), [])
            if obj.uid not in uids:
                uids.append(obj.uid)
        for claim in obj.claims:
            self._consumers[obj.namespace, claim].add(obj.uid)
        if obj.target_name:
            self._targeting[obj.target_kind, obj.namespace, obj.target_name].add(obj.uid)
        return not is_same

    def remove(self, obj: ObjectState) -> None:
        """Remove an object, and owners that are known only as its owners. Its dependents still name it as theirs, as
        they do in the database."""
        name = (obj.kind, obj.namespace, obj.name)
        uids = self._by_name.get(name, [])
        if obj.uid in uids:
            uids.remove(obj.uid)
            if not uids:
                del self._by_name[name]
        for claim in obj.claims:
            self._consumers[obj.namespace, claim].discard(obj.uid)
            if not self._consumers[obj.namespace, claim]:
                del self._consumers[obj.namespace, claim]
        if obj.target_name:
            target = (obj.target_kind, obj.namespace, obj.target_name)
            self._targeting[target].discard(obj.uid)
            if not self._targeting[target]:
                del self._targeting[target]
        self.set_refusals(obj, ())
        self.set_news(obj, ())
        self._leave_node(obj)
        self._seen[obj.kind] -= bool(obj.rv)
        self._happenings.pop(obj.uid, None)
        owners = list(self.ownership.pred[obj.uid])
        del self.by_uid[obj.uid]
        if self.ownership.succ[obj.uid]:
            self.ownership.remove_edges_from([(owner, obj.uid) for owner in owners])
        else:
            self.ownership.remove_node(obj.uid)
        for owner in owners:
            if owner not in self.by_uid and not self.ownership.succ[owner]:
                self.ownership.remove_node(owner)

    def _leave_node(self, obj: ObjectState | None) -> None:
        uids = self._on_node.get(obj.node, []) if obj is not None else []
        if obj is not None and obj.uid in uids:
            uids.remove(obj.uid)
            if not uids:
                del self._on_node[obj.node]

    def has_seen(self, kind: str) -> bool:
        """True if any object of a kind was seen that is remembered, and not only referenced by others."""
        return self._seen.get(kind, 0) > 0

    def pods_on(self, node: str) -> Iterable[ObjectState]:
        """The Pods on the Node with this name, deleted ones that are remembered included, in no particular order."""
        found = map(self.by_uid.get, self._on_node.get(node, ()))
        return (obj for obj in found if obj is not None)

    def own(self, row: OwnerRow) -> bool:
        """Add an edge owner -> dependent. True if it is new."""
        if self.ownership.has_edge(row.owner_uid, row.uid):
            return False
        self._add_edge(row)
        if self._happenings:
            self._index_edge(row.owner_uid, row.uid)
        return True

    def _add_edge(self, row: OwnerRow) -> None:
        """Add an edge. Its attributes are how the dependent names its owner. All dependents of one owner do so in the
        same way, so that they share them: a dict and a row for each of 100,000 edges take 20 MB."""
        graph = self.ownership
        named = {
            "owner_api_version": row.owner_api_version,
            "owner_kind": row.owner_kind,
            "owner_name": row.owner_name,
            "controller": row.controller,
        }
        siblings = graph.succ[row.owner_uid].values() if row.owner_uid in graph else ()
        sibling = next(iter(siblings), None)
        shared = sibling if sibling == named else named
        graph.edge_attr_dict_factory = lambda: shared
        graph.add_edge(row.owner_uid, row.uid)

    def _index_edge(self, owner: str, uid: str) -> None:
        obj, known = self.by_uid.get(uid), self._happenings.get(owner)
        if known is not None and obj is not None:
            for transition in obj.transitions:
                known.add(uid, transition)
            for change in obj.changes:
                known.add(uid, change)
            if self.has_dependents(uid):
                known.owners.add(uid)
        for above in self.happenings_above(owner):
            above.owners.add(owner)

    def happenings(self, owner: str) -> Happenings | None:
        """The index of an owner that has many dependents; None if it has few."""
        if len(self.ownership.succ[owner]) <= MANY_DEPENDENTS:
            return None
        if owner not in self._happenings:
            self._happenings[owner] = Happenings(self, owner)
        return self._happenings[owner]

    def happenings_above(self, uid: str) -> list[Happenings]:
        """The indexes of the owners of an object that have one."""
        if not self._happenings:
            return []
        return [known for owner in self.ownership.pred[uid] if (known := self._happenings.get(owner)) is not None]

    def owner_row(self, owner: str, uid: str) -> OwnerRow | None:
        """The reference by which one object owns another, also if the owner was never seen."""
        named = self.ownership.get_edge_data(owner, uid)
        return OwnerRow(uid=uid, owner_uid=owner, **named) if named is not None else None

    def owner_kind(self, owner: str, uid: str) -> str:
        """The kind of an owner, as an object names it; empty if it does not."""
        named = self.ownership.get_edge_data(owner, uid)
        return str(named["owner_kind"]) if named is not None else ""

    def dependents(self, uid: str) -> list[ObjectState]:
        """The objects that are owned by this one, in no particular order."""
        if uid not in self.ownership:
            return []
        found = map(self.by_uid.get, self.ownership.succ[uid])
        return [obj for obj in found if obj is not None]

    def has_dependents(self, uid: str) -> bool:
        """True if any object names this one as an owner."""
        return bool(self.ownership.succ[uid])

    def named(self, kind: str, namespace: str, name: str) -> list[ObjectState]:
        """The objects that have or had this name, oldest first."""
        uids = self._by_name.get((kind, namespace, name))
        if uids is None:
            return []
        found = map(self.by_uid.get, uids)
        if len(uids) == 1:  # Nearly always.
            return [obj for obj in found if obj is not None]
        return sorted((obj for obj in found if obj is not None), key=lambda obj: (obj.created, obj.uid))

    def targeting(self, target: ObjectState) -> list[ObjectState]:
        """The autoscalers and Rollouts whose spec refers to an object, oldest first."""
        name = (target.kind, target.namespace, target.name)
        found = map(self.by_uid.get, self._targeting.get(name, ()))
        referring = (o for o in found if o is not None and (o.target_kind, o.namespace, o.target_name) == name)
        return sorted(referring, key=lambda obj: (obj.created, obj.uid))

    def consumers(self, claim: ObjectState) -> list[ObjectState]:
        """The Pods that mount a claim, oldest first."""
        found = map(self.by_uid.get, self._consumers.get((claim.namespace, claim.name), ()))
        return sorted((obj for obj in found if obj is not None), key=lambda obj: (obj.created, obj.uid))

    def in_namespace(self, kind: str, namespace: str) -> list[ObjectState]:
        """All objects of a kind in a namespace, oldest first. Looks at every object of the cluster."""
        found = (obj for obj in self.by_uid.values() if (obj.kind, obj.namespace) == (kind, namespace))
        return sorted(found, key=lambda obj: (obj.created, obj.uid))

    def set_refusals(self, obj: ObjectState, refusals: tuple[Refusal, ...]) -> None:
        """Set what an object, or its controller, was refused."""
        for refusal in obj.refusals:
            _discard(self._refused, _refused_by(refusal), obj.uid)
        obj.refusals = refusals
        for refusal in refusals:
            self._refused[_refused_by(refusal)].add(obj.uid)

    def set_news(self, obj: ObjectState, news: tuple[News, ...]) -> None:
        """Set what an object published or requested."""
        for one in obj.news:
            _discard(self._requesters, one.wanted, obj.uid)
            _discard(self._publishers, (obj.kind, obj.name), obj.uid)
        obj.news = news
        for one in news:
            if one.wanted:
                self._requesters[one.wanted].add(obj.uid)
            else:
                self._publishers[obj.kind, obj.name].add(obj.uid)

    def publishers(self, kind: str, name: str) -> list[ObjectState]:
        """The objects with this kind and name, in any namespace, that published something."""
        return self._sorted(self._publishers.get((kind, name), ()))

    def requesters(self, kind: str) -> list[ObjectState]:
        """The objects for which an object of this kind was requested."""
        return self._sorted(self._requesters.get(kind, ()))

    def _sorted(self, uids: Iterable[str]) -> list[ObjectState]:
        found = map(self.by_uid.get, uids)
        return sorted((obj for obj in found if obj is not None), key=lambda obj: (obj.created, obj.uid))

    def refused_by(self, kind: str, namespace: str, name: str) -> Iterable[ObjectState]:
        """The objects whose controllers were refused because of an object, in no particular order."""
        found = map(self.by_uid.get, self._refused.get((kind, namespace, name), ()))
        return (obj for obj in found if obj is not None)


def _discard(index: dict[Key, set[str]], key: Key, uid: str) -> None:
    if key in index:
        index[key].discard(uid)
        if not index[key]:
            del index[key]


def _refused_by(refusal: Refusal) -> Name:
    return refusal.kind, refusal.namespace, refusal.name


def _has_same_columns(old: ObjectState, new: ObjectState) -> bool:
    return (
        old.resource == new.resource
        and old.kind == new.kind
        and old.namespace == new.namespace
        and old.name == new.name
        and old.deleted == new.deleted  # it exists again: a backup was restored
    )


def _share_strings(obj: ObjectState, old: ObjectState | None) -> None:
    """Keep strings that many objects have, and uids that are in many places, once: for 100,000 objects 70 MB."""
    if old is not None and old.kind == obj.kind and old.resource == obj.resource and old.name == obj.name:
        # They seldom change from version to version, and comparing costs less than hashing.
        obj.uid, obj.kind, obj.resource, obj.name = old.uid, old.kind, old.resource, old.name
        obj.namespace, obj.api_version = intern(obj.namespace), intern(obj.api_version)
        obj.owner = old.owner if obj.owner == old.owner else intern(obj.owner)
        obj.owners = old.owners if obj.owners == old.owners else tuple(map(intern, obj.owners))
        obj.owner_manager = old.owner_manager if obj.owner_manager == old.owner_manager else intern(obj.owner_manager)
        obj.node = old.node if obj.node == old.node else intern(obj.node)
        obj.conditions = old.conditions if obj.conditions == old.conditions else interned(obj.conditions)
        return
    obj.uid, obj.owner, obj.owner_manager = intern(obj.uid), intern(obj.owner), intern(obj.owner_manager)
    obj.kind, obj.resource, obj.api_version = intern(obj.kind), intern(obj.resource), intern(obj.api_version)
    obj.namespace, obj.name, obj.node = intern(obj.namespace), intern(obj.name), intern(obj.node)
    obj.owners = tuple(map(intern, obj.owners))
    obj.conditions = interned(obj.conditions)


def share_loaded(obj: ObjectState) -> None:
    """Keep strings in what is known of an object once that many objects have: decoding makes new ones. In a fold that
    was not loaded, they are shared already. For 100,000 objects 30 MB."""
    for change in obj.changes:
        change.verb, change.manager, change.trace = intern(change.verb), intern(change.manager), intern(change.trace)
    for transition in obj.transitions:
        transition.type, transition.trace = intern(transition.type), intern(transition.trace)
    obj.field_managers = tuple(
        [FieldManagerEntry(intern(e.manager), e.subresource, e.time, e.fields, e.content) for e in obj.field_managers]
    )
