"""Configuration as the official client reads it, and errors in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kspan.ingest.watch import ApiError, KubeconfigError, connect
from tests.ingest.watch.scripted import Reply, Request, ScriptedServer
from tests.ingest.watch.watching import QUICK, connection_to, kubeconfig
from tests.permissions import shared_folder, unprivileged


def version(request: Request, reply: Reply) -> None:
    reply.json({"path": request.path, "query": request.query, "token": request.headers.get("authorization", "")})


def test_a_document_is_requested_with_the_token_of_the_kubeconfig(tmp_path: Path) -> None:
    with ScriptedServer(version) as server:
        connection = connection_to(server.url, tmp_path)
        answer = connection.get_json("/version", {"a": "b c"})
        connection.close()
    assert connection.host == server.url
    assert answer == {"path": "/version", "query": {"a": "b c"}, "token": "Bearer secret-token"}


def test_the_kubeconfig_can_be_set_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path / "config", "http://127.0.0.1:9"))
    assert connect(None, None).host == "http://127.0.0.1:9"


def test_a_context_can_be_chosen(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", "http://127.0.0.1:9")
    config = json.loads(Path(path).read_text())
    config["clusters"].append({"name": "other", "cluster": {"server": "http://127.0.0.1:10"}})
    config["contexts"].append({"name": "other", "context": {"cluster": "other", "user": "test"}})
    Path(path).write_text(json.dumps(config))
    assert connect(path, "other").host == "http://127.0.0.1:10"


@pytest.mark.skipif(sys.platform == "win32", reason="the plugin is a shell script")
def test_an_exec_plugin_can_return_a_token(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    status = (
        '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"from-a-plugin"}}'
    )
    plugin.write_text(f"#!/bin/sh\necho '{status}'\n")
    plugin.chmod(0o755)
    with ScriptedServer(version) as server:
        path = kubeconfig(tmp_path / "config", server.url)
        config = json.loads(Path(path).read_text())
        run = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}
        config["users"][0]["user"] = {"exec": run}
        Path(path).write_text(json.dumps(config))
        connection = connect(path, timing=QUICK)
        assert connection.get_json("/version")["token"] == "Bearer from-a-plugin"
        connection.close()


@pytest.mark.parametrize(
    "text, context",
    [("", None), ("[]", None), ("{", None), ("a: b", None), ("{clusters: [], contexts: [], users: []}", "none")],
)
def test_an_invalid_kubeconfig_is_an_error_of_one_line_with_its_name(
    tmp_path: Path, text: str, context: str | None
) -> None:
    path = tmp_path / "broken"
    path.write_text(text)
    with pytest.raises(KubeconfigError) as caught:
        connect(str(path), context)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_any_configuration_the_error_states_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(KubeconfigError, match="--kubeconfig"):
        connect()
    with pytest.raises(KubeconfigError, match="no such file"):
        connect(str(tmp_path / "missing"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "9")
    with pytest.raises(KubeconfigError, match="service account"):
        connect()


def test_an_unreadable_kubeconfig_is_an_error_of_one_line_even_if_another_one_can_be_read(tmp_path: Path) -> None:
    with shared_folder() as folder:
        mine = kubeconfig(folder / "mine", "http://127.0.0.1:9")
        Path(mine).chmod(0o644)
        theirs = folder / "theirs"
        theirs.touch(mode=0)
        closed = folder / "closed"
        closed.mkdir(mode=0)
        for path in (str(theirs), f"{mine}:{theirs}"):
            with unprivileged(), pytest.raises(KubeconfigError, match=f"^{theirs}: permission denied$"):
                connect(path)
        with unprivileged(), pytest.raises(KubeconfigError, match=f"^{closed}/config: permission denied$"):
            connect(f"{closed}/config")
        with unprivileged():
            assert connect(f"{mine}:{folder}/missing").host == "http://127.0.0.1:9"
    with pytest.raises(KubeconfigError, match=f"^{tmp_path}: is a directory$"):
        connect(str(tmp_path))


def test_the_kubeconfig_of_an_inaccessible_home_directory_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with shared_folder() as folder:
        monkeypatch.setenv("HOME", str(folder / "home"))
        (folder / "home").mkdir(mode=0)
        with unprivileged(), pytest.raises(KubeconfigError, match="no kubeconfig found"):
            connect()


@pytest.mark.parametrize(
    "code, name",
    [
        (403, "ForbiddenError"),
        (404, "NotFoundError"),
        (410, "GoneError"),
        (500, "ServerError"),
        (429, "TooManyRequestsError"),
    ],
)
def test_each_http_status_has_its_own_error_class(tmp_path: Path, code: int, name: str) -> None:
    def answer(request: Request, reply: Reply) -> None:
        reply.json({"kind": "Status", "message": "this is why"}, code, {"Retry-After": "7"})

    with ScriptedServer(answer) as server:
        connection = connection_to(server.url, tmp_path)
        with pytest.raises(ApiError, match=f"{code} this is why") as caught:
            connection.get("/x")
        connection.close()
    assert type(caught.value).__name__ == name
    assert caught.value.retry_after == 7


def test_the_error_of_an_unreachable_api_server_does_not_contain_the_token(tmp_path: Path) -> None:
    with pytest.raises(ApiError) as caught:
        connection_to("http://127.0.0.1:9", tmp_path).get("/x")
    assert type(caught.value).__name__ == "DisconnectedError"
    assert "secret-token" not in str(caught.value)


def test_importing_the_package_does_not_import_the_client() -> None:
    code = "import sys, kspan.ingest.watch; sys.exit(any(m.startswith(('kubernetes', 'urllib3')) for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False).returncode == 0


def test_connecting_imports_no_models_of_the_api() -> None:
    code = (
        "import sys; from kubernetes.client.api_client import ApiClient; import kubernetes.config; "
        "sys.exit(any(m.startswith(('kubernetes.client.models.', 'kubernetes.client.api.')) for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False).returncode == 0


def test_an_unknown_context_is_reported_with_those_of_the_kubeconfig(tmp_path: Path) -> None:
    path = tmp_path / "config"
    entry = {"cluster": "c", "user": "u"}
    path.write_text(json.dumps({"contexts": [{"name": name, "context": entry} for name in ("a", "b")]}))
    with pytest.raises(KubeconfigError) as raised:
        connect(str(path), "nope")
    assert str(raised.value) == f"{path}: no context 'nope': use one of a, b"
