"""An HTTP proxy between kspan and the API server."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kspan.ingest.watch import Connection, KubeconfigError, Timing, connect
from kspan.ingest.watch.client.errors import DisconnectedError
from tests.apiserver import ApiServer
from tests.ingest.watch.client.proxy import Proxy
from tests.ingest.watch.test_stateful import agree, manifest
from tests.ingest.watch.watching import QUICK, reflecting, until

PODS = "v1/pods"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def _no_other_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(params=["https", "http"])
def server(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    with ApiServer(token="secret-token", https=request.param == "https") as running:
        yield running


def to(server: ApiServer, folder: Path, proxy: object = None, timing: Timing = QUICK) -> Connection:
    cluster = {} if proxy is None else {"proxy-url": proxy}
    return connect(str(server.kubeconfig(folder / "config", cluster=cluster)), timing=timing)


def ask(server: ApiServer, folder: Path, proxy: object = None) -> None:
    connection = to(server, folder, proxy)
    connection.get("/api/v1/namespaces")
    connection.close()


def tunnelled(server: ApiServer) -> str:
    """The request with which a proxy is asked for a tunnel to this server."""
    return rf"CONNECT 127\.0\.0\.1:{server.port} HTTP/1\.[01]"


def test_the_proxy_of_the_kubeconfig_is_used_and_gets_no_token_over_https(server: ApiServer, tmp_path: Path) -> None:
    with Proxy() as proxy:
        ask(server, tmp_path, proxy.url)
        assert server.requests[-1].status == 200
        if server.authority is None:
            assert proxy.asked == [f"GET {server.url}/api/v1/namespaces HTTP/1.1"]
        else:
            assert [bool(re.fullmatch(tunnelled(server), line)) for line in proxy.asked] == [True]


def test_proxy_and_exceptions_are_read_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ApiServer(https=True) as server, Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        ask(server, tmp_path)
        assert len(proxy.asked) == 1
        for excluded in ("127.0.0.1", "10.0.0.0/8,127.0.0.0/8", f"127.0.0.1:{server.port}", "*"):
            monkeypatch.setenv("NO_PROXY", excluded)
            ask(server, tmp_path)
        monkeypatch.setenv("NO_PROXY", "example.com")
        assert len(proxy.asked) == 1
        ask(server, tmp_path)
        assert len(proxy.asked) == 2


def test_a_watch_continues_when_the_proxy_drops_connections(server: ApiServer, tmp_path: Path) -> None:
    with Proxy() as proxy, reflecting(to(server, tmp_path, proxy.url)) as got:
        server.put(PODS, manifest("a"))
        agree(server, got)
        for name in ("b", "c"):
            proxy.cut()
            server.put(PODS, manifest(name))
            agree(server, got)
        until(lambda: set(got.reasons()) & {"disconnected", "torn"}, "a disconnection")


@pytest.mark.parametrize("password", ["plain", "p@ss:w/rd"])
def test_the_credentials_of_a_proxy_are_sent_only_to_the_proxy(
    server: ApiServer, tmp_path: Path, password: str
) -> None:
    quoted = password.replace("@", "%40").replace(":", "%3A").replace("/", "%2F")
    with Proxy(f"kspan:{password}") as proxy:
        url = f"http://kspan:{quoted}@127.0.0.1:{proxy.port}"
        ask(server, tmp_path, url)
        if server.authority is not None:
            assert "proxy-authorization" not in server.requests[-1].headers
        with reflecting(to(server, tmp_path, url)) as got:
            server.put(PODS, manifest("a"))
            agree(server, got)


def test_a_refusal_of_the_proxy_is_reported_without_the_password(tmp_path: Path) -> None:
    with ApiServer(https=True) as server, Proxy("kspan:right") as proxy:
        with pytest.raises(DisconnectedError, match=r"proxy.*407") as caught:
            ask(server, tmp_path, f"http://kspan:wrong-password@127.0.0.1:{proxy.port}")
        assert "wrong-password" not in str(caught.value)
        with pytest.raises(DisconnectedError, match="407"):
            ask(server, tmp_path, f"http://127.0.0.1:{proxy.port}")


def test_an_unreachable_proxy_is_named_in_the_error(tmp_path: Path) -> None:
    with ApiServer(https=True) as server:
        with pytest.raises(DisconnectedError, match="proxy"):
            ask(server, tmp_path, "http://127.0.0.1:9")
        assert not server.requests


@pytest.mark.parametrize(
    "url, reason",
    [
        ("socks5://127.0.0.1:9", "PySocks"),
        ("ftp://127.0.0.1:9", "invalid proxy URL"),
        ("127.0.0.1:9", "invalid proxy URL"),
        ("http://", "invalid proxy URL"),
        ("http://[::1:9", "Invalid IPv6"),
        (["http://127.0.0.1:9"], "invalid proxy URL"),
    ],
)
def test_an_invalid_proxy_url_is_an_error_of_one_line(tmp_path: Path, url: object, reason: str) -> None:
    with ApiServer(https=True) as server, pytest.raises(KubeconfigError, match=reason) as caught:
        to(server, tmp_path, url)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
