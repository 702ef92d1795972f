"""The spans of an undisturbed run, computed once, with which all acceptance tests compare."""

import fcntl
import json
from collections.abc import Callable

import pytest

from tests.acceptance.harness import run

Undisturbed = Callable[[str], dict[str, str]]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Undisturbed:
    """The spans of a recording that was served to a daemon in peace, by id. Half a minute, once a session."""
    base = tmp_path_factory.getbasetemp()
    # Several processes share the tests, and their folders' parent.
    shared = base if worker_id == "master" else base.parent

    def spans(scenario: str) -> dict[str, str]:
        kept = shared / f"undisturbed-{scenario}.json"
        with kept.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                kept.write_text(json.dumps(run(scenario, shared / f"undisturbed-{scenario}")))
        found: dict[str, str] = json.loads(kept.read_text())
        return found

    return spans
