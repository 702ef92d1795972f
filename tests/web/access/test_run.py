"""`kspan run` and `kspan serve` with --auth kubernetes and TLS, as real processes."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from kspan.cli.commands.serve import Asking
from kspan.cli.options import Auth, Authorize
from kspan.errors import SettingsError
from kspan.web.v1.wire import TOKEN_HEADER
from tests.apiserver import ApiServer
from tests.apiserver.certificate import Certificate
from tests.cli.commands.test_commands import kspan
from tests.cli.commands.test_commands import refused as refused_command
from tests.cli.commands.test_serve import db, serving  # noqa: F401
from tests.daemon.small_cluster import Process, wait_until
from tests.limits import HANG_S
from tests.web.access.test_sign_in import FORM
from tests.web.test_server import ask as plainly

ALICE, BOB = "token-of-alice", "token-of-bob"


@pytest.fixture
def certificate() -> Iterator[Certificate]:
    found = Certificate()
    yield found
    found.remove()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def ask(url: str, certificate: Certificate, body: str = "", **headers: str) -> tuple[int, str, str]:
    """The status, the text and the cookie of an answer."""
    context = ssl.create_default_context(cafile=str(certificate.path))
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirect)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body.encode() or None, named)
    try:
        answer = opener.open(request, timeout=HANG_S)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.read().decode(), answer.headers.get("Set-Cookie", "")


def test_the_daemon_answers_the_users_of_its_cluster_over_tls(tmp_path: Path, certificate: Certificate) -> None:
    with ApiServer(token="own") as api:
        api.reviewed.add(ALICE, "alice")
        api.reviewed.add(BOB, "bob")
        api.reviewed.paths.add(("alice", "/kspan/*"))
        api.reviewed.lists.add(("alice", "events", "shop"))
        api.put("apps/v1/deployments", {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"replicas": 0}})
        options: dict[str, Any] = {"auth": "kubernetes", "authorize": "namespaces"}
        options |= {"tls_cert": certificate.path, "tls_key": certificate.key_path}
        kubeconfig = api.kubeconfig(tmp_path / "kubeconfig", token="own")
        with Process(kubeconfig, tmp_path / "db.sqlite", ["none"], **options) as daemon:
            assert daemon.url.startswith("https://127.0.0.1:")
            wait_until(lambda: ask(daemon.url + "/readyz", certificate)[0] == 200)
            services = daemon.url + "/api/services"
            assert ask(services, certificate)[0] == 401
            assert ask(services, certificate, Authorization=f"Bearer {BOB}")[0] == 403
            assert ask(services, certificate, Authorization=f"Bearer {ALICE}")[0] == 200
            assert ask(services, certificate, **{TOKEN_HEADER: ALICE})[0] == 200
            form = urlencode({"token": ALICE, "next": "/traces"})
            status, _, cookie = ask(daemon.url + "/login", certificate, form, **FORM)
            assert (status, "; Secure" in cookie) == (303, True)
            assert daemon.ends() == 0
            assert ALICE not in daemon.log


def test_a_copy_of_the_history_is_served_to_the_users_of_a_cluster(db: Path, tmp_path: Path) -> None:  # noqa: F811
    with ApiServer(token="own") as api:
        api.reviewed.add(ALICE, "alice")
        api.reviewed.add(BOB, "bob")
        api.reviewed.paths.add(("alice", "/kspan/api/*"))
        kubeconfig = api.kubeconfig(tmp_path / "kubeconfig", token="own")
        options = ("--listen", "127.0.0.1:0", "--auth", "kubernetes", "--kubeconfig", kubeconfig)
        with serving("--db", db, *options) as (_, address):
            of_alice = plainly(address, "/api/services", headers={TOKEN_HEADER: ALICE})
            assert "kubectl" in of_alice[1]
            assert plainly(address, "/api/services", headers={TOKEN_HEADER: BOB})[0] == 403
            assert plainly(address, "/traces", headers={TOKEN_HEADER: ALICE})[0] == 403
            assert plainly(address, "/traces", headers={"Accept": "text/html"})[0] == 401


def test_contradictions_and_unusable_certificates_end_the_command(db: Path, tmp_path: Path) -> None:  # noqa: F811
    message = refused_command(kspan("serve", "--db", db, "--tls-cert", tmp_path / "tls.crt"))
    assert message == "--tls-cert needs --tls-key: TLS takes a certificate and its key"
    message = refused_command(kspan("run", "--db", tmp_path / "new.sqlite", "--auth", "none", "--listen", ":0"))
    assert message.startswith("--listen :0 can be reached from other machines: give ")
    assert not (tmp_path / "new.sqlite").exists()


def check(listen: str, asking: Asking) -> None:
    asking.check()
    asking.check_reach(listen)


def refused(listen: str = "127.0.0.1:0", **options: Any) -> str:
    with pytest.raises(SettingsError) as error:
        check(listen, Asking(**options))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_options_that_contradict_each_other_are_refused() -> None:
    file = Path("token")
    assert refused(auth=Auth.TOKEN) == "--auth token needs --auth-token-file"
    for auth in (Auth.KUBERNETES, Auth.NONE):
        assert refused(auth=auth, token_file=file) == f"--auth {auth} and --auth-token-file exclude each other"
    both = "--auth-token-file and --insecure-no-auth exclude each other"
    assert refused(token_file=file, insecure=True) == both
    assert refused(auth=Auth.KUBERNETES, insecure=True) == "--auth kubernetes and --insecure-no-auth exclude each other"
    for options in ({}, {"auth": Auth.NONE}, {"token_file": file}):  # type: dict[str, Any]
        message = refused(authorize=Authorize.NAMESPACES, **options)
        assert message.startswith("--authorize namespaces needs --auth kubernetes")


@pytest.mark.parametrize("auth", [None, Auth.NONE])
def test_beyond_this_machine_everybody_may_ask_only_if_that_is_said(auth: Auth | None) -> None:
    assert refused(":8474", auth=auth).startswith("--listen :8474 can be reached from other machines: give ")
    check(":8474", Asking(auth=auth, insecure=True))
    check("127.0.0.1:8474", Asking(auth=auth))
    check(":8474", Asking(auth=Auth.KUBERNETES, authorize=Authorize.NAMESPACES))
    check(":8474", Asking(auth=Auth.TOKEN, token_file=Path("token")))
