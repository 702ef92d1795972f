"""Writes kubeconfig files."""

import json
from pathlib import Path

from tests.apiserver.resources import Json


def write_kubeconfig(path: Path, cluster: Json, user: Json) -> None:
    """Write a kubeconfig with one context.

    The file is replaced, as kubectl does: a client that reads at this moment finds the whole old or the whole new file.
    """
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(config), encoding="utf-8")
    fresh.replace(path)
