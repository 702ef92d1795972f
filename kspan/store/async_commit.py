"""Commits on a thread of their own, so that the writer can continue while the disk is written."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

CLOSE_TIMEOUT_S: Final = 2.0
"""Seconds for which the end of the program waits for a database that hangs. What is lost is received again."""


class AsyncCommit:
    """Runs one commit at a time. ``start`` and ``wait`` are for one thread, the writer's."""

    def __init__(self) -> None:
        self._commits: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self, commit: Callable[[], None]) -> None:
        """Run ``commit`` on the other thread. The previous one must be over (``wait``)."""
        assert self._idle.is_set(), "one commit at a time"
        if self._thread is None:
            # A daemon thread: a database that hangs must not keep the process from ending.
            self._thread = threading.Thread(target=self._run, name="commit", daemon=True)
            self._thread.start()
        self._idle.clear()
        self._commits.put(commit)

    def wait(self) -> None:
        """Wait until the last commit is over. Raises its error, once."""
        self._idle.wait()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """End the thread, after at most ``timeout_s`` seconds. An error of the last commit is dropped."""
        if self._thread is None:
            return
        self._commits.put(None)
        self._thread.join(timeout_s)
        self._thread = None

    def _run(self) -> None:
        while (commit := self._commits.get()) is not None:
            try:
                commit()
            except BaseException as error:
                self._error = error
            finally:
                self._idle.set()
