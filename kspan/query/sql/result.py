"""The result of a statement, and its limits."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from kspan.errors import QueryError

PAGE: Final = 500
"""Maximum number of rows per fetch."""

Row = tuple[Any, ...]

_TEXT: Final = (str, bytes, memoryview)
_LISTS: Final = (tuple, list)

_R = TypeVar("_R", bound=Sequence[Any])


def size_of(value: Any) -> int:
    """Return about how many bytes a value, or a row of values, takes."""
    # Called for each value of each row: the most frequent types first.
    if isinstance(value, _TEXT):
        return len(value)
    if isinstance(value, _LISTS):
        return sum([size_of(item) for item in value])
    if isinstance(value, dict):
        return size_of(list(value)) + size_of(list(value.values()))
    return 16


def sized_head(rows: Iterator[_R], most: int, most_bytes: int) -> list[_R]:
    """Take the first rows: at most ``most``, and no more after ``most_bytes``."""
    taken: list[_R] = []
    size = 0
    while len(taken) < most and size < most_bytes and (row := next(rows, None)) is not None:
        taken.append(row)
        size += size_of(row)
    return taken


class Result:
    """The column names of a result, and an iterator that reads its rows."""

    def __init__(self, columns: list[str], rows: Iterator[Row]) -> None:
        self.columns = columns
        self.rows = rows


class Budget:
    """The time and memory that a statement may take, from its start until its last row is printed."""

    def __init__(
        self,
        seconds: float = 0.0,
        max_bytes: int = 0,
        clock: Callable[[], float] = time.monotonic,
        *,
        shared: bool = False,
    ) -> None:
        """Start the time. ``seconds`` and ``max_bytes`` are limits (0: none); ``shared``: see ``run_statement``."""
        self.shared = shared
        self.seconds = seconds
        self.max_bytes = max_bytes
        self._clock = clock
        self._started = clock()

    @property
    def left(self) -> float:
        return self.seconds - (self._clock() - self._started)

    @property
    def spent(self) -> bool:
        return self.seconds > 0 and self.left <= 0

    @property
    def row_bytes(self) -> int:
        """The maximum size of a row (0: no limit). Converting and printing it takes several times as much."""
        return self.max_bytes // 4

    def check(self, row: Row) -> int:
        """Return the size of a row in bytes. Raises QueryError if it is too large, or the time is over."""
        if self.spent:
            raise self.over()
        size = size_of(row)
        if self.max_bytes and size > self.row_bytes:
            raise self.too_large()
        return size

    def over(self) -> QueryError:
        return QueryError(f"the statement was stopped after {self.seconds:g} s: select less, or raise --timeout")

    def too_large(self) -> QueryError:
        megabytes = f"{self.max_bytes / (1 << 20):g}MB"
        return QueryError(f"the statement needs more memory than {megabytes}: select less, or raise --max-bytes")
