"""The process that answers questions: started by the first one, ended when nobody has asked for a while."""

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec

_logger = logging.getLogger(__name__)

IDLE_S: Final = 300.0
"""Seconds without a request after which the process ends, and gives its memory back."""

RESTART_S: Final = 1.0
"""Shortest time between two starts."""

STOP_S: Final = 3.0
"""Seconds that the process may take to end. Requests may take two of them."""

HANDED_OVER: Final = b"r"
"""The byte that comes with the socket of a request."""


class NoProcessError(Exception):
    """The process that answers cannot be asked; the text says why."""


class Program(msgspec.Struct, frozen=True):
    """A program to start.

    Args:
        module: a module that is run like ``python -m``. Its argument is the number of a socket, from which it reads
            ``setup``, and then receives one socket for each request, until the end.
        setup: what the process needs to know. It can have secrets, so it is not on the command line.
    """

    module: str
    setup: bytes


class Process:
    """One process at a time. Its methods may be called from any thread.

    Args:
        program: what is started.
        idle_s: seconds without a request after which it is ended.
        clock: the current time in seconds.
    """

    def __init__(
        self, program: Program, *, idle_s: float = IDLE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._program = program
        self._idle_s = idle_s
        self._clock = clock
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._running: subprocess.Popen[bytes] | None = None
        self._started_at = float("-inf")
        # The event loop notes the end of a request. It must not wait while the process is started or ends.
        self._count_lock = threading.Lock()
        self._open = 0
        self._last = 0.0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The id of the process; None if none runs."""
        running = self._running
        return running.pid if running is not None and running.poll() is None else None

    def open(self) -> socket.socket:
        """Return a socket for one request, whose other end the process has. It may start the process.

        ``done`` has to be called once for each. Raises NoProcessError.
        """
        with self._lock:
            if self._closed:
                raise NoProcessError("kspan is stopping")
            self._check()
            if self._control is None:
                self._start()
            assert self._control is not None
            ours, theirs = socket.socketpair()
            try:
                socket.send_fds(self._control, [HANDED_OVER], [theirs.fileno()])
            except BlockingIOError as error:
                ours.close()
                raise NoProcessError("too many requests wait for the process that answers") from error
            except OSError as error:
                # It has closed its end, as it does when it ends, whatever ends it.
                ours.close()
                self._note_end()
                raise NoProcessError("the process that answers has just ended") from error
            finally:
                theirs.close()
            with self._count_lock:
                self._open += 1
            return ours

    def done(self) -> None:
        """Note the end of a request. It does not wait."""
        with self._count_lock:
            self._open -= 1
            self._last = self._clock()

    def end_if_idle(self) -> None:
        """End the process if nobody has asked for a while."""
        with self._lock:
            if self._control is None or self._open or self._clock() - self._last < self._idle_s:
                return
            running = self._let_go()
        _wait(running)

    def close(self) -> None:
        """End the process for good."""
        with self._lock:
            self._closed = True
            running = self._let_go()
        _wait(running)

    def _check(self) -> None:
        """Notice that the process has ended by itself."""
        if self._running is not None and self._running.poll() is not None:
            self._note_end()

    def _note_end(self) -> None:
        running = self._let_go()
        if running is not None:
            _wait(running)
            _logger.warning("the process that answers questions ended with exit code %s", running.returncode)

    def _start(self) -> None:
        now = self._clock()
        if now - self._started_at < RESTART_S:
            raise NoProcessError("the process that answers has just ended; it will be started again")
        self._started_at = now
        ours, theirs = socket.socketpair()
        # -P: what lies in the working directory is not imported.
        command = [sys.executable, "-P", "-m", self._program.module, str(theirs.fileno())]
        try:
            self._running = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
            ours.settimeout(STOP_S)
            ours.sendall(len(self._program.setup).to_bytes(4) + self._program.setup)
            ours.setblocking(False)
        except OSError as error:
            ours.close()
            raise NoProcessError(f"the process that answers cannot be started: {error}") from error
        finally:
            theirs.close()
        self._control = ours
        _logger.debug("process %d answers questions about the history", self._running.pid)

    def _let_go(self) -> subprocess.Popen[bytes] | None:
        """Close the socket, at whose end the process ends."""
        if self._control is not None:
            self._control.close()
            self._control = None
        running, self._running = self._running, None
        return running


def _wait(running: subprocess.Popen[bytes] | None) -> None:
    if running is None:
        return
    try:
        running.wait(STOP_S)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()
