"""`kspan ui` opens the page of a database, or of the daemon in the cluster over a forwarded port."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.apiserver.port_forward import PORT_FORWARD
from tests.cli.sources.commands import Remote, Terminal
from tests.limits import HANG_S
from tests.web.test_server import ask

URL = re.compile(r"http://([\d.]+):(\d+)")


@contextmanager
def opened(home: Path, *args: object) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    """Run ``kspan ui``; yields the process and the address that a browser was told to open."""
    told, browser = home / "told", home / "browser"
    os.mkfifo(told)
    browser.write_text(f'#!/bin/sh\necho "$1" > {told}\n')
    browser.chmod(0o755)
    env = os.environ | {"KSPAN_CONFIG": os.devnull, "HOME": str(home), "BROWSER": f"{browser} %s"}
    command = [sys.executable, "-m", "kspan", "ui", *map(str, args)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            match = URL.search(told.read_text())
            assert match is not None
            yield process, (match[1], int(match[2]))
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_page_of_the_daemon_is_at_a_local_address(daemon: Remote, tmp_path: Path, number: signal.Signals) -> None:
    with opened(tmp_path, *daemon.flags) as (process, address):
        for _ in range(3):
            status, body, headers = ask(address, "/traces")
            assert (status, headers["content-type"][:9], body[:9]) == (200, "text/html", "<!doctype")
        assert ask(address, "/static/app.css")[1] == ask(daemon.address, "/static/app.css")[1]
        process.send_signal(number)
        assert process.wait(HANG_S) == 0
        assert process.stderr is not None
        assert re.fullmatch(r"kspan: kspan/kspan is at http://127.0.0.1:\d+ until Ctrl-C\n", process.stderr.read())
    assert daemon.api.requests_seen(PORT_FORWARD) == 5


def test_the_page_of_a_database_is_at_a_local_address(history: str, tmp_path: Path) -> None:
    with opened(tmp_path, "--db", history, "--cluster", "03-crashloop") as (process, address):
        assert address[0] == "127.0.0.1"
        assert ask(address, "/traces")[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(HANG_S) == 0


def test_a_connection_that_cannot_be_forwarded_is_closed_and_reported(daemon: Remote, tmp_path: Path) -> None:
    with opened(tmp_path, *daemon.flags) as (process, address):
        daemon.api.patch("v1/pods", "kspan", "kspan-0", {"status": {"conditions": []}})
        with pytest.raises(ConnectionError):
            ask(address, "/traces")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=HANG_S)
    assert "kspan: a connection is not forwarded: --remote: no Pod behind kspan/kspan is ready" in errors


def test_without_the_right_to_forward_ports_it_is_named(daemon: Remote, terminal: Terminal) -> None:
    daemon.api.forbid(PORT_FORWARD, "create")
    assert terminal.run("ui", "--no-browser", *daemon.flags).refused == (
        "--remote: you may not forward a port of kspan/kspan (get services, list pods, create pods/portforward): let "
        "somebody grant the right: kubectl -n kspan create role kspan-pages --verb=get,list,create "
        "--resource=services,pods,pods/portforward && kubectl -n kspan create rolebinding kspan-pages "
        "--role=kspan-pages --user=kspan"
    )


def test_it_is_for_this_machine_only(daemon: Remote, terminal: Terminal) -> None:
    for flags in (daemon.flags, daemon.local):
        message = terminal.run("ui", "--no-browser", "--listen", "0.0.0.0:0", *flags).refused
        assert message.startswith("--listen 0.0.0.0:0 can be reached from other machines")
