"""``kspan run`` with a pod's service account, and with credential sources that hang."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from kspan.store import open_store
from tests.apiserver import ApiServer
from tests.apiserver.certificate import Authority
from tests.daemon.small_cluster import Process, wait_until
from tests.ingest.watch.client.identity import IdentityProvider, id_token
from tests.limits import HANG_S

MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

IN_A_POD = f"""
mount -t tmpfs tmpfs /var/run &&
mkdir -p {MOUNT} &&
mount --bind "$0" {MOUNT} &&
exec "$@"
"""
"""Where the kubelet mounts the token, in a mount namespace of its own: this machine sees nothing of it."""

DEPLOYMENTS = "apps/v1/deployments"


class Volume:
    """A projected volume, as the kubelet writes it: files that link into a folder that is replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._versions = itertools.count(1)
        for name in ("token", "ca.crt", "namespace"):
            (folder / name).symlink_to(Path("..data") / name)

    def write(self, token: str, authority: Authority) -> None:
        version = self.folder / f"..2026_11_25_{next(self._versions)}"
        version.mkdir()
        (version / "token").write_text(token)
        (version / "ca.crt").write_bytes(authority.path.read_bytes())
        (version / "namespace").write_text("kspan")
        fresh = self.folder / "..data_tmp"
        fresh.symlink_to(version.name)
        fresh.replace(self.folder / "..data")


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer(token="first", https=True) as running:
        yield running


@pytest.fixture
def volume(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Volume:
    """The volume and the environment of a pod of this cluster."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    made = Volume(tmp_path / "serviceaccount")
    assert server.authority is not None
    made.write("first", server.authority)
    return made


def in_pod(volume: Volume, database: Path) -> Process:
    starter = ["unshare", "--mount", "sh", "-c", IN_A_POD, str(volume.folder)]
    return Process(None, database, ["none"], starter=starter)


def create(server: ApiServer, name: str) -> None:
    server.put(DEPLOYMENTS, {"metadata": {"name": name, "namespace": "default"}, "spec": {"replicas": 0}})


def journalled(daemon: Process, count: int) -> None:
    wait_until(lambda: f'kspan_records_total{{type="ADDED"}} {count}.0' in daemon.get("/metrics")[1])


def disconnections(daemon: Process) -> float:
    lines = [line for line in daemon.get("/metrics")[1].splitlines() if 'reason="disconnected"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines if "_created" not in line)


def names(database: Path, cluster: str) -> list[str]:
    with open_store(str(database), read_only=True) as store:
        records = [record for run in store.replay(cluster) for _, record in run]
    return [record.name for record in records if record.resource == DEPLOYMENTS and record.name]


def test_in_a_pod_the_service_account_is_used_and_its_new_tokens_are_read(
    server: ApiServer, volume: Volume, tmp_path: Path
) -> None:
    database = tmp_path / "db"
    with in_pod(volume, database) as daemon:
        daemon.wait_ready()
        create(server, "one")
        journalled(daemon, 1)
        assert {r.headers["authorization"] for r in server.requests if "authorization" in r.headers} == {"bearer first"}
        assert server.authority is not None
        volume.write("second", server.authority)
        server.tokens.add("second")
        server.tokens.remove("first")
        server.stop()
        server.start()
        create(server, "two")
        journalled(daemon, 2)
        assert "unauthorized" not in daemon.get("/metrics")[1]
        assert daemon.ends() == 0
        assert "first" not in daemon.log
        assert "second" not in daemon.log
    assert names(database, server.cluster_uid) == ["one", "two"]


def test_in_a_pod_a_new_ca_is_read(server: ApiServer, volume: Volume, tmp_path: Path) -> None:
    old, database = server.authority, tmp_path / "db"
    assert old is not None
    with in_pod(volume, database) as daemon:
        daemon.wait_ready()
        create(server, "one")
        journalled(daemon, 1)
        server.stop()
        server.authority = Authority()
        server.start()
        create(server, "two")
        asked, failed = len(server.requests), disconnections(daemon)
        wait_until(lambda: disconnections(daemon) > failed + 20)
        assert len(server.requests) == asked, "the token is sent only to a server whose certificate is verified"
        volume.write("first", server.authority)
        journalled(daemon, 2)
        assert daemon.ends() == 0
    old.remove()
    assert names(database, server.cluster_uid) == ["one", "two"]


def test_in_a_pod_without_a_token_the_error_names_the_missing_file(
    server: ApiServer, volume: Volume, tmp_path: Path
) -> None:
    (volume.folder / "token").unlink()
    with in_pod(volume, tmp_path / "db") as daemon:
        assert daemon.process.wait(HANG_S) == 2
        assert "the pod's service account: Service token file does not exist" in daemon.log


def test_a_credential_plugin_that_hangs_does_not_delay_the_stop(server: ApiServer, tmp_path: Path) -> None:
    """It is asked for a new token, and does not answer; every stream waits for it."""
    plugin, hangs = tmp_path / "plugin", tmp_path / "hangs"
    credential = (
        '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
        '"status":{"token":"first","expirationTimestamp":"2020-01-01T00:00:00Z"}}'
    )
    plugin.write_text(
        f"#!/bin/sh\n"
        f"if test -e '{hangs}'; then touch '{hangs}.asked'; exec sleep {2 * HANG_S}; fi\n"
        f"echo '{credential}'\n"
    )
    plugin.chmod(0o755)
    run = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}
    config = server.kubeconfig(tmp_path / "config", user={"exec": run})
    with Process(config, tmp_path / "db", ["none"]) as daemon:
        daemon.wait_ready()
        hangs.touch()
        server.stop()
        server.start()
        wait_until(Path(f"{hangs}.asked").exists)
        assert daemon.ends() == 0


def test_an_identity_provider_that_hangs_does_not_delay_the_stop(server: ApiServer, tmp_path: Path) -> None:
    with IdentityProvider(server.tokens.add) as provider:
        token = id_token(0, 3600)
        server.tokens.add(token)
        config = server.kubeconfig(tmp_path / "config", user=provider.user(token))
        with Process(config, tmp_path / "db", ["none"]) as daemon:
            daemon.wait_ready()
            provider.hangs.set()
            server.kubeconfig(config, user=provider.user(id_token(0, -10)))
            server.tokens.remove(token)
            server.stop()
            server.start()
            wait_until(lambda: provider.held > 0)
            assert daemon.ends() == 0
