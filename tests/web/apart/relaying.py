"""A server whose questions a process of its own answers, as in ``kspan run``."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from kspan.cli.commands import answer
from kspan.web.answer import verdict
from kspan.web.apart.process import Process, Program
from kspan.web.apart.relay import Relay
from kspan.web.guard import Access
from kspan.web.server import Server
from kspan.web.status import make_relaying_app
from tests.limits import HANG_S

STATUS = {path: lambda _: verdict([]) for path in ("/healthz", "/readyz", "/metrics")}
OPEN = Access(hosts=None)


class Clock:
    """Passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Relayed:
    """The server, its process, and the clock of the process."""

    def __init__(self, server: Server, process: Process, clock: Clock) -> None:
        self.server = server
        self.address = server.address
        self.process = process
        self.clock = clock

    @property
    def pid(self) -> int:
        """The id of the process. It runs."""
        assert self.process.pid is not None
        return self.process.pid


def program(url: str) -> Program:
    """Return the program that answers from a database."""
    return Program(
        answer.MODULE,
        msgspec.msgpack.encode(answer.Setup(url, serves_sql=True, private=False, log_level="warning", seconds=HANG_S)),
    )


@contextmanager
def relaying(what: Program, cluster: str = "", access: Access = OPEN) -> Iterator[Relayed]:
    """Serve what a process answers."""
    clock = Clock()
    process = Process(what, idle_s=300, clock=clock)
    relay = Relay(process, lambda: (cluster, (3, 4)))
    server = Server("127.0.0.1:0", make_relaying_app(STATUS, access, relay))
    server.start()
    try:
        yield Relayed(server, process, clock)
    finally:
        server.stop()
