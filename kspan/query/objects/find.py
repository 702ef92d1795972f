"""Finds the object that a name means: its kind, its namespace, and which of several objects with that name."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, or_, select

from kspan.errors import QueryError
from kspan.model import ObjectRow
from kspan.query.objects.names import KindName, ObjectName, group_of, kubectl_names
from kspan.query.spans import distinct
from kspan.query.visible import EVERYTHING, Visible
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.times import format_time

objects: Final = schema.objects

_NEAR: Final = 500
"""Number of names before and after a mistyped name that are searched for similar names."""

_SHOWN: Final = 5
_MANY: Final = 200
"""Maximum number of objects with one name: the Pod of a StatefulSet gets a new uid with each restart."""

Place = tuple[str, str, str]
"""(kind, namespace, name)."""


class Found(msgspec.Struct, frozen=True):
    """The object that a name means. ``others`` had the same name in the same namespace, newest first.

    ``namespace_given`` is False if the user gave no namespace and only one has such an object.
    """

    object: ObjectRow
    others: list[ObjectRow]
    namespace_given: bool


def find(
    connection: Connection,
    cluster: str,
    wanted: ObjectName,
    *,
    uid: str = "",
    at: int = 0,
    visible: Visible = EVERYTHING,
) -> Found:
    """Return the newest object of this name, or the newest at ``at`` (Unix ns; 0: now).

    An asker who may not see everything has to name the namespace, and learns nothing about other objects.

    Raises QueryError if there is none, or if objects of the name are in several namespaces or API groups.
    """
    if not visible.everything():
        return _find_visible(connection, cluster, wanted, uid, at, visible)
    candidates = _candidates(connection, cluster, wanted)
    if not candidates:
        raise QueryError(_not_found(connection, cluster, wanted))
    if uid:
        candidates = _with_uid(candidates, wanted, uid)
    _refuse_several(candidates, wanted)
    candidates.sort(key=_age, reverse=True)
    chosen = next((c for c in candidates if at and 0 < c.created_at <= at), candidates[0])
    others = [c for c in candidates if c.uid != chosen.uid and not is_nameless(c)]
    return Found(chosen, others, bool(wanted.namespace) or not chosen.namespace)


def _find_visible(
    connection: Connection, cluster: str, wanted: ObjectName, uid: str, at: int, visible: Visible
) -> Found:
    unknown = f"{_written(wanted)} is not known{'' if wanted.namespace else ': name its namespace'}"
    if not wanted.namespace or not visible.namespace(wanted.namespace):
        raise QueryError(unknown)
    try:
        found = find(connection, cluster, wanted, uid=uid, at=at)
    except QueryError:
        # Its text can have names of other namespaces.
        raise QueryError(unknown) from None
    if found.object.namespace != wanted.namespace:
        raise QueryError(unknown)
    return found


def is_nameless(found: ObjectRow) -> bool:
    """Return whether an object is known only from an Event that references it without a uid (``ids.unnamed``)."""
    return "/" in found.uid


def places(connection: Connection, cluster: str, kind: KindName | None, namespace: str, name: str) -> list[Place]:
    """Return the places of all objects of this name, with the kind and the namespace if given."""
    found: list[Place] = []
    for each in kinds_meant(connection, cluster, kind) if kind else known_kinds(connection, cluster):
        query = select(objects.c.namespace).distinct().where(*_named(cluster, each, namespace, name))
        found.extend((each, inside, name) for inside in connection.execute(query.limit(_MANY)).scalars())
    return found


def places_of(connection: Connection, cluster: str, kind: KindName, namespace: str, most: int) -> list[Place] | None:
    """Return the places of all objects of a kind (and namespace, if given); None if there are more than ``most``."""
    found: set[Place] = set()
    for each in kinds_meant(connection, cluster, kind):
        query = select(objects.c.namespace, objects.c.name).where(*_named(cluster, each, namespace, ""))
        rows_ = connection.execute(query.order_by(objects.c.namespace, objects.c.name).limit(2 * most + 1)).all()
        found.update((each, inside, name) for inside, name in rows_)
        if len(rows_) > 2 * most or len(found) > most:
            return None
    return sorted(found)


def known_kinds(connection: Connection, cluster: str) -> list[str]:
    """Return the kinds of all known objects, sorted."""
    return list(connection.execute(distinct(objects.c.kind, objects.c.cluster == cluster, name="kinds")).scalars())


def kinds_meant(connection: Connection, cluster: str, kind: KindName) -> list[str]:
    """Return the kinds that a word means: the built-in one, or the known kinds of that name."""
    if kind.built_in and kind.group in (None, kind.built_in_group):
        return [kind.built_in]
    return [each for each in known_kinds(connection, cluster) if kind.means(each) or each == kind.built_in]


def check_kind(connection: Connection, cluster: str, kind: KindName) -> None:
    """Raise QueryError, with similar kinds, if neither kubectl nor the history knows the kind."""
    if not kinds_meant(connection, cluster, kind):
        raise QueryError(_unknown_kind(connection, cluster, kind))


# Candidates


def _candidates(connection: Connection, cluster: str, wanted: ObjectName) -> list[ObjectRow]:
    found: list[ObjectRow] = []
    for kind in kinds_meant(connection, cluster, wanted.kind):
        found += _in(connection, cluster, kind, wanted.namespace, wanted.name)
        # As kubectl: cluster-scoped objects are found with any --namespace.
        if wanted.namespace and not found:
            found += [c for c in _in(connection, cluster, kind, "", wanted.name) if not c.namespace]
    if wanted.kind.group is not None:
        return [c for c in found if _in_group(c, wanted.kind.group)]
    # As kubectl: a built-in kind takes precedence over another kind of the same name.
    built_in = [c for c in found if _in_group(c, wanted.kind.built_in_group)] if wanted.kind.built_in else []
    return built_in or found


def _in_group(found: ObjectRow, group: str) -> bool:
    # An object that is known only from an Event may have no API version.
    return not found.api_version or group_of(found.api_version) == group


def _in(connection: Connection, cluster: str, kind: str, namespace: str, name: str) -> list[ObjectRow]:
    query = rows.select_rows(objects, ObjectRow).where(*_named(cluster, kind, namespace, name)).limit(_MANY)
    return rows.fetch(connection, query, ObjectRow)


def _named(cluster: str, kind: str, namespace: str, name: str) -> list[ColumnElement[bool]]:
    here = [objects.c.cluster == cluster, objects.c.kind == kind]
    # The index has the namespace before the name.
    inside = objects.c.namespace.in_(distinct(objects.c.namespace, *here, name="namespaces"))
    conditions = [*here, objects.c.namespace == namespace if namespace else inside]
    return [*conditions, objects.c.name == name] if name else conditions


def _with_uid(candidates: Sequence[ObjectRow], wanted: ObjectName, uid: str) -> list[ObjectRow]:
    chosen = [c for c in candidates if c.uid.startswith(uid)]
    if len({c.uid for c in chosen}) != 1:
        listed = "; ".join(f"{c.uid} ({_lifetime(c)})" for c in sorted(candidates, key=_age, reverse=True)[:_SHOWN])
        problem = "several objects have" if chosen else "no object has"
        raise QueryError(f"{_written(wanted)}: {problem} uid {uid!r}: use one of {listed}")
    return chosen


def _refuse_several(candidates: Sequence[ObjectRow], wanted: ObjectName) -> None:
    namespaces = sorted({c.namespace for c in candidates})
    if len(namespaces) > 1:
        listed = _listed([name or "(none)" for name in namespaces])
        raise QueryError(f"{_written(wanted)} is in {len(namespaces)} namespaces: choose one with -n: {listed}")
    groups = sorted({group_of(c.api_version) for c in candidates if c.api_version})
    if len(groups) > 1:
        kinds = _listed([f"{wanted.kind.word}.{group}/{wanted.name}" for group in groups])
        raise QueryError(f"{_written(wanted)} is ambiguous: use one of {kinds}")


def _age(found: ObjectRow) -> tuple[bool, int, int, str]:
    return not is_nameless(found), found.created_at, found.seen_at, found.uid


def _lifetime(found: ObjectRow) -> str:
    born = f"created {format_time(found.created_at)[:19]}Z" if found.created_at else "known from Events only"
    return f"{born}, deleted {format_time(found.deleted_at)[:19]}Z" if found.deleted_at else born


def _written(wanted: ObjectName) -> str:
    kind = wanted.kind.built_in or wanted.kind.word
    return f"{kind} {f'{wanted.namespace}/' if wanted.namespace else ''}{wanted.name}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


# Errors for unknown objects


def _not_found(connection: Connection, cluster: str, wanted: ObjectName) -> str:
    """Return the error for an unknown object, with similar names."""
    kinds = kinds_meant(connection, cluster, wanted.kind)
    if not kinds:
        return _unknown_kind(connection, cluster, wanted.kind)
    near = _near(connection, cluster, kinds, wanted)
    if near:
        return f"{_written(wanted)} is not known: did you mean {' or '.join(near)}?"
    known = sorted({(o.kind, o.namespace, o.name) for o in _around(connection, cluster, kinds, wanted)})
    if 0 < len(known) <= _SHOWN:
        return f"{_written(wanted)} is not known; known: {_listed([_as_argument(place) for place in known])}"
    return f"{_written(wanted)} is not known; {_where_to_look(connection, cluster, kinds)}"


def _unknown_kind(connection: Connection, cluster: str, kind: KindName) -> str:
    known = known_kinds(connection, cluster)
    names = ([each.lower() for each in known], kubectl_names())
    near = next(filter(None, (get_close_matches(kind.word, some) for some in names)), [])
    meant = f"did you mean {' or '.join(near)}?" if near else f"use one of {_listed(known) or 'none'}"
    return f"no object of kind {kind.written!r} is known: {meant}"


def _where_to_look(connection: Connection, cluster: str, kinds: Sequence[str]) -> str:
    """Return the namespaces that have objects of a kind, and the command that lists their history."""
    for kind in kinds:
        here = (objects.c.cluster == cluster, objects.c.kind == kind)
        query = distinct(objects.c.namespace, *here, name="namespaces").limit(_MANY)
        namespaces = list(connection.execute(query).scalars())
        if namespaces:
            command = f"kspan timeline --kind {kind.lower()}"
            inside = [name for name in namespaces if name]
            if not inside:
                return f"'{command}' lists others"
            option = f" -n {inside[0]}" if len(inside) == 1 else ""
            several = "namespaces" if len(inside) > 1 else "namespace"
            return f"others are in {several} {_listed(inside)}: '{command}{option}' lists them"
    return "no other object of this kind is known"


def _near(connection: Connection, cluster: str, kinds: Collection[str], wanted: ObjectName) -> list[str]:
    """Return the same name in another namespace or kind, or else similar names of the same kind."""
    same = [
        place
        for place in places(connection, cluster, None, "", wanted.name)
        if place[0] in kinds or not wanted.namespace or place[1] in (wanted.namespace, "")
    ]
    if same:
        same.sort(key=lambda place: (place[0] not in kinds, place))
        return [_as_argument(place) for place in same[:_SHOWN]]
    around = _around(connection, cluster, kinds, wanted)
    longer = sorted((o for o in around if o.name.startswith(wanted.name)), key=_age, reverse=True)
    if not longer:
        names = get_close_matches(wanted.name, sorted({o.name for o in around}), n=_SHOWN, cutoff=0.6)
        longer = [next(o for o in around if o.name == name) for name in names]
    arguments = dict.fromkeys(_as_argument((o.kind, "" if wanted.namespace else o.namespace, o.name)) for o in longer)
    return list(arguments)[:_SHOWN]


def _around(connection: Connection, cluster: str, kinds: Collection[str], wanted: ObjectName) -> list[ObjectRow]:
    found: list[ObjectRow] = []
    for kind in kinds:
        here = [objects.c.cluster == cluster, objects.c.kind == kind]
        if wanted.namespace:
            namespaces = [wanted.namespace]
        else:
            query = distinct(objects.c.namespace, *here, name="namespaces").limit(_MANY)
            namespaces = list(connection.execute(query).scalars())
        for namespace in namespaces:
            inside = and_(*here, objects.c.namespace == namespace)
            one = rows.select_rows(objects, ObjectRow).where(inside)
            after = one.where(objects.c.name >= wanted.name).order_by(objects.c.name)
            before = one.where(objects.c.name < wanted.name).order_by(objects.c.name.desc())
            for query_ in (after, before):
                found += rows.fetch(connection, query_.limit(_NEAR if len(namespaces) == 1 else 20), ObjectRow)
    return found


def _as_argument(place: Place) -> str:
    kind, namespace, name = place
    return f"{kind.lower()}/{name}" + (f" -n {namespace}" if namespace else "")


def at_places(found: Sequence[Place], columns: tuple[ColumnElement[str], ...]) -> ColumnElement[bool]:
    """Return the condition that the columns (kind, namespace, name) are one of these places.

    A place without a name is a whole kind, in its namespace if it has one. A place with a name and without a namespace
    is a cluster-scoped object.
    """
    return or_(*(and_(*_is_at(place, columns)) for place in found))


def _is_at(place: Place, columns: tuple[ColumnElement[str], ...]) -> list[ColumnElement[bool]]:
    return [column == word for column, word in zip(columns, place, strict=True) if word or place[2]]
