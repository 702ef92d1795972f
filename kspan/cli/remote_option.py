"""``--remote``: which history a command asks, and where in which cluster its daemon is."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from kspan.errors import SettingsError

AUTO: Final = "auto"
"""Value of a ``--remote`` without one: the Service is found by its label."""

OFF: Final = "off"
"""Asks the database, whatever the environment or the settings file say."""

KUBECTL: Final = "kubectl"
"""``obj`` of the root context in ``kubectl kspan``, where AUTO is the default."""

_FLAG: Final = "--remote"
_META: Final = "kspan.remote"
_NAME: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_SERVICE: Final = re.compile(rf"(?:(https?):)?({_NAME})(?::({_NAME}))?", re.ASCII)
_NAMESPACE: Final = re.compile(_NAME, re.ASCII)


class RemoteName(msgspec.Struct, frozen=True):
    """A Service, as the API server names it: ``[http[s]:]NAME[:PORT]`` in a namespace.

    ``context`` is a context of the kubeconfig; empty: not given. ``port`` is a number or a name; empty: not given.
    """

    context: str
    namespace: str
    scheme: str
    service: str
    port: str


def parse_remote(text: str) -> RemoteName | None:
    """Parse ``[CONTEXT:]NAMESPACE/SERVICE``; None for ``auto``. Raises SettingsError.

    The service can be written as for the API server's proxy: ``https:SERVICE:PORT``.
    """
    if text == AUTO:
        return None
    place, slash, service = text.rpartition("/")
    context, _, namespace = place.rpartition(":")
    found = _SERVICE.fullmatch(service)
    if not slash or found is None or not _NAMESPACE.fullmatch(namespace):
        raise SettingsError(
            f"--remote: invalid Service {text!r}: use NAMESPACE/SERVICE, CONTEXT:NAMESPACE/SERVICE, {AUTO} or {OFF}"
        )
    scheme, name, port = found.groups(default="")
    return RemoteName(context, namespace, scheme, name, port)


def with_value(args: Sequence[str]) -> list[str]:
    """Return arguments in which each ``--remote`` has a value.

    Click would take the next argument for it, and the next one is usually the command.
    """
    end = args.index("--") if "--" in args else len(args)
    return [f"{_FLAG}={AUTO}" if each == _FLAG and i < end else each for i, each in enumerate(args)]


def with_hint(problem: str, context: Any, args: Sequence[str]) -> str:
    """Return click's message; about a word that it does not expect after a ``--remote``, with how to give it a value.

    ``args`` are those of the command, from ``with_value``.
    """
    unexpected = problem.startswith(("Got unexpected extra argument", "No such command"))
    if not unexpected or (f"{_FLAG}={AUTO}" not in args and context.meta.get(_META) != AUTO):
        return problem
    return f"{problem.rstrip('.')}. The value of {_FLAG} follows a '=': {_FLAG}=NAMESPACE/SERVICE"


def remember(context: Any, value: str | None) -> str | None:
    """Store the value of a ``--remote`` before the command."""
    if value is not None:
        context.meta[_META] = value
    return value


def check(context: Any) -> None:
    """Raise SettingsError if there is a ``--remote`` before a command that asks no daemon."""
    if "remote" not in context.params and context.meta.get(_META, OFF) != OFF:
        raise SettingsError(f"--remote: '{context.command_path}' cannot ask a daemon: remove it")


def chosen(context: Any) -> str:
    """Return the daemon that a command asks; empty: a database.

    A flag of the command or before it comes first, then a ``--db`` on the command line, then the environment and the
    settings file, then the default of ``kubectl kspan``. Raises SettingsError if both flags are given.
    """
    by_flag, of_db = _is_flag(context, "remote"), _is_flag(context, "db")
    given = context.params["remote"] if by_flag else context.meta.get(_META)
    if given is not None:
        if of_db and given != OFF:
            raise SettingsError("--remote and --db exclude each other: remove one of them")
    elif not of_db:
        given = context.params["remote"] or (AUTO if context.find_root().obj == KUBECTL else "")
    return "" if given in (None, OFF) else str(given)


def _is_flag(context: Any, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
