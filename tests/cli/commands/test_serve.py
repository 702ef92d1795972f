"""`kspan serve` as a user meets it: a real process that is asked over HTTP."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.pipeline.replay import replay
from kspan.store import open_store
from tests.cli.commands.test_commands import kspan, refused
from tests.limits import HANG_S
from tests.recordings import recording
from tests.web.test_server import TOKEN, ask

LINE = re.compile(r"kspan: serving .* at http://([\d.]+):(\d+) until Ctrl-C\n")


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rolling update, replayed."""
    path = tmp_path_factory.mktemp("served") / "db.sqlite"
    with open_store(str(path)) as store:
        replay(store, read_frames([str(recording("02-rolling-update"))]), built_in_rules())
    return path


@contextmanager
def serving(*args: object) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    command = [sys.executable, "-m", "kspan", "serve", *map(str, args)]
    env = os.environ | {"KSPAN_CONFIG": os.devnull}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            match = LINE.fullmatch(line)
            assert match is not None, line
            yield process, (match[1], int(match[2]))
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_answers_until_it_is_stopped(db: Path, number: signal.Signals) -> None:
    with serving("--db", db, "--listen", "127.0.0.1:0") as (process, address):
        assert ask(address, "/healthz")[:2] == (200, "ok\n")
        assert "kubectl" in json.loads(ask(address, "/api/services")[1])["data"]
        assert ask(address, "/nothing")[0] == 404
        process.send_signal(number)
        assert process.wait(HANG_S) == 0


def test_a_read_only_copy_is_served(db: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(db.read_bytes())
    copy.chmod(0o444)
    with serving("--db", copy, "--listen", "127.0.0.1:0") as (_, address):
        assert "kubectl" in json.loads(ask(address, "/api/services")[1])["data"]


def test_with_a_token_file_the_token_is_needed(db: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with serving("--db", db, "--listen", "127.0.0.1:0", "--auth-token-file", tmp_path / "token") as (_, address):
        assert ask(address, "/api/services")[0] == 401
        assert ask(address, "/api/services", headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200
        assert ask(address, "/healthz")[0] == 200


def test_other_machines_are_served_only_if_that_is_said(db: Path) -> None:
    message = refused(kspan("serve", "--db", db, "--listen", ":0"))
    assert message.startswith(
        "--listen :0 can be reached from other machines: give --auth-token-file, --auth kubernetes, or --insecure-no"
    )
    with serving("--db", db, "--listen", ":0", "--insecure-no-auth") as (_, (_, port)):
        assert ask(("127.0.0.1", port), "/api/services", headers={"Host": "kspan.example"})[0] == 200


@pytest.mark.parametrize(
    "content, expected",
    [
        (None, "token: no such file"),
        (b"", "the token has to have at least 16 characters and no blanks: make one with 'openssl rand -hex 32'"),
        (b"two words that are long", "the token has to have at least 16 characters and no blanks"),
        (b"\xff" * 20, "the token has to be ASCII"),
    ],
    ids=["missing", "empty", "blanks", "binary"],
)
def test_an_unusable_token_is_refused(db: Path, tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    assert expected in refused(kspan("serve", "--db", db, "--auth-token-file", path))


def test_a_missing_database_and_a_taken_address_are_refused(db: Path, tmp_path: Path) -> None:
    assert "no such database" in refused(kspan("serve", "--db", tmp_path / "missing.sqlite"))
    with serving("--db", db, "--listen", "127.0.0.1:0") as (_, (_, port)):
        assert "in use" in refused(kspan("serve", "--db", db, "--listen", f"127.0.0.1:{port}"))
