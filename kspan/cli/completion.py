"""Values for completion in a shell: kinds, namespaces, names and trace ids from the history, and fixed words.

A shell asks after each Tab: a database that is missing, locked or slow, or a daemon that cannot be asked, gives no
values, and no error.
"""

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from kspan.cli.origins import choices

if TYPE_CHECKING:
    from kspan.cli.sources.source import HistoryOptions
    from kspan.cli.sources.words import Words

Complete = Callable[[Any, Any, str], list[str]]
Find = Callable[["Words", Any, str], Iterable[str]]
"""Finds values: what answers, context of the command line, what was typed."""

NO_FILES: Final = ":4"
"""The last line of a completion for kubectl: offer no names of files (ShellCompDirectiveNoFileComp of cobra)."""


def add_completion(commands: Iterator[tuple[str, Any]]) -> None:
    """Add values to the options and arguments of commands."""
    for _, command in commands:
        for param in command.params:
            if accepted := choices(param):
                complete: Complete | None = _words(accepted)
            else:
                complete = _FROM_HISTORY.get(param.name)
            if complete is not None:
                # The constructor's ``shell_complete``; the options were made by Typer.
                param._custom_shell_complete = complete  # noqa: SLF001


def _words(accepted: list[str]) -> Complete:
    return lambda _context, _param, begun: [word for word in accepted if word.startswith(begun)]


def complete_for_kubectl(args: Sequence[str], run: Callable[[], None]) -> None:
    """Print what kubectl offers after ``kubectl kspan ARGS``: a value on each line, then a directive.

    Args:
        args: the arguments; the last one is not complete.
        run: runs the program, which prints completions because of the environment, and raises SystemExit.
    """
    words = shlex.join(["kspan", *args])
    os.environ |= {"_KSPAN_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(args))}
    found = io.StringIO()
    nothing = contextlib.redirect_stderr(io.StringIO())
    with contextlib.redirect_stdout(found), nothing, contextlib.suppress(Exception, SystemExit):
        run()
    offered = filter(None, found.getvalue().splitlines())
    sys.stdout.write("".join(f"{line}\n" for line in (*offered, NO_FILES)))


def _options(given: dict[str, Any]) -> "HistoryOptions":
    from kspan.cli.sources.source import HistoryOptions

    return HistoryOptions(
        given.get("db"),
        given.get("cluster") or "",
        given.get("remote") or "",
        given.get("kubeconfig"),
        given.get("context"),
        given.get("remote_token_file"),
    )


def _clusters(context: Any, _param: Any, begun: str) -> list[str]:
    found: list[str] = []
    with contextlib.suppress(Exception):
        from kspan.cli.sources.words import clusters

        found = sorted(clusters(_options({**context.params, "cluster": ""})))
    return [value for value in found if value.startswith(begun)]


def _history(find: Find) -> Complete:
    def complete(context: Any, _param: Any, begun: str) -> list[str]:
        found: list[str] = []
        with contextlib.suppress(Exception):
            from kspan.cli.sources.words import MOST, open_words

            with open_words(_options(context.params)) as words:
                found = sorted(set(find(words, context, begun)))
            found = [value for value in found if value.startswith(begun)][:MOST]
        return found

    return complete


def _kinds(words: "Words", _context: Any, _begun: str) -> Iterable[str]:
    return words.kinds()


def _namespaces(words: "Words", _context: Any, begun: str) -> Iterable[str]:
    return words.names("namespace", "", begun)


def _names(words: "Words", context: Any, begun: str) -> Iterable[str]:
    kind = context.params.get("kind") or ""
    return words.names(kind, context.params.get("namespace") or "", begun) if kind else []


def _objects(words: "Words", context: Any, begun: str) -> Iterable[str]:
    """``KIND/`` until there is a slash, then ``KIND/NAME``."""
    kind, slash, name = begun.rpartition("/")
    if not slash:
        return [f"{each}/" for each in words.kinds()]
    namespace = context.params.get("namespace") or ""
    return [f"{kind}/{each}" for each in words.names(kind, namespace, name)]


def _trace_ids(words: "Words", _context: Any, begun: str) -> Iterable[str]:
    return words.trace_ids(begun)


_FROM_HISTORY: Final[dict[str, Complete]] = {
    "cluster": _clusters,
    "kind": _history(_kinds),
    "name": _history(_names),
    "namespace": _history(_namespaces),
    "trace_id": _history(_trace_ids),
    "words": _history(_objects),
}
"""By name of the parameter."""
