"""`kubectl kspan` asks the daemon in the cluster, and completes its words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.sources.commands import Remote, Terminal

TRACES = ("traces", "--limit", "1")


def test_kubectl_kspan_asks_the_daemon_unless_told_otherwise(
    daemon: Remote, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = terminal.run(*TRACES, *daemon.local)
    monkeypatch.setenv("KUBECONFIG", str(daemon.kubeconfig))
    assert terminal.run(*TRACES, kubectl=True) == local
    passed = len(daemon.api.backends.received)
    assert passed
    assert terminal.run(*TRACES, *daemon.local, kubectl=True) == local
    off = ("--remote=off", f"--cluster={daemon.cluster}")
    monkeypatch.setenv("KSPAN_DB", daemon.url)
    assert terminal.run(*TRACES, *off, kubectl=True) == local
    assert len(daemon.api.backends.received) == passed


def test_the_settings_file_can_name_the_service(daemon: Remote, terminal: Terminal, tmp_path: Path) -> None:
    local = terminal.run(*TRACES, *daemon.local)
    daemon.api.forbid("v1/services", "list")
    (tmp_path / "config.toml").write_text(f'remote = "kspan/kspan"\nkubeconfig = "{daemon.kubeconfig}"\n')
    for kubectl in (False, True):
        assert terminal.run("--config", tmp_path / "config.toml", *TRACES, kubectl=kubectl) == local


def test_the_help_shows_how_the_plugin_is_called(terminal: Terminal) -> None:
    assert b"Usage: kubectl kspan why" in terminal.run("why", "--help", kubectl=True).out


@pytest.mark.parametrize(
    "words, expected",
    [
        (("why", "deploym"), ["deployment/"]),
        (("why", "-n", "rolling-update", "rs/web-f"), ["rs/web-f7b9868c4"]),
        (("traces", "--status", "o"), ["ok", "open"]),
        (("timeline", "-n", "roll"), ["rolling-update"]),
        (("trace", "e32771"), ["e32771ad6a57"]),
        (("why", "pod/nothing"), []),
    ],
)
def test_kubectl_completes_words_of_the_daemon(
    daemon: Remote, words: tuple[str, ...], expected: list[str], tmp_path: Path
) -> None:
    lines = completed(daemon, tmp_path, *words)
    assert lines[-1] == ":4"
    assert [line[:12] for line in lines[:-1]] == [word[:12] for word in expected]


def test_a_daemon_that_cannot_be_asked_offers_nothing(daemon: Remote, tmp_path: Path) -> None:
    daemon.api.stop()
    assert completed(daemon, tmp_path, "why", "rs/web") == [":4"]


def completed(daemon: Remote, home: Path, *words: str) -> list[str]:
    program = Path(sys.executable).with_name("kubectl_complete-kspan")
    environment = {**os.environ, "KUBECONFIG": str(daemon.kubeconfig), "KSPAN_CONFIG": os.devnull, "HOME": str(home)}
    done = subprocess.run([program, *words], check=True, capture_output=True, text=True, env=environment)
    assert done.stderr == ""
    return done.stdout.splitlines()
