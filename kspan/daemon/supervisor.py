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
from kspan.daemon.metrics import Metrics
from kspan.daemon.scheduler import Scheduler
from kspan.errors import StoreError
from kspan.store import Store
from kspan.web.answer import Answer, verdict
from kspan.web.apart.process import Process, Program
from kspan.web.apart.relay import Relay
from kspan.web.guard import Access
from kspan.web.server import Server
from kspan.web.status import Routes, make_relaying_app, make_status_app
from kspan.web.tls import CertificateFiles

_logger = logging.getLogger(__name__)

STOP_S: Final = 8.0
"""Seconds that stopping may take. Docker sends SIGKILL after 10 s, Kubernetes after 30 s by default."""


CHECK_S: Final = 0.25
"""Seconds between two checks that all parts are alive."""


class Supervisor:
    """Runs from the first signal handler to the exit code: 0 after SIGTERM or SIGINT, 1 if a part died."""

    def __init__(
        self,
        listen: str,
        metrics: Metrics,
        access: Access,
        answering: Program | None = None,
        tls: CertificateFiles | None = None,
    ) -> None:
        self._stop = threading.Event()
        self._problems: Callable[[], list[str]] = lambda: ["cluster: the API server has not answered yet"]
        self._dead: list[str] = []
        self._daemon: Daemon | None = None
        self.cluster = ""
        """uid of the cluster; empty while it is not known."""
        routes: Routes = {
            "/healthz": lambda _: verdict(self._dead),
            "/readyz": lambda _: verdict(["stopping"] if self._stop.is_set() else self._problems()),
            "/metrics": lambda accept: Answer(200, *metrics.text(accept)),
        }
        app = make_status_app(routes, access)
        if answering is not None:
            relay = Relay(Process(answering), lambda: (self.cluster, self._watched()))
            app = make_relaying_app(routes, access, relay)
        self._server = Server(listen, app, tls)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve HTTP and handle signals inside the block. For the main thread."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        self._server.start()
        _logger.info("listening on %s", self._server.url)
        try:
            yield
        finally:
            self._server.stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: StackFrame | None) -> None:
        self._stop.set()
        # A second signal ends the process at once.
        signal.signal(number, signal.SIG_DFL)

    def find_cluster(self, ask: Callable[[], str], exports: Scheduler) -> str:
        """The uid that ``ask`` returns once the API server answers; empty after a signal or a death.

        ``exports`` continues meanwhile. Raises SettingsError.
        """
        poller = ClusterUidPoller(ask, self._stop)
        self._problems = lambda: [f"cluster: {poller.error}"]
        while not self._stop.is_set():
            if exports.failure is not None or not self._server.is_alive():
                part = "the scheduler" if exports.failure else "the HTTP server"
                self._died(part, exports.failure or self._server.failure)
                break
            if found := poller.wait(CHECK_S):
                return found
        return ""

    def wait_to_lead(self, store: Store, cluster: str) -> bool:
        """Wait until no other process writes to the cluster; False after a signal or a death. Raises FencedError."""
        reported = ""
        while not self._stop.is_set():
            problem = _why_not_leader(store, cluster)
            if not problem:
                return True
            self._problems = lambda line=problem: [line]  # type: ignore[misc]
            if problem != reported:
                _logger.info("waiting to take over cluster %s: %s", cluster, problem)
                reported = problem
            if not self._server.is_alive():
                self._died("the HTTP server", self._server.failure)
                break
            self._stop.wait(LEAD_S)
        return False

    def watch_over(self, daemon: Daemon) -> int:
        """Run the daemon until a signal or a death. Returns the exit code."""
        self._problems = daemon.problems
        self._daemon = daemon
        daemon.start()
        while not self._stop.wait(CHECK_S):
            for part, error in daemon.failures():
                self._died(part, error)
            if not self._server.is_alive():
                self._died("the HTTP server", self._server.failure)
            if self._dead:
                break
        _logger.info("stopping")
        self._stop.set()
        daemon.stop(time.monotonic() + STOP_S)
        return self.exit_code

    @property
    def exit_code(self) -> int:
        """The exit code if the process ended now."""
        return 1 if self._dead else 0

    def _watched(self) -> tuple[int, int]:
        return self._daemon.watched() if self._daemon is not None else (0, 0)

    def _died(self, part: str, error: BaseException | None) -> None:
        _logger.critical("%s died: %s", part, error or "it ended without an error", exc_info=error)
        self._dead.append(f"{part} died")


def _why_not_leader(store: Store, cluster: str) -> str:
    """Why this process does not write to the cluster yet; empty if it does. Raises FencedError."""
    try:
        leader = store.lead(cluster)
    except StoreError as error:
        return f"database: {error}"
    return f"leadership: another kspan ({leader}) writes to this cluster" if leader else ""
