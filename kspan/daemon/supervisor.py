"""Supervises the daemon and its HTTP server until a signal arrives or a part dies."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType as StackFrame
from typing import Final

from kspan.daemon.cluster_uid import ClusterUidPoller
from kspan.daemon.daemon import LEAD_S, Daemon
from kspan.daemon.metrics import CONTENT_TYPE, Metrics
from kspan.daemon.scheduler import Scheduler
from kspan.errors import StoreError
from kspan.store import Store
from kspan.web.server import Answer, Server, verdict

_logger = logging.getLogger(__name__)

STOP_S: Final = 8.0
"""Seconds that stopping may take, of the ten after which an orchestrator loses patience."""


LOOK_S: Final = 0.25
"""Seconds between two looks at whether everything is alive."""


class Supervisor:
    """From the first signal handler to the exit code: 0 after SIGTERM or SIGINT, 1 when a part died."""

    def __init__(self, listen: str, metrics: Metrics) -> None:
        self._stop = threading.Event()
        self._problems: Callable[[], list[str]] = lambda: ["cluster: the API server has not answered yet"]
        self._dead: list[str] = []
        self._server = Server(
            listen,
            {
                "/healthz": lambda: verdict(self._dead),
                "/readyz": lambda: verdict(["stopping"] if self._stop.is_set() else self._problems()),
                "/metrics": lambda: Answer(200, metrics.text(), CONTENT_TYPE),
            },
        )

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answers HTTP and heeds signals meanwhile. For the main thread."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        self._server.start()
        _logger.info("listening on http://%s:%d", *self._server.address)
        try:
            yield
        finally:
            self._server.stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: StackFrame | None) -> None:
        self._stop.set()
        # Whoever asks twice does not want to wait.
        signal.signal(number, signal.SIG_DFL)

    def find_cluster(self, ask: Callable[[], str], emission: Scheduler) -> str:
        """What ``ask`` says as soon as the API server answers; empty if a signal or a death came first.

        ``emission`` goes on meanwhile. Raises SettingsError.
        """
        question = ClusterUidPoller(ask, self._stop)
        self._problems = lambda: [f"cluster: {question.trouble}"]
        while not self._stop.is_set():
            if emission.failure is not None or not self._server.is_alive():
                self._died("the schedule" if emission.failure else "the HTTP server", emission.failure)
                break
            if found := question.answer(LOOK_S):
                return found
        return ""

    def wait_to_lead(self, store: Store, cluster: str) -> bool:
        """Waits until no other process writes to the cluster; False if a signal or a death came first.

        Raises FencedError.
        """
        told = ""
        while not self._stop.is_set():
            try:
                trouble = store.lead(cluster)
            except StoreError as error:
                trouble, line = str(error), f"database: {error}"
            else:
                line = f"leadership: another kspan ({trouble}) writes to this cluster"
            if not trouble:
                return True
            self._problems = lambda line=line: [line]  # type: ignore[misc]
            if trouble != told:
                _logger.info("waiting to take over cluster %s: %s", cluster, line)
                told = trouble
            if not self._server.is_alive():
                self._died("the HTTP server", None)
                break
            self._stop.wait(LEAD_S)
        return False

    def watch_over(self, daemon: Daemon) -> int:
        """Runs the daemon until a signal or a death; the exit code."""
        self._problems = daemon.problems
        daemon.start()
        while not self._stop.wait(LOOK_S):
            for part, error in daemon.failures():
                self._died(part, error)
            if not self._server.is_alive():
                self._died("the HTTP server", None)
            if self._dead:
                break
        _logger.info("stopping")
        self._stop.set()
        daemon.stop(time.monotonic() + STOP_S)
        return self.exit_code

    @property
    def exit_code(self) -> int:
        """What the process would end with now."""
        return 1 if self._dead else 0

    def _died(self, part: str, error: BaseException | None) -> None:
        _logger.critical("%s died: %s", part, error or "it ended", exc_info=error)
        self._dead.append(f"{part} died")
