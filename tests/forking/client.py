"""Starts ``kspan`` through a server; is itself started without ``site`` and with no import that takes time."""

import _socket
import os
import sys

NO = 256
"""The server's answer if the process has to be started anew."""


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _ask(path: str, arguments: list[str]) -> int:
    """Return the exit code of the process, or if it was killed the negative number of the signal."""
    variables = [name + b"=" + value for name, value in os.environb.items()]
    parts = [b"%d" % len(arguments), *map(os.fsencode, arguments), *variables]
    body = b"\0".join(parts)
    try:
        here = os.open(".", os.O_RDONLY)
    except OSError:
        return NO
    descriptors = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2, here))
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    server.connect(path)
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)]
    server.sendmsg([len(body).to_bytes(4, "big")], rights)
    server.sendall(body)
    answer = server.recv(4)
    assert len(answer) == 4, "the server has ended"
    return int.from_bytes(answer, "big", signed=True)


def _main() -> None:
    path, *arguments = sys.argv[1:]
    code = _ask(path, arguments) if all(map(_is_open, (0, 1, 2))) else NO
    if code == NO:
        os.execv(sys.executable, [sys.executable, "-m", "kspan", *arguments])  # noqa: S606
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    _main()
