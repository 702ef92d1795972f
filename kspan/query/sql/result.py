"""The answer to a statement while it is read, and the time that it may take."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from kspan.errors import QueryError

PAGE: Final = 2000
"""Rows that are fetched at a time, at most."""


class Result:
    """The answer to a statement: names of its columns, and its rows, which are read when they are asked for."""

    def __init__(self, columns: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
        self.columns = columns
        self.rows = rows


class Budget:
    """The time that a statement may take: only what passes while the database works counts."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``seconds`` 0: no limit."""
        self.seconds = seconds
        self._clock = clock
        self._left = seconds
        self._began: float | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self._began = self._clock()
        try:
            yield
        finally:
            self._left, self._began = self.left, None

    @property
    def left(self) -> float:
        return self._left - (self._clock() - self._began if self._began is not None else 0.0)

    @property
    def spent(self) -> bool:
        return self.seconds > 0 and self.left <= 0

    def over(self) -> QueryError:
        return QueryError(f"the statement was stopped after {self.seconds:g} s: ask for less, or give it --timeout")
