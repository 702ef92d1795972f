"""The result of a statement, and its time limit."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from kspan.errors import QueryError

PAGE: Final = 2000
"""Maximum number of rows per fetch."""


class Result:
    """The column names of a result, and an iterator that reads its rows."""

    def __init__(self, columns: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
        self.columns = columns
        self.rows = rows


class Budget:
    """The time limit of a statement. Only the time in which the database works counts."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Create a budget of ``seconds`` (0: no limit)."""
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
        return QueryError(f"the statement was stopped after {self.seconds:g} s: select less, or raise --timeout")
