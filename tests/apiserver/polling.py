"""Waits for another thread or process, with a deadline."""

import time
from collections.abc import Callable

from tests.limits import HANG_S


def wait_until(condition: Callable[[], object], seconds: float = HANG_S) -> None:
    """Return as soon as the condition holds; raise TimeoutError if it does not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.005)
