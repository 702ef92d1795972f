"""The last step of a transaction on a thread of its own: whoever wrote goes on while the disk is waited for."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

PATIENCE: Final = 2.0
"""Seconds for which the end of the program waits for a database that may hang; what was not committed is read again."""


class Behind:
    """Ends one transaction at a time. ``end`` and ``settle`` are for one thread, that of the writer."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._over = threading.Event()
        self._over.set()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def end(self, transaction: Callable[[], None]) -> None:
        """Has ``transaction`` called, which commits. What was to be ended before must be settled."""
        assert self._over.is_set(), "one at a time"
        if self._thread is None:
            # A daemon: a database that hangs must not keep the process from its end.
            self._thread = threading.Thread(target=self._run, name="commit", daemon=True)
            self._thread.start()
        self._over.clear()
        self._waiting.put(transaction)

    def settle(self) -> None:
        """Waits until the last transaction is over. Raises what it raised, once."""
        self._over.wait()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self, patience: float = PATIENCE) -> None:
        """Lets the thread go, after at most ``patience`` seconds; what went wrong is nobody's business any more."""
        if self._thread is None:
            return
        self._waiting.put(None)
        self._thread.join(patience)
        self._thread = None

    def _run(self) -> None:
        while (transaction := self._waiting.get()) is not None:
            try:
                transaction()
            except BaseException as error:
                self._error = error
            finally:
                self._over.set()
