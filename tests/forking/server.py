"""Imports kspan, and forks a process for each client: ``python -m tests.forking.server SOCKET``, until stdin ends."""

import gc
import importlib
import io
import os
import pkgutil
import selectors
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import kspan.cli
from tests.forking import STARTING
from tests.forking.client import NO

ALSO = (
    "alembic.command",
    "kspan.emit",
    "kspan.pipeline.rebuild",
    "kspan.pipeline.replay",
    "sqlalchemy.dialects.sqlite",
)
"""Imported in addition to the modules of ``kspan.cli``."""


class Request(NamedTuple):
    """What a process is started with."""

    arguments: list[str]
    environment: dict[bytes, bytes]
    descriptors: list[int]


def preload() -> None:
    """Import what commands import."""
    for module in pkgutil.walk_packages(kspan.cli.__path__, "kspan.cli."):
        importlib.import_module(module.name)
    for name in ALSO:
        importlib.import_module(name)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "only the thread that forks goes on in a child"
    gc.collect()
    gc.freeze()  # The children share these objects' memory.


def read(client: socket.socket) -> Request:
    head, descriptors, _, _ = socket.recv_fds(client, 4, 4)
    missing, body = int.from_bytes(head, "big"), b""
    while len(body) < missing:
        body += client.recv(missing - len(body))
    count, *parts = body.split(b"\0")
    arguments, variables = parts[: int(count)], parts[int(count) :]
    pairs = (variable.partition(b"=") for variable in variables)
    return Request([os.fsdecode(each) for each in arguments], {name: value for name, _, value in pairs}, descriptors)


def starts_like_this_process(environment: dict[bytes, bytes]) -> bool:
    names = tuple(map(os.fsencode, STARTING))

    def read_then(variables: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        return {name: value for name, value in variables.items() if value and name.startswith(names)}

    return read_then(os.environb) == read_then(environment)


def become(request: Request) -> None:
    """Make this process one that was started with a request."""
    *streams, directory = request.descriptors
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.fchdir(directory)
    os.closerange(3, max(request.descriptors) + 1)
    os.environb.clear()
    os.environb.update(request.environment)
    time.tzset()
    sys.argv = [os.path.join(os.path.dirname(kspan.__file__), "__main__.py"), *request.arguments]  # noqa: PTH118, PTH120
    sys.stdin = sys.__stdin__ = stream(0, "r")  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = stream(1, "w")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = stream(2, "w")  # type: ignore[misc]


def stream(descriptor: int, mode: str) -> io.TextIOWrapper:
    """What Python opens at its start."""
    old = (sys.stdin, sys.stdout, sys.stderr)[descriptor]
    opened = open(  # noqa: SIM115
        descriptor, mode, encoding=old.encoding, errors=old.errors, newline="\n", closefd=False,
        buffering=1 if descriptor == 2 or os.isatty(descriptor) else -1,
    )  # fmt: skip
    assert isinstance(opened, io.TextIOWrapper)
    return opened


class Server:
    """Forks for clients; tells each how its process has ended."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._selector = selectors.DefaultSelector()
        self._selector.register(listening, selectors.EVENT_READ)
        self._selector.register(0, selectors.EVENT_READ)

    def forks(self) -> Request | None:
        """Work until this is a process that was forked, and return what it is started with; None: at the end."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj == 0:
                    return None
                if key.fileobj is self._listening:
                    request = self._accept()
                    if request is not None:
                        return request
                else:
                    self._end(key.fd, *key.data)

    def _accept(self) -> Request | None:
        """Fork; return the request in the child, None in the server."""
        client, _ = self._listening.accept()
        request = read(client)
        if not starts_like_this_process(request.environment):
            self._answer(client, NO)
        else:
            child = os.fork()
            if not child:
                # Not the server's to close: the numbers get other files.
                for each in (client, self._listening):
                    each.close()
                self._selector.close()
                return request
            self._selector.register(os.pidfd_open(child), selectors.EVENT_READ, (child, client))
        for descriptor in request.descriptors:
            os.close(descriptor)
        return None

    def _end(self, handle: int, child: int, client: socket.socket) -> None:
        self._selector.unregister(handle)
        os.close(handle)
        self._answer(client, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    def _answer(self, client: socket.socket, code: int) -> None:
        with client:
            client.sendall(code.to_bytes(4, "big", signed=True))


def main(path: str) -> None:
    preload()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        print("ready", flush=True)
        request = Server(listening).forks()
    if request is not None:
        become(request)
        kspan.cli.main()


if __name__ == "__main__":
    main(sys.argv[1])
