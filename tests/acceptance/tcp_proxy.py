"""A TCP proxy on loopback whose connections can be cut and delayed, between one daemon and the API server."""

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

BLOCK = 64 * 1024


class TcpProxy:
    """Forwards every connection to ``target`` (host, port) while it is not cut. Use it through ``proxying``.

    Args:
        target: where connections go.
        delays: bounds in seconds of the time that each new connection waits before its first byte is forwarded.
        seed: of the delays.
    """

    def __init__(self, target: tuple[str, int], delays: tuple[float, float], seed: int) -> None:
        self._target = target
        self.delays = delays
        self._random = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._cut = False
        self._closing = threading.Event()
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def cut(self) -> None:
        """Reset all connections, and every new one, until ``restore``."""
        with self._lock:
            self._cut = True
            sockets = list(self._open)
        for each in sockets:
            _shut(each)

    def restore(self) -> None:
        """Forward new connections again."""
        with self._lock:
            self._cut = False

    def close(self) -> None:
        """Stop listening, and end all connections."""
        self._closing.set()
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._connect, args=(client,), name="proxy connection", daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client:
            if not self._add(client) or self._closing.wait(self._random.uniform(*self.delays)):
                return
            with suppress(OSError), socket.create_connection(self._target) as server:
                if self._add(server):
                    back = threading.Thread(target=_forward, args=(server, client), name="proxy answers", daemon=True)
                    back.start()
                    _forward(client, server)
                    back.join()
                self._remove(server)
        self._remove(client)

    def _add(self, each: socket.socket) -> bool:
        with self._lock:
            if self._cut:
                return False
            self._open.add(each)
            return True

    def _remove(self, each: socket.socket) -> None:
        with self._lock:
            self._open.discard(each)


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(BLOCK):
            target.sendall(data)
    _shut(source)
    _shut(target)


def _shut(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxying(port: int, delays: tuple[float, float] = (0.0, 0.0), seed: int = 0) -> Iterator[TcpProxy]:
    """A proxy to a port of 127.0.0.1 until the block ends."""
    proxy = TcpProxy(("127.0.0.1", port), delays, seed)
    try:
        yield proxy
    finally:
        proxy.close()
