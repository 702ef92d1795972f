"""Completes keywords, tables, and the columns of the tables that a statement names."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from kspan.query.sql.catalog import TableInfo

_KEYWORDS: Final = (
    "SELECT FROM WHERE GROUP BY ORDER HAVING LIMIT OFFSET JOIN LEFT CROSS ON USING AS AND OR NOT IN IS NULL LIKE "
    "BETWEEN EXISTS CASE WHEN THEN ELSE END DISTINCT UNION ALL WITH RECURSIVE VALUES EXPLAIN DESC ASC CAST COALESCE "
    "COUNT SUM MIN MAX AVG ROUND SUBSTR OVER PARTITION TRUE FALSE"
)
PRESETS: Final = (":cluster", ":now", ":since", ":until")

_NAMED: Final = re.compile(
    r"\b(?:from|join)\s+(\w+)(?:\s+(?:as\s+)?(?!(?:where|on|join|left|cross|group|order)\b)(\w+))?", re.IGNORECASE
)
_WORD: Final = re.compile(r"[\w:]*$")
_TABLE_NEXT: Final = re.compile(r"(?:\b(?:from|join)|\\d\w*|\.schema)\s+\w*$", re.IGNORECASE)


class SqlCompleter(Completer):
    """Completes names of a catalog, and shows the description of each table and column."""

    def __init__(self, tables: Iterable[TableInfo]) -> None:
        self._tables = {table.name: table for table in tables}

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Yield the completions of the word before the cursor (interface of prompt_toolkit)."""
        found = _WORD.search(document.text_before_cursor)
        word = found[0] if found else ""
        before = document.text_before_cursor[: len(document.text_before_cursor) - len(word)]
        if (
            not word
            and not before.endswith(".")
            and not _TABLE_NEXT.search(before)
            and not complete_event.completion_requested
        ):
            return
        for text, meaning in self._candidates(before, word, document.text):
            if text.lower().startswith(word.lower()):
                yield Completion(text, -len(word), display_meta=meaning)

    def _candidates(self, before: str, word: str, statement: str) -> Iterator[tuple[str, str]]:
        named = self._named(statement)
        if before.endswith("."):
            owner = before[:-1].rpartition(" ")[2].rpartition("(")[2].rpartition(",")[2].strip().lower()
            yield from _columns([named[owner]] if owner in named else [])
            return
        if _TABLE_NEXT.search(before + word):
            yield from ((table.name, table.comment) for table in self._tables.values())
            return
        if word.startswith(":"):
            yield from ((preset, "parameter") for preset in PRESETS)
            return
        yield from _columns(list(named.values()) or list(self._tables.values()))
        yield from ((table.name, table.comment) for table in self._tables.values())
        yield from ((keyword if not word.islower() else keyword.lower(), "") for keyword in _KEYWORDS.split())

    def _named(self, statement: str) -> dict[str, TableInfo]:
        """Return the tables that a statement names, by name and by alias."""
        found: dict[str, TableInfo] = {}
        for name, alias in _NAMED.findall(statement):
            if table := self._tables.get(name.lower()):
                found[name.lower()] = table
                found[alias.lower() or name.lower()] = table
        return found


def _columns(tables: list[TableInfo]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for table in tables:
        for column in table.columns:
            if column.name not in seen:
                seen.add(column.name)
                yield column.name, column.comment
