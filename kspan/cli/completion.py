"""Values for completion in a shell: kinds, namespaces, names and trace ids from the database, and fixed words.

A shell asks after each Tab: a database that is missing, locked or slow gives no values, and no error.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from kspan.cli.origins import choices

if TYPE_CHECKING:
    from sqlalchemy import Connection

MOST: Final = 100
"""Values that are offered. More do not help anybody."""

SECONDS: Final = 1.0
"""Time limit of a question to the database."""

Complete = Callable[[Any, Any, str], list[str]]
Find = Callable[["Connection", str, Any, str], Iterable[str]]
"""Finds values: connection, uid of the cluster, context of the command line, what was typed."""


def add_completion(commands: Iterator[tuple[str, Any]]) -> None:
    """Add values to the options and arguments of commands."""
    for _, command in commands:
        for param in command.params:
            if accepted := choices(param):
                complete: Complete | None = _words(accepted)
            else:
                complete = _FROM_DATABASE.get(param.name)
            if complete is not None:
                # The constructor's ``shell_complete``; the options were made by Typer.
                param._custom_shell_complete = complete  # noqa: SLF001


def _words(accepted: list[str]) -> Complete:
    return lambda _context, _param, begun: [word for word in accepted if word.startswith(begun)]


def _database(find: Find) -> Complete:
    def complete(context: Any, _param: Any, begun: str) -> list[str]:
        found: list[str] = []
        with contextlib.suppress(Exception):
            from kspan.cli.common import open_existing, the_cluster

            with open_existing(context.params.get("db"), read_only=True) as store:
                cluster = the_cluster(store, context.params.get("cluster") or "")
                with store.reading("complete", seconds=SECONDS) as connection:
                    found = sorted(set(find(connection, cluster, context, begun)))
        return [value for value in found if value.startswith(begun)][:MOST]

    return complete


def _kinds(connection: "Connection", cluster: str, _context: Any, _begun: str) -> Iterable[str]:
    from kspan.query.objects.find import known_kinds

    return [kind.lower() for kind in known_kinds(connection, cluster)]


def _namespaces(connection: "Connection", cluster: str, _context: Any, begun: str) -> Iterable[str]:
    return _names_of(connection, cluster, "namespace", "", begun)


def _names(connection: "Connection", cluster: str, context: Any, begun: str) -> Iterable[str]:
    kind = context.params.get("kind") or ""
    return _names_of(connection, cluster, kind, context.params.get("namespace") or "", begun) if kind else []


def _objects(connection: "Connection", cluster: str, context: Any, begun: str) -> Iterable[str]:
    """``KIND/`` until there is a slash, then ``KIND/NAME``."""
    kind, slash, name = begun.rpartition("/")
    if not slash:
        return [f"{each}/" for each in _kinds(connection, cluster, context, begun)]
    namespace = context.params.get("namespace") or ""
    return [f"{kind}/{each}" for each in _names_of(connection, cluster, kind, namespace, name)]


def _names_of(connection: "Connection", cluster: str, kind: str, namespace: str, begun: str) -> Iterable[str]:
    from sqlalchemy import select

    from kspan.query.objects.find import kinds_meant
    from kspan.query.objects.names import parse_kind
    from kspan.store.schema.tables import objects

    here = objects.c
    query = select(here.name).where(
        here.cluster == cluster,
        here.kind.in_(kinds_meant(connection, cluster, parse_kind(kind))),
        here.name.startswith(begun, autoescape=True),
    )
    query = query.where(here.namespace == namespace) if namespace else query
    return connection.execute(query.limit(MOST)).scalars().all()


def _trace_ids(connection: "Connection", cluster: str, _context: Any, begun: str) -> Iterable[str]:
    from sqlalchemy import select

    from kspan.store.schema.tables import traces

    here = traces.c
    query = select(here.trace_id).where(here.cluster == cluster, here.trace_id >= begun, here.trace_id < begun + "g")
    return connection.execute(query.limit(MOST)).scalars().all()


_FROM_DATABASE: Final[dict[str, Complete]] = {
    "kind": _database(_kinds),
    "name": _database(_names),
    "namespace": _database(_namespaces),
    "trace_id": _database(_trace_ids),
    "words": _database(_objects),
}
"""By name of the parameter."""
