"""Runs commands in this process, and a daemon behind an API server."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from kspan import cli
from kspan.store import Store
from tests.apiserver import ApiServer
from tests.web.pages.site import site

NAMESPACE, SERVICE = "kspan", "kspan"


class Done(msgspec.Struct, frozen=True):
    """What a command did."""

    code: int
    out: bytes
    err: str

    @property
    def refused(self) -> str:
        """The only error line."""
        assert self.code == 2, (self.code, self.err)
        lines = [line for line in self.err.splitlines() if line.startswith("kspan: error: ")]
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("kspan: error: ")


class Terminal:
    """Runs ``kspan`` as a process would, with a pipe as standard output."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[bytes], home: Path) -> None:
        self._monkeypatch = monkeypatch
        self._captured = captured
        monkeypatch.setenv("KSPAN_CONFIG", "/dev/null")
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.delenv("KUBECONFIG", raising=False)

    def run(self, *args: object, kubectl: bool = False) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["kspan", *map(str, args)])
        self._captured.readouterr()
        code = cli._run(kubectl=kubectl)
        out, err = self._captured.readouterr()
        return Done(code, out, err.decode())


class Remote(msgspec.Struct, frozen=True):
    """A daemon with the history of a cluster in a database, behind an API server."""

    api: ApiServer
    kubeconfig: Path
    address: tuple[str, int]
    url: str
    cluster: str

    @property
    def flags(self) -> tuple[str, ...]:
        return (f"--remote={NAMESPACE}/{SERVICE}", f"--kubeconfig={self.kubeconfig}")

    @property
    def local(self) -> tuple[str, ...]:
        return (f"--db={self.url}", f"--cluster={self.cluster}")


@contextmanager
def remote(store: Store, url: str, cluster: str, path: Path) -> Iterator[Remote]:
    with site(store, cluster, serves_sql=True) as address, ApiServer(token="mine") as api:
        api.run_behind(NAMESPACE, SERVICE, address)
        yield Remote(api, api.kubeconfig(path / "kubeconfig"), address, url, cluster)
