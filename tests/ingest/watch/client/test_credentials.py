"""Credentials for the API server: certificates, tokens, plugins and OpenID Connect, and their renewal."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kspan.ingest.watch import ApiError, Connection, KubeconfigError, connect
from kspan.ingest.watch.client.errors import DisconnectedError, UnauthorizedError
from tests.apiserver import ApiServer
from tests.apiserver.certificate import Authority
from tests.ingest.watch.client.identity import IdentityProvider, id_token
from tests.ingest.watch.watching import QUICK, Collector, reflecting, until

PODS = "v1/pods"
EXEC = "client.authentication.k8s.io/v1"

Json = dict[str, Any]


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """An API server that requires credentials."""
    with ApiServer(token="nobody-has-this", https=True) as running:
        yield running


@pytest.fixture
def provider(server: ApiServer) -> Iterator[IdentityProvider]:
    """An OpenID Connect provider whose tokens the API server accepts."""
    with IdentityProvider(server.tokens.add) as running:
        yield running


@pytest.fixture
def open_with(server: ApiServer, tmp_path: Path) -> Iterator[Callable[..., Connection]]:
    """Connect with a user entry in the kubeconfig."""
    opened: list[Connection] = []

    def make(user: Json) -> Connection:
        opened.append(connect(str(server.kubeconfig(tmp_path / "config", user=user)), timing=QUICK))
        return opened[-1]

    yield make
    for connection in opened:
        connection.close()


def pod(name: str) -> Json:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {}}


def data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def in_files(pair: tuple[Path, Path]) -> Json:
    return {"client-certificate": str(pair[0]), "client-key": str(pair[1])}


def embedded(pair: tuple[Path, Path]) -> Json:
    return {"client-certificate-data": data(pair[0]), "client-key-data": data(pair[1])}


def plugin(path: Path, status: Json, before: str = "") -> Json:
    """A user entry with an exec plugin; every run appends a line to the file ``runs`` next to it."""
    credential = {"apiVersion": EXEC, "kind": "ExecCredential", "status": status}
    path.with_suffix(".json").write_text(json.dumps(credential))
    path.write_text(f"#!/bin/sh\necho run >> '{path.parent}/runs'\n{before}\ncat '{path.with_suffix('.json')}'\n")
    path.chmod(0o755)
    return {"exec": {"apiVersion": EXEC, "command": str(path)}}


def seen(got: Collector) -> set[str]:
    return {json.loads(frame.object).get("metadata", {}).get("name", "") for frame in got.of(PODS)} - {""}


def watched(got: Collector, *names: str) -> None:
    until(lambda: set(names) <= seen(got), f"{names} in {seen(got)}")


# certificates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", [in_files, embedded])
def test_a_client_certificate_authenticates(
    server: ApiServer, open_with: Callable[..., Connection], entry: Callable[[tuple[Path, Path]], Json]
) -> None:
    assert server.authority is not None
    server.users.add("kspan")
    open_with(entry(server.authority.issue("kspan"))).get("/api/v1/namespaces")
    assert server.requests[-1].user == "kspan"
    assert "authorization" not in server.requests[-1].headers
    with pytest.raises(UnauthorizedError):
        open_with(entry(server.authority.issue("somebody-else"))).get("/api/v1/namespaces")


def test_a_rejected_client_certificate_is_loaded_again(server: ApiServer, tmp_path: Path) -> None:
    assert server.authority is not None
    server.users.add("first")
    first, second = server.authority.issue("first"), server.authority.issue("second")
    config = server.kubeconfig(tmp_path / "config", user=embedded(first))
    with reflecting(connect(str(config), timing=QUICK)) as got:
        server.put(PODS, pod("a"))
        watched(got, "a")
        server.kubeconfig(config, user=embedded(second))
        server.users.add("second")
        server.users.remove("first")
        server.put(PODS, pod("b"))
        watched(got, "b")
        until(lambda: server.requests[-1].user == "second", "a request with the new certificate")
        assert "unauthorized" not in got.reasons()


def test_a_client_certificate_that_fails_the_handshake_is_loaded_again_once_it_changed(
    server: ApiServer, tmp_path: Path
) -> None:
    """A proxy in front of the API server that verifies certificates itself sends no 401."""
    assert server.authority is not None
    server.users.add("kspan")
    old = server.authority
    config = server.kubeconfig(tmp_path / "config", user=embedded(old.issue("kspan")))
    with reflecting(connect(str(config), timing=QUICK)) as got:
        server.put(PODS, pod("a"))
        watched(got, "a")
        server.stop()
        server.authority = Authority()
        server.start()
        until(lambda: "disconnected" in got.reasons(), "a disconnection")
        server.kubeconfig(config, user=embedded(server.authority.issue("kspan")))
        server.put(PODS, pod("b"))
        watched(got, "b")
    old.remove()


def with_ca(server: ApiServer) -> Json:
    assert server.authority is not None
    return {"certificate-authority-data": data(server.authority.path)}


def test_a_new_ca_and_address_of_the_api_server_are_read_from_the_kubeconfig(server: ApiServer, tmp_path: Path) -> None:
    old = server.authority
    assert old is not None
    config = server.kubeconfig(tmp_path / "config", cluster=with_ca(server))
    connection = connect(str(config), timing=QUICK)
    assert connection.find_cluster() == server.cluster_uid
    with reflecting(connection) as got:
        server.put(PODS, pod("a"))
        watched(got, "a")
        server.stop()
        server.authority, server.port = Authority(), 0
        server.start()
        until(lambda: "disconnected" in got.reasons(), "a disconnection")
        config.write_text("half of a")
        server.put(PODS, pod("b"))
        server.kubeconfig(config, cluster=with_ca(server))
        watched(got, "b")
    old.remove()


def test_another_cluster_with_the_same_name_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A local cluster was deleted and created again."""
    with ApiServer(token="t", https=True) as old, ApiServer(token="t", https=True) as new:
        config = old.kubeconfig(tmp_path / "config", cluster=with_ca(old))
        connection = connect(str(config), timing=QUICK)
        connection.find_cluster()
        with reflecting(connection) as got:
            old.put(PODS, pod("a"))
            watched(got, "a")
            old.stop()
            new.put(PODS, pod("of-another-cluster"))
            new.kubeconfig(config, cluster=with_ca(new))
            until(lambda: new.requests_seen("v1/namespaces", "get") >= 3, "it was asked for its uid")
            assert new.requests_seen(PODS) == 0
            old.start()
            old.put(PODS, pod("b"))
            watched(got, "b")
        assert seen(got) == {"a", "b"}
    assert caplog.text.count(f"is now cluster {new.cluster_uid} instead of {old.cluster_uid}") == 1


def test_the_context_is_the_one_that_was_current_at_the_start(tmp_path: Path) -> None:
    with ApiServer(token="t") as first, ApiServer(token="t") as second:
        config = first.kubeconfig(tmp_path / "config")
        connection = connect(str(config), timing=QUICK)
        content = json.loads(config.read_text())
        content["clusters"].append({"name": "other", "cluster": {"server": second.url}})
        content["contexts"].append({"name": "other", "context": {"cluster": "other", "user": "test"}})
        content["users"][0]["user"]["token"] = "new"
        config.write_text(json.dumps(content | {"current-context": "other"}))
        first.tokens.clear()
        first.tokens.add("new")
        connection.get("/api/v1/namespaces")
        assert first.requests[-1].status == 200
        assert not second.requests
        connection.close()


def test_an_api_server_with_an_unknown_ca_does_not_get_the_token(tmp_path: Path) -> None:
    other = Authority()
    with ApiServer(token="secret-token", https=True) as server:
        authority = {"certificate-authority-data": data(other.path)}
        config = server.kubeconfig(tmp_path / "config", cluster=authority)
        connection = connect(str(config), timing=QUICK)
        with pytest.raises(DisconnectedError, match="CERTIFICATE_VERIFY_FAILED"):
            connection.get("/api/v1/namespaces")
        connection.close()
        assert not server.requests
    other.remove()


# tokens and plugins ---------------------------------------------------------------------------------------------------


def test_a_newline_at_the_end_of_a_token_file_is_ignored(
    server: ApiServer, open_with: Callable[..., Connection], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    server.tokens.add("from-a-file")
    open_with({"tokenFile": str(tmp_path / "token")}).get("/api/v1/namespaces")


def test_an_invalid_token_is_not_part_of_the_error(open_with: Callable[..., Connection]) -> None:
    with pytest.raises(UnauthorizedError, match="characters") as caught:
        open_with({"token": "secret\r\nX-Evil: 1"}).get("/api/v1/namespaces")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_exec_plugin_can_return_a_client_certificate(
    server: ApiServer, open_with: Callable[..., Connection], tmp_path: Path
) -> None:
    assert server.authority is not None
    server.users.add("kspan")
    crt, key = server.authority.issue("kspan")
    user = plugin(tmp_path / "plugin", {"clientCertificateData": crt.read_text(), "clientKeyData": key.read_text()})
    open_with(user).get("/api/v1/namespaces")
    assert server.requests[-1].user == "kspan"


def test_an_exec_plugin_runs_again_only_when_its_token_has_expired(
    server: ApiServer, open_with: Callable[..., Connection], tmp_path: Path
) -> None:
    path = tmp_path / "plugin"
    server.tokens |= {"one", "two", "three"}
    connection = open_with(plugin(path, {"token": "one", "expirationTimestamp": "2100-01-01T00:00:00Z"}))
    for _ in range(3):
        connection.get("/api/v1/namespaces")
    assert (tmp_path / "runs").read_text().count("run") == 1
    connection = open_with(plugin(path, {"token": "two", "expirationTimestamp": "2020-01-01T00:00:00Z"}))
    plugin(path, {"token": "three", "expirationTimestamp": "2100-01-01T00:00:00Z"})
    connection.get("/api/v1/namespaces")
    connection.get("/api/v1/namespaces")
    assert (tmp_path / "runs").read_text().count("run") == 3
    assert server.requests[-1].headers["authorization"] == "Bearer three"


def test_a_failed_exec_plugin_is_an_error_with_its_output_and_no_request_is_sent(
    server: ApiServer, open_with: Callable[..., Connection], tmp_path: Path
) -> None:
    user = plugin(tmp_path / "plugin", {}, before="echo 'no such account' >&2; exit 3")
    with pytest.raises(KubeconfigError, match="no such account"):
        open_with(user)
    missing = {"apiVersion": EXEC, "command": "/no/such/plugin", "installHint": "get it from\n the shop"}
    with pytest.raises(KubeconfigError, match=r"/no/such/plugin.*get it from the shop"):
        open_with({"exec": missing})
    assert not server.requests


@pytest.mark.parametrize(
    "status, problem",
    [
        ({}, "has no token and no clientCertificateData"),
        ({"clientCertificateData": "x"}, "has no clientKeyData"),
        ({"token": "t", "expirationTimestamp": "soon"}, "'soon' is not an RFC 3339 time"),
    ],
)
def test_an_incomplete_answer_of_an_exec_plugin_is_an_error(
    open_with: Callable[..., Connection], tmp_path: Path, status: Json, problem: str
) -> None:
    with pytest.raises(KubeconfigError, match=f"user 'test', exec: .*{problem}"):
        open_with(plugin(tmp_path / "plugin", status))


@pytest.mark.parametrize("kind", ["exec", "auth-provider"])
def test_an_invalid_plugin_entry_is_an_error_of_one_line(open_with: Callable[..., Connection], kind: str) -> None:
    with pytest.raises(KubeconfigError, match=f"user 'test', {kind}: it has to be an object"):
        open_with({kind: "kubelogin"})


def test_while_an_exec_plugin_fails_the_old_token_is_used_until_it_is_rejected(
    server: ApiServer, open_with: Callable[..., Connection], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Renewal begins five minutes before a token expires."""
    path = tmp_path / "plugin"
    server.tokens.add("one")
    connection = open_with(plugin(path, {"token": "one", "expirationTimestamp": "2020-01-01T00:00:00Z"}))
    plugin(path, {}, before="echo 'away' >&2; exit 1")
    for _ in range(3):
        connection.get("/api/v1/namespaces")
    assert [record.getMessage() for record in caplog.records if "away" in record.getMessage()] == [
        "the credentials cannot be renewed: exec: process returned 1. away; the old ones are used"
    ]
    server.tokens.remove("one")
    with pytest.raises(UnauthorizedError, match="away"):
        connection.get("/api/v1/namespaces")


def test_a_kubeconfig_that_impersonates_is_an_error(open_with: Callable[..., Connection]) -> None:
    with pytest.raises(KubeconfigError, match="impersonates"):
        open_with({"token": "t", "as": "somebody"})


# OpenID Connect -------------------------------------------------------------------------------------------------------


def kept(config: Path) -> Json:
    """The settings of the provider in the kubeconfig file."""
    found: Json = yaml.safe_load(config.read_text())["users"][0]["user"]["auth-provider"]["config"]
    return found


def refreshed(provider: IdentityProvider, times: int) -> None:
    until(lambda: provider.refreshed >= times, f"{times} new tokens")


def test_a_valid_id_token_is_not_refreshed(
    server: ApiServer, provider: IdentityProvider, open_with: Callable[..., Connection]
) -> None:
    token = id_token(0, 3600)
    server.tokens.add(token)
    open_with(provider.user(token)).get("/api/v1/namespaces")
    assert provider.refreshed == 0


def test_an_expired_id_token_is_refreshed_and_saved_in_the_kubeconfig(
    server: ApiServer, provider: IdentityProvider, open_with: Callable[..., Connection], tmp_path: Path
) -> None:
    user = provider.user(id_token(0, -10))
    open_with(user).get("/api/v1/namespaces")
    assert provider.refreshed == 1
    settings = kept(tmp_path / "config")
    assert settings["refresh-token"] == provider.refresh_token == "refresh-1"
    assert f"Bearer {settings['id-token']}" == server.requests[-1].headers["authorization"]
    assert settings.keys() == user["auth-provider"]["config"].keys()


def test_a_watch_continues_while_id_tokens_expire(
    server: ApiServer, provider: IdentityProvider, tmp_path: Path
) -> None:
    """Each refresh token is valid for one use, so the newest one must be used."""
    provider.lifetime = 1.0
    config = server.kubeconfig(tmp_path / "config", user=provider.user(id_token(0, -10)))
    with reflecting(connect(str(config), timing=QUICK)) as got:
        for number in range(3):
            server.put(PODS, pod(f"pod-{number}"))
            watched(got, f"pod-{number}")
            server.tokens.clear()
            server.tokens.add("nobody-has-this")
            refreshed(provider, number + 2)
        assert "unauthorized" not in got.reasons()
    assert provider.refused == 0


def test_new_tokens_are_used_even_if_the_kubeconfig_is_not_writable(
    provider: IdentityProvider,
    open_with: Callable[..., Connection],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The test may run as root, who can write every file, so the error is raised by hand."""
    from kubernetes.config.kube_config import KubeConfigMerger

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(KubeConfigMerger, "save_config", refuse)
    open_with(provider.user(id_token(0, -10))).get("/api/v1/namespaces")
    assert "cannot be saved in the kubeconfig" in caplog.text


@pytest.mark.parametrize("token, reason", [("no-jwt", "gives no credentials"), (None, "id-token")])
def test_an_invalid_id_token_is_an_error(
    server: ApiServer, provider: IdentityProvider, open_with: Callable[..., Connection], token: str | None, reason: str
) -> None:
    user = provider.user(token or "")
    if token is None:
        del user["auth-provider"]["config"]["id-token"]
    with pytest.raises(KubeconfigError, match=reason):
        open_with(user)
    assert not server.requests


def test_a_refusal_or_outage_of_the_provider_is_an_error_of_one_line(
    provider: IdentityProvider, open_with: Callable[..., Connection]
) -> None:
    user = provider.user(id_token(0, -10))
    user["auth-provider"]["config"]["refresh-token"] = "used-up"
    with pytest.raises(KubeconfigError, match=r"auth-provider: .*invalid_grant"):
        open_with(user)
    user["auth-provider"]["config"]["idp-issuer-url"] = "https://127.0.0.1:9"
    with pytest.raises(KubeconfigError, match=r"auth-provider: .*Connection refused") as caught:
        open_with(user)
    assert "\n" not in str(caught.value)
    assert "client-secret" not in str(caught.value)


def test_a_provider_with_an_unknown_ca_gets_no_secrets(
    provider: IdentityProvider, open_with: Callable[..., Connection], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    user = provider.user(id_token(0, -10))
    del user["auth-provider"]["config"]["idp-certificate-authority"]
    with pytest.raises(KubeconfigError, match="CERTIFICATE_VERIFY_FAILED"):
        open_with(user)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(provider.authority.path))
    open_with(user).get("/api/v1/namespaces")
    assert provider.refreshed == 1
    assert "idp-certificate-authority" not in kept(tmp_path / "config")


def test_a_failed_refresh_is_retried(server: ApiServer, provider: IdentityProvider, tmp_path: Path) -> None:
    config = server.kubeconfig(tmp_path / "config", user=provider.user(id_token(0, 3600)))
    server.tokens.add(kept(config)["id-token"])
    with reflecting(connect(str(config), timing=QUICK)) as got:
        server.put(PODS, pod("a"))
        watched(got, "a")
        server.tokens.clear()
        server.tokens.add("nobody-has-this")
        used_up = provider.user(id_token(0, -10))
        used_up["auth-provider"]["config"]["refresh-token"] = "used-up"
        server.kubeconfig(config, user=used_up)
        until(lambda: provider.refused >= 2, "two refusals")
        server.put(PODS, pod("b"))
        server.kubeconfig(config, user=provider.user(id_token(0, -10)))
        watched(got, "b")
    assert "unauthorized" in got.reasons()


def test_errors_of_the_client_are_translated(open_with: Callable[..., Connection]) -> None:
    with pytest.raises(ApiError):
        open_with({"client-certificate-data": "eA==", "client-key-data": "eA=="}).get("/api/v1/namespaces")
