"""What `--remote` says when it gets no answer: one line, with the missing right and the command that grants it."""

from pathlib import Path

import pytest

from kspan import __version__
from kspan.store import open_store
from kspan.web import guard
from kspan.web.access.doors import SharedToken
from kspan.web.app import make_app
from kspan.web.guard import Access
from kspan.web.history import History
from kspan.web.server import Server
from kspan.web.v1 import sql
from kspan.web.v1.wire import VERSION_HEADER
from tests.apiserver import Break, Refuse
from tests.apiserver.forwarding import PROXY
from tests.apiserver.port_forward import PORT_FORWARD
from tests.cli.sources.another_program import answering
from tests.cli.sources.commands import Remote, Terminal
from tests.emit.receivers import reserved_ports
from tests.web.pages.site import site
from tests.web.test_server import TOKEN

TRACES = ("traces", "--limit", "1")


def test_the_service_is_found_by_its_label(daemon: Remote, terminal: Terminal) -> None:
    local = terminal.run(*TRACES, *daemon.local)
    for flags in (("--remote", *TRACES), (*TRACES, "--remote"), (*TRACES, "--remote=auto")):
        assert terminal.run(*flags, "--kubeconfig", daemon.kubeconfig) == local


def test_the_environment_can_name_the_daemon(
    daemon: Remote, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = terminal.run(*TRACES, *daemon.local)
    monkeypatch.setenv("KSPAN_REMOTE", "test:kspan/kspan")
    monkeypatch.setenv("KUBECONFIG", str(daemon.kubeconfig))
    assert terminal.run(*TRACES) == local
    passed = len(daemon.api.backends.received)
    assert terminal.run(*TRACES, *daemon.local) == local
    assert len(daemon.api.backends.received) == passed


def test_a_missing_right_to_list_services_is_named(daemon: Remote, terminal: Terminal) -> None:
    daemon.api.forbid("v1/services", "list")
    assert terminal.run("--remote", *TRACES, "--kubeconfig", daemon.kubeconfig).refused == (
        "--remote: you may not list services in all namespaces: name the Service with --remote=NAMESPACE/SERVICE, or "
        "let somebody grant the right: kubectl create clusterrole list-services --verb=list --resource=services && "
        "kubectl create clusterrolebinding list-services --clusterrole=list-services --user=kspan"
    )


def test_no_service_and_several_are_reported(daemon: Remote, terminal: Terminal) -> None:
    daemon.api.run_behind("staging", "history", daemon.address)
    command = ("--remote", *TRACES, "--kubeconfig", daemon.kubeconfig)
    assert terminal.run(*command).refused == (
        "--remote: several Services have the label app.kubernetes.io/name=kspan: choose one with --remote=kspan/kspan "
        "or --remote=staging/history"
    )
    daemon.api.delete("v1/services", "kspan", "kspan")
    daemon.api.delete("v1/services", "staging", "history")
    assert terminal.run(*command).refused == (
        "--remote: no Service has the label app.kubernetes.io/name=kspan: install kspan in the cluster, or name its "
        "Service with --remote=NAMESPACE/SERVICE"
    )


def test_a_service_that_does_not_exist_is_reported(daemon: Remote, terminal: Terminal) -> None:
    done = terminal.run(*TRACES, "--remote=kspan/other", "--kubeconfig", daemon.kubeconfig)
    assert done.refused == (
        '--remote: 404 services "other" not found: name the Service of kspan with --remote=NAMESPACE/SERVICE'
    )


@pytest.mark.parametrize(
    "text, problem",
    [
        ("kspan", "invalid Service 'kspan'"),
        ("a:/kspan", "invalid Service 'a:/kspan'"),
        ("kspan/ftp:x:1", "invalid Service 'kspan/ftp:x:1'"),
        ("kspan/a b", "invalid Service 'kspan/a b'"),
    ],
)
def test_a_mistake_in_the_name_is_refused(terminal: Terminal, text: str, problem: str) -> None:
    assert terminal.run(*TRACES, f"--remote={text}").refused == (
        f"--remote: {problem}: use NAMESPACE/SERVICE, CONTEXT:NAMESPACE/SERVICE, auto or off"
    )


@pytest.mark.parametrize(
    "command, problem",
    [
        ((*TRACES, "--remote", "kspan/kspan"), "Got unexpected extra argument(s) (kspan/kspan)"),
        (("--remote", "http://127.0.0.1:1", *TRACES), "No such command 'http://127.0.0.1:1'"),
    ],
)
def test_a_name_without_equals_sign_is_told_where_it_belongs(
    terminal: Terminal, command: tuple[str, ...], problem: str
) -> None:
    done = terminal.run(*command)
    assert done.code == 2
    assert f"Error: {problem}. The value of --remote follows a '=': --remote=NAMESPACE/SERVICE" in done.err
    assert "--remote" not in terminal.run("nonsense").err


def test_options_that_contradict_each_other_are_refused(daemon: Remote, terminal: Terminal) -> None:
    both = terminal.run(*TRACES, *daemon.flags, "--db", daemon.url)
    assert both.refused == "--remote and --db exclude each other: remove one of them"
    contexts = terminal.run(*TRACES, "--remote=a:kspan/kspan", "--context", "b", "--kubeconfig", daemon.kubeconfig)
    assert contexts.refused == "--context: --remote has another one ('a'): remove one of them"
    cluster = terminal.run(*TRACES, *daemon.flags, "--cluster", "another")
    assert cluster.refused == "unknown cluster 'another'"


def test_an_api_server_that_cannot_be_reached_is_reported(terminal: Terminal, daemon: Remote) -> None:
    daemon.api.stop()
    message = terminal.run(*TRACES, *daemon.flags).refused
    assert message.startswith(
        f"--remote: no answer from the API server {daemon.api.url}: GET /api/v1/namespaces/kspan/"
    )
    assert message.endswith("Connection refused")


def test_credentials_that_are_not_valid_are_reported(terminal: Terminal, daemon: Remote, tmp_path: Path) -> None:
    daemon.api.kubeconfig(tmp_path / "other", token="not mine")
    message = terminal.run(*TRACES, "--remote=kspan/kspan", "--kubeconfig", tmp_path / "other").refused
    assert message.startswith(f"--remote: the API server {daemon.api.url} does not know you: 401 Unauthorized")


def test_a_proxy_that_fails_in_the_middle_of_an_answer_is_reported(terminal: Terminal, daemon: Remote) -> None:
    with daemon.api.faults.add(Break(), PROXY, "get"):
        done = terminal.run("trace", "e32771ad6a57", *daemon.flags)
    assert done.out == b""
    assert done.refused.startswith(f"--remote: no answer from the API server {daemon.api.url}: GET /api/v1/namespaces/")


def test_a_proxy_that_fails_after_some_pages_ends_the_output_with_an_error(terminal: Terminal, daemon: Remote) -> None:
    with daemon.api.faults.add(Refuse(503), PROXY, "get"):
        done = terminal.run("timeline", *daemon.flags)
    assert done.refused == (f"--remote: the API server {daemon.api.url} answered: 503 apiserver is shutting down")


def test_a_daemon_that_does_not_run_is_reported(terminal: Terminal, daemon: Remote) -> None:
    daemon.api.backends.addresses.clear()
    assert terminal.run(*TRACES, *daemon.flags).refused == (
        f'--remote: the API server {daemon.api.url} answered: 503 no endpoints available for service "http:kspan:http"'
    )
    with reserved_ports(1) as (port,):
        daemon.api.backends.addresses["kspan", "kspan"] = "127.0.0.1", port
        assert "error trying to reach service" in terminal.run(*TRACES, *daemon.flags).refused


def test_a_daemon_of_another_version_is_reported(
    terminal: Terminal, daemon: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = terminal.run(*TRACES, *daemon.local)
    monkeypatch.setattr(guard, "__version__", "99.0.0")
    done = terminal.run(*TRACES, *daemon.flags)
    assert done.out == local.out
    note = f"kspan: kspan/kspan runs kspan 99.0.0, and this is kspan {__version__}: answers can differ\n"
    assert done.err == note + local.err


def test_an_answer_that_cannot_be_read_is_reported_with_the_versions(terminal: Terminal, daemon: Remote) -> None:
    other = {VERSION_HEADER: "99.0.0"}
    with answering(daemon, b'{"items": 5, "next": null}', other):
        message = terminal.run(*TRACES, *daemon.flags).refused
    assert message == (
        f"--remote: kspan/kspan runs kspan 99.0.0, whose answer kspan {__version__} cannot read (Expected `array`, got "
        "`int` - at `$.items`): use kspan 99.0.0"
    )


def test_a_question_that_an_older_daemon_does_not_know_is_reported(terminal: Terminal, daemon: Remote) -> None:
    body = b'{"title": "Not Found", "status": 404, "detail": "no such address: /v1/openapi.json lists them"}'
    other = {VERSION_HEADER: "0.1.0", "Content-Type": "application/problem+json"}
    with answering(daemon, body, other, 404):
        message = terminal.run("show", "deploy/web", *daemon.flags).refused
    assert message == (
        f"--remote: kspan/kspan runs kspan 0.1.0, whose answer kspan {__version__} cannot read "
        "(/v1/versions/deploy/web is unknown to it): use kspan 0.1.0"
    )


def test_a_command_that_cannot_ask_a_daemon_refuses_it(terminal: Terminal) -> None:
    assert terminal.run("--remote", "db", "stats").refused == (
        "--remote: 'kspan db stats' cannot ask a daemon: remove it"
    )


def test_statements_say_how_sql_is_turned_on(terminal: Terminal, daemon: Remote) -> None:
    with open_store(daemon.url, read_only=True) as store, site(store, daemon.cluster) as address:
        daemon.api.backends.addresses["kspan", "kspan"] = address
        assert terminal.run("sql", "SELECT 1", *daemon.flags).refused == (
            "--remote: kspan/kspan: SQL is not served here: start kspan run or kspan serve with --serve-sql"
        )


def test_a_missing_right_to_send_statements_is_named(terminal: Terminal, daemon: Remote) -> None:
    daemon.api.forbid(PROXY, "create")
    daemon.api.forbid(PORT_FORWARD, "create")
    assert terminal.run("sql", "SELECT 1", *daemon.flags).refused == (
        "--remote: you may not create services/proxy of kspan/kspan, nor create pods/portforward: let somebody grant "
        "the right: kubectl -n kspan create role kspan-sql --verb=create --resource=services/proxy "
        "--resource-name=http:kspan:http && kubectl -n kspan create rolebinding kspan-sql --role=kspan-sql --user=kspan"
    )


def test_rows_that_the_daemon_does_not_send_are_reported(
    terminal: Terminal, daemon: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "ROWS", 5)
    done = terminal.run("sql", "SELECT span_id FROM spans", "-o", "csv", *daemon.flags)
    assert len(done.out.splitlines()) == 6
    assert done.refused == "kspan/kspan sends no more than these 5 rows: select less, or use --limit"


@pytest.mark.parametrize(
    "value", ['{"type": "new", "value": "1"}', '{"type": "numeric", "value": "x"}', '{"type": "bytes", "value": null}']
)
def test_values_that_this_version_cannot_read_are_an_error_of_one_line(
    terminal: Terminal, daemon: Remote, value: str
) -> None:
    body = f'{{"dialect": "sqlite", "columns": ["x"], "rows": [[{value}]], "more": false}}'
    with answering(daemon, body.encode(), {"Content-Type": "application/json"}):
        message = terminal.run("sql", "SELECT x FROM y", *daemon.flags).refused
    assert message.startswith("--remote: kspan/kspan")
    assert "\n" not in message


def test_a_service_that_is_not_kspan_is_reported(terminal: Terminal, daemon: Remote) -> None:
    for status, body in ((404, b"<html>not found</html>"), (200, b"<html>welcome</html>")):
        with answering(daemon, body, status=status):
            message = terminal.run(*TRACES, *daemon.flags).refused
        assert message == "--remote: kspan/kspan is another program, or an old version of kspan (GET /v1/traces)"


def test_a_token_passes_the_proxy_in_a_header_of_its_own(terminal: Terminal, daemon: Remote, tmp_path: Path) -> None:
    local = terminal.run(*TRACES, *daemon.local)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with open_store(daemon.url, read_only=True) as store:
        access = Access(hosts=None, door=SharedToken(TOKEN))
        server = Server("127.0.0.1:0", make_app({}, access, History(lambda _: (store, daemon.cluster))))
        server.start()
        try:
            daemon.api.backends.addresses["kspan", "kspan"] = server.address
            without = terminal.run(*TRACES, *daemon.flags)
            assert terminal.run(*TRACES, *daemon.flags, "--remote-token-file", tmp_path / "token") == local
        finally:
            server.stop()
    assert without.refused == (
        "--remote: kspan/kspan wants a token: give its file with --remote-token-file; with --auth kubernetes it is one "
        "of yours: kubectl create token NAME > FILE"
    )


def test_a_token_is_sent_only_to_a_service_that_was_named(terminal: Terminal, daemon: Remote, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    command = (*TRACES, "--remote", "--kubeconfig", daemon.kubeconfig, "--remote-token-file", tmp_path / "token")
    assert terminal.run(*command).refused.startswith("--remote-token-file: name the Service with --remote=")
    assert not daemon.api.requests


@pytest.mark.parametrize(
    "content, problem",
    [
        (None, "no such file"),
        (b"", "not a token"),
        (b"two words", "not a token"),
        (b"x" * 8193, "not a token"),
        ("ä".encode(), "the token has to be ASCII"),
    ],
)
def test_a_file_without_a_token_is_refused(
    terminal: Terminal, daemon: Remote, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    done = terminal.run(*TRACES, *daemon.flags, "--remote-token-file", tmp_path / "token")
    assert done.refused == f"--remote-token-file: {tmp_path / 'token'}: {problem}"
    assert not daemon.api.requests
