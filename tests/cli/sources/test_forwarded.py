"""Without `services/proxy`, the daemon is asked over a forwarded port."""

import contextlib
from collections.abc import Iterator

import pytest

from kspan.cli.sources.forwarded import ForwardedPort, find_port
from kspan.cli.sources.services import Service
from kspan.ingest.watch import connect
from kspan.store import open_store
from kspan.web.app import make_app
from kspan.web.guard import Access
from kspan.web.history import History
from kspan.web.server import Server
from kspan.web.tls import certificate_files
from tests.apiserver.certificate import Certificate
from tests.apiserver.forwarding import PROXY
from tests.apiserver.port_forward import PORT_FORWARD
from tests.cli.sources.another_program import answering
from tests.cli.sources.commands import Remote, Terminal
from tests.emit.receivers import wait_until
from tests.limits import HANG_S

TRACES = ("traces", "--limit", "1")
GRANT = (
    ": let somebody grant the right: kubectl -n kspan create rolebinding kspan-readers --clusterrole=kspan-reader "
    "--user=kspan"
)


@pytest.mark.parametrize(
    "command",
    [
        ("why", "pod/web-854b7f4f-9xzlt"),
        ("traces", "--limit", "0", "-o", "json"),
        ("trace", "e32771ad6a57", "-o", "json"),
        ("timeline", "-o", "csv"),
        ("why", "pod/nothing"),
        ("sql", "SELECT * FROM spans WHERE cluster = :cluster ORDER BY start_time, span_id", "-o", "jsonl"),
    ],
    ids=" ".join,
)
def test_answers_over_a_forwarded_port_are_the_same(
    daemon: Remote, terminal: Terminal, command: tuple[str, ...]
) -> None:
    daemon.api.forbid(PROXY)
    local = terminal.run(*command, *daemon.local)
    assert terminal.run(*command, *daemon.flags) == local
    assert not daemon.api.backends.received
    assert daemon.api.requests_seen(PORT_FORWARD) == 1


@contextlib.contextmanager
def _certificate() -> Iterator[Certificate]:
    made = Certificate()
    try:
        yield made
    finally:
        made.remove()


def test_a_daemon_with_tls_is_asked_over_a_forwarded_port(daemon: Remote, terminal: Terminal) -> None:
    daemon.api.forbid(PROXY)
    local = terminal.run(*TRACES, *daemon.local)
    with with_tls(daemon):
        remote = ("--remote=kspan/https:kspan", "--kubeconfig", daemon.kubeconfig)
        assert terminal.run(*TRACES, *remote) == local


def test_a_daemon_with_tls_is_asked_through_the_proxy_if_the_service_says_so(
    daemon: Remote, terminal: Terminal
) -> None:
    local = terminal.run(*TRACES, *daemon.local)
    with with_tls(daemon):
        plain = terminal.run(*TRACES, *daemon.flags)
        port = {"name": "http", "port": 8474, "targetPort": "http", "appProtocol": "https"}
        daemon.api.patch("v1/services", "kspan", "kspan", {"spec": {"ports": [port]}})
        assert terminal.run(*TRACES, "--remote", "--kubeconfig", daemon.kubeconfig) == local
    # The API server itself does not read appProtocol.
    assert plain.refused == (
        f"--remote: the API server {daemon.api.url} answered: 503 error trying to reach service: EOF; a Service with "
        "TLS is named --remote=kspan/https:kspan"
    )


@contextlib.contextmanager
def with_tls(daemon: Remote) -> Iterator[None]:
    """Let the daemon speak TLS."""
    with _certificate() as certificate, open_store(daemon.url, read_only=True) as store:
        app = make_app({}, Access(hosts=None), History(lambda _: (store, daemon.cluster)))
        server = Server("127.0.0.1:0", app, certificate_files(certificate.path, certificate.key_path))
        server.start()
        try:
            daemon.api.backends.addresses["kspan", "kspan"] = server.address
            yield
        finally:
            server.stop()


def test_without_the_right_to_forward_ports_the_missing_rights_are_named(daemon: Remote, terminal: Terminal) -> None:
    daemon.api.forbid(PROXY)
    daemon.api.forbid(PORT_FORWARD, "create")
    assert terminal.run(*TRACES, *daemon.flags).refused == (
        f"--remote: you may not get services/proxy of kspan/kspan, nor create pods/portforward{GRANT}"
    )


def test_a_port_that_the_service_lacks_is_reported(daemon: Remote, terminal: Terminal) -> None:
    daemon.api.forbid(PROXY)
    pod = {"spec": {"containers": [{"name": "kspan", "ports": [{"containerPort": 9}]}]}}
    daemon.api.patch("v1/pods", "kspan", "kspan-0", pod)
    command = (*TRACES, "--remote=kspan/kspan:nothing", "--kubeconfig", daemon.kubeconfig)
    assert terminal.run(*command).refused == "--remote: the Service kspan/kspan has no port 'nothing'"


@pytest.fixture
def way(daemon: Remote) -> Iterator[ForwardedPort]:
    service = Service("kspan", "kspan", "http", "http")
    connection = connect(str(daemon.kubeconfig))
    found = ForwardedPort(lambda: find_port(connection, service), tls=False, seconds=HANG_S)
    yield found
    found.close()
    connection.close()


def test_a_connection_that_the_daemon_closed_while_it_was_idle_is_opened_again(
    daemon: Remote, way: ForwardedPort
) -> None:
    with answering(daemon, b"{}", {}) as asked:
        assert way.send("/1", {}, {}).body == b"{}"
        wait_until(lambda: daemon.api.requests_seen(PORT_FORWARD) == 1 and not _is_open(way), "the end of the tunnel")
        assert way.send("/2", {}, {}).body == b"{}"
    assert asked == ["/1", "/2"]
    assert daemon.api.requests_seen(PORT_FORWARD) == 2


def _is_open(way: ForwardedPort) -> bool:
    assert way._client is not None
    assert way._client._tunnel is not None
    return way._client._tunnel._thread.is_alive()


def test_an_answer_after_which_the_connection_is_closed_arrives_whole(daemon: Remote, way: ForwardedPort) -> None:
    body = bytes(range(256)) * 20_000
    with answering(daemon, body, {"Connection": "close"}):
        assert way.send("/1", {}, {}).body == body
        assert way.send("/2", {}, {}).body == body


@pytest.mark.parametrize("resource, verb", [("v1/services", "get"), ("v1/pods", "list")])
def test_without_the_right_to_find_the_pod_the_missing_rights_are_named(
    daemon: Remote, terminal: Terminal, resource: str, verb: str
) -> None:
    daemon.api.forbid(PROXY)
    daemon.api.forbid(resource, verb)
    assert terminal.run(*TRACES, *daemon.flags).refused == (
        "--remote: you may not get services/proxy of kspan/kspan, nor find its Pod to forward a port (get services, "
        f"list pods){GRANT}"
    )


def test_a_pod_that_is_not_ready_or_does_not_listen_is_reported(daemon: Remote, terminal: Terminal) -> None:
    daemon.api.forbid(PROXY)
    daemon.api.backends.addresses.clear()
    assert "error forwarding port 8474 to pod kspan-0" in terminal.run(*TRACES, *daemon.flags).refused
    daemon.api.patch("v1/pods", "kspan", "kspan-0", {"status": {"conditions": []}})
    assert terminal.run(*TRACES, *daemon.flags).refused == "--remote: no Pod behind kspan/kspan is ready"
