"""The commands in README, CONTRIBUTING and docs/ work as written, and print what is shown.

Blocks marked ``sh`` contain commands. Unmarked blocks contain commands after ``$ `` and their output, in which ``…``
stands for omitted text. The blocks of a document run in order in one folder that looks like a checkout.
"""

import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.pipeline.replay import replay
from kspan.store import open_store
from tests.apiserver import ApiServer
from tests.emit.receivers import run_rotel
from tests.postgres import PASSWORD, USER, PostgresServer
from tests.recordings import recording
from tests.web.pages.site import site

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]

NOT_RUN = {
    "make test": "runs this test",
    ".venv/bin/pytest": "runs inside of a test run",
    "make bench": "takes minutes, and needs a large recording",
    "make growth": "takes minutes, and needs a large recording",
    "python -m benchmarks": "takes minutes, and needs a large recording",
    "pip install": "needs a package registry",
    "make dist": "needs a package registry",
    "pipx": "`make dist` runs it",
    "uvx": "does what pipx does",
    "make image": "takes minutes; `make image-test` runs it",
    "apt-get": "installs programs",
    "docker": "needs a container engine",
    "kubectl": "needs a cluster that kubectl can reach",
}
"""Commands, by their first words, that cannot run here, and why."""

WATCHED = ("apps/v1/deployments", "apps/v1/replicasets", "v1/events", "v1/pods")
LIMIT = 120.0
"""Seconds until a command counts as hung."""


class Step(NamedTuple):
    """A command, and the lines that it should print (None: not shown)."""

    command: str
    output: list[str] | None


def steps(text: str) -> Iterator[Step]:
    """Yield the commands of a document in order."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        if language == "sh":
            for line in re.sub(r"(\\|\|)\n", r"\1 ", block).replace("\\ ", " ").splitlines():
                command = re.sub(r"(^|\s+)# .*$", "", line).strip()
                if command:
                    yield Step(command, None)
        elif not language:
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, *output = part.rstrip("\n").splitlines()
                yield Step(command, output)


def matches(shown: list[str], printed: str) -> bool:
    """Return whether the output is the text that is shown, apart from omissions."""
    lines = ["(?:.*\n)*" if line.strip() == "…" else _pattern(line) for line in shown]
    return re.fullmatch("".join(lines), "".join(f"{line.rstrip()}\n" for line in printed.splitlines())) is not None


def _pattern(line: str) -> str:
    return ".*".join(re.escape(part.rstrip() if last else part) for part, last in _parts(line)) + " *\n"


def _parts(line: str) -> list[tuple[str, bool]]:
    parts = line.split("…")
    return [(part, number == len(parts) - 1) for number, part in enumerate(parts)]


class Shell:
    """Runs one command after another; the working directory and the environment carry over."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self.environment = environment
        self._server: subprocess.Popen[str] | None = None
        self._address = ""

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. Commands that watch a cluster are interrupted when they have seen a rollout."""
        if re.match(r"kspan (run|record)\b", command):
            return self._watch(command)
        if command.startswith("kspan serve"):
            return self._serve(command)
        if command.startswith("kspan --remote"):
            return self._remote(command)
        if command == "kspan sql":
            return self._prompt(command)
        # The server of the tests has a port that the system chose.
        command = command.replace("127.0.0.1:8474", self._address) if "curl" in command else command
        state = self._folder / ".state"
        script = f"set -o pipefail\n{command}\ncode=$?\nenv -0 > {shlex.quote(str(state))}\nexit $code"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        pairs = (pair.partition("=") for pair in state.read_text().split("\0") if pair)
        self.environment = {name: value for name, _, value in pairs if name not in ("_", "SHLVL", "PWD")}
        return done

    def _watch(self, command: str) -> subprocess.CompletedProcess[str]:
        with ApiServer() as server:
            server.kubeconfig(self._folder / "kubeconfig")
            replay = server.serve_recording(recording("02-rolling-update"), 0, wait_for=WATCHED)
            started = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self._folder,
                env=self.environment | {"KUBECONFIG": str(self._folder / "kubeconfig")},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            deadline = time.monotonic() + LIMIT
            while started.poll() is None and (replay.done < replay.total or server.open_watches() < len(WATCHED)):
                assert time.monotonic() < deadline, f"{command}: no rollout after {LIMIT:.0f} s"
                time.sleep(0.05)
            started.send_signal(signal.SIGINT)
            output, errors = started.communicate(timeout=LIMIT)
        return subprocess.CompletedProcess(command, started.returncode, output, errors)

    def _serve(self, command: str) -> subprocess.CompletedProcess[str]:
        self.stop_server()
        started = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self._folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert started.stderr is not None
        first = started.stderr.readline()
        self._server, self._address = started, "".join(re.findall(r"https?://(\S+)", first))
        return subprocess.CompletedProcess(command, 0 if self._address else 1, "", first)

    def stop_server(self) -> None:
        """Interrupt ``kspan serve``, which went on for the commands after it."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            errors = self._server.communicate(timeout=LIMIT)[1]
            assert self._server.returncode == 0, errors
            self._server = None

    def _remote(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command that asks a daemon with the history of the demo, behind an API server."""
        database = str(self._folder / "remote.sqlite")
        with open_store(database) as store:
            replay(store, read_frames([str(recording("02-rolling-update"))]), built_in_rules())
        (self._folder / "token").write_text("token-of-a-reader")
        with (
            open_store(database, read_only=True) as store,
            site(store, store.clusters()[0]) as address,
            ApiServer() as server,
        ):
            server.run_behind("kspan", "kspan", address)
            server.kubeconfig(self._folder / "kubeconfig")
            return subprocess.run(
                ["bash", "-c", command],
                cwd=self._folder,
                env=self.environment | {"KUBECONFIG": str(self._folder / "kubeconfig")},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=False,
            )

    def _prompt(self, command: str) -> subprocess.CompletedProcess[str]:
        main, side = pty.openpty()
        started = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self._folder,
            env=self.environment | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
            stdin=side,
            stdout=side,
            stderr=side,
            start_new_session=True,
        )
        os.close(side)
        shown, deadline = b"", time.monotonic() + LIMIT
        while b"kspan>" not in shown:
            assert time.monotonic() < deadline, f"no prompt but {shown!r}"
            if select.select([main], [], [], 0.2)[0]:
                shown += os.read(main, 65536)
        os.write(main, b"\x04")
        code = started.wait(LIMIT)
        os.close(main)
        return subprocess.CompletedProcess(command, code, shown.decode(), "")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the parts of a checkout that the documents use; its ``.venv`` is the environment of the tests."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / ".venv" / ".installed").touch()
    return tmp_path


@pytest.fixture
def shell(checkout: Path, request: pytest.FixtureRequest) -> Iterator[Shell]:
    """A shell in the checkout, with an OTLP receiver. Only outside of README is kspan on the PATH from the start."""
    venv = str(Path(sys.executable).parent)
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder != venv]
    if request.node.callspec.params.get("document") != "README.md":
        folders.insert(0, venv)
    with run_rotel(checkout, detailed=False) as rotel:
        environment = {
            "PATH": os.pathsep.join(folders),
            "HOME": str(checkout),
            "LANG": "C.UTF-8",
            "COLUMNS": "105",
            "KSPAN_LISTEN": "127.0.0.1:0",
            "OTEL_EXPORTER_OTLP_ENDPOINT": rotel.http_endpoint,
        }
        made = Shell(checkout, environment)
        yield made
        made.stop_server()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_commands_of_a_document_work_in_order(document: str, shell: Shell, request: pytest.FixtureRequest) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    if "postgresql" in "".join(step.command for step in steps(text)):
        text = _use_postgres(text, shell, request.getfixturevalue("postgres"))
    # The receiver of the tests has another port than the standard one, which can be in use.
    text = re.sub(r"^export OTEL_EXPORTER_OTLP_ENDPOINT=.*$", "", text, flags=re.MULTILINE)
    for step in steps(text):
        if step.command.startswith(tuple(NOT_RUN)):
            continue
        done = shell.run(step.command)
        assert done.returncode == 0, f"{step.command}: exit code {done.returncode}\n{done.stderr}"
        if step.output is not None:
            assert matches(step.output, done.stdout), f"{step.command} prints\n{done.stdout}"


def _use_postgres(text: str, shell: Shell, postgres: PostgresServer) -> str:
    """Create the database ``kspan``, and put its server into psql's environment and into the URLs of a document."""
    postgres.drop("kspan")
    postgres.execute("CREATE DATABASE kspan")
    shell.environment |= {
        "PATH": f"{shell.environment['PATH']}{os.pathsep}{postgres.programs}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres.port),
        "PGUSER": USER,
        "PGPASSWORD": PASSWORD,
    }
    server = f"postgresql+psycopg://{USER}:{PASSWORD}@127.0.0.1:{postgres.port}/kspan"
    return re.sub(r"postgresql(?:\+psycopg)?://[^/\s]*/kspan", server, text)


def test_the_tree_in_the_readme_is_printed_by_the_demo(checkout: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"^```\n(✓.*?)^…\n```$", text, re.DOTALL | re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-m", "kspan", "demo", "--db", str(checkout / "demo.sqlite")],
        env=os.environ | {"COLUMNS": "105"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert tree in "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def test_each_exception_is_needed() -> None:
    commands = [step.command for name in DOCUMENTS for step in steps((ROOT / name).read_text(encoding="utf-8"))]
    unused = [words for words in NOT_RUN if not any(command.startswith(words) for command in commands)]
    assert unused == []


def test_the_architecture_document_names_existing_code() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:kspan/|tests/)?[\w/]+(?:\.py|/))`", text)
    missing = [path for path in paths if not (ROOT / path).exists() and not (ROOT / "kspan" / path).exists()]
    assert missing == []
    names = [
        (name.rpartition(".")[2], path)
        for names, path in re.findall(r"((?:`[\w.]+`(?:,| or| and)?\s+)+)\(`([\w/]+\.py)`\)", text)
        for name in re.findall(r"`([\w.]+)`", names)
    ]
    assert len(names) > 50
    unknown = [
        f"{name} in {path}"
        for name, path in names
        if not re.search(rf"^\s*(?:def|class) {name}\b|^{name}\b", (ROOT / "kspan" / path).read_text(), re.MULTILINE)
    ]
    assert unknown == []


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_readme_names_the_entry_points_of_the_makefile(target: str) -> None:
    assert f"make {target}" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
