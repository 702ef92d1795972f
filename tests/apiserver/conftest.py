from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver import ApiServer
from tests.apiserver.client import Client

TOKEN = "test-token"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer(token=TOKEN) as running:
        yield running


@pytest.fixture
def client(server: ApiServer, tmp_path: Path) -> Iterator[Client]:
    with Client(server.kubeconfig(tmp_path / "kubeconfig")) as opened:
        yield opened


@pytest.fixture
def pod() -> Callable[..., dict[str, Any]]:
    def make(name: str, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}

    return make
