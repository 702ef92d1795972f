"""TCP options and timeouts of the sockets to an API server. A proxy is connected to with the same options."""

import socket
from typing import Any

IDLE_S = 30
"""Seconds of silence after which the kernel asks the peer whether it is there."""

INTERVAL_S = 5
"""Seconds between two such probes."""

PROBES = 3
"""A connection with this many probes unanswered is broken: 45 s after the peer vanished.

This is how long kubectl takes over HTTP/2 (k8s.io/apimachinery pkg/util/net/http.go: 30 s idle, 15 s for the ping).
"""


def socket_options() -> list[tuple[int, int, int]]:
    """Return the options for urllib3: keepalive, and the same limit for data that the peer does not acknowledge.

    Without TCP_USER_TIMEOUT (Linux), a request into a dead connection is sent again for 15 minutes, and no keepalive
    probe is sent meanwhile.
    """
    from kubernetes.utils.keepalive import tcp_keepalive_socket_options

    options: list[tuple[int, int, int]] = tcp_keepalive_socket_options(IDLE_S, INTERVAL_S, PROBES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, (IDLE_S + INTERVAL_S * PROBES) * 1000))
    return options


def set_read_timeout(response: Any, seconds: float) -> None:
    """Set the longest silence within a response of urllib3 that has begun.

    urllib3 has one timeout for the head of a response and for each part of its body, and passes the socket on to the
    response if the connection ends with it. So this is the only way to the socket in all cases.
    """
    reader = getattr(response, "_fp", None)
    raw = getattr(getattr(reader, "fp", None), "raw", None)
    sock = getattr(raw, "_sock", None)
    if sock is not None:  # None: the response has no body.
        sock.settimeout(seconds)
