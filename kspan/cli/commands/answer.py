"""The process in which ``kspan run`` lets questions to its history be answered. The daemon starts it, nobody else."""

import os
import signal
import socket
import sys
from typing import Final

import msgspec

MODULE: Final = "kspan.cli.commands.answer"

NICENESS: Final = 5
"""Under load the writer comes first, and pages take longer."""


class Setup(msgspec.Struct, frozen=True):
    """The settings of the process.

    Args:
        db: URL of the database.
        serves_sql: SQL statements are answered.
        private: askers have rights in the cluster of the daemon only.
        log_level: debug, info, warning or error.
        seconds: time limit of a question; None: that of ``kspan serve``.
    """

    db: str
    serves_sql: bool
    private: bool
    log_level: str
    seconds: float | None = None


def main() -> None:
    """Answer what arrives on the socket with the number of the first argument, until the daemon closes it."""
    # Ctrl-C in a terminal reaches both processes. The daemon decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from kspan.web.apart.answering import read_setup

    with socket.socket(fileno=int(sys.argv[1])) as control:
        try:
            setup = msgspec.msgpack.decode(read_setup(control), type=Setup)
        except (EOFError, ConnectionError):
            return
        _answer(control, setup)


def _answer(control: socket.socket, setup: Setup) -> None:
    from kspan.cli.commands.serve import later
    from kspan.terminal import logging_setup
    from kspan.web.apart.answering import answer_requests
    from kspan.web.apart.messages import Facts
    from kspan.web.app import answering_app
    from kspan.web.status import STATUS_PATHS

    os.nice(NICENESS)
    logging_setup.set_up(setup.log_level)
    history = later(setup.db, serves_sql=setup.serves_sql, private=setup.private, seconds=setup.seconds)
    watched = (0, 0)

    def note(facts: Facts) -> None:
        nonlocal watched
        history.cluster, watched = facts.cluster, facts.watched

    app, close = answering_app(history, lambda: watched, {}, STATUS_PATHS)
    answer_requests(control, app, note, close)


if __name__ == "__main__":
    main()
