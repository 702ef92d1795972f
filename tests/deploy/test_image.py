"""The image is built and run for real. ``make image-test`` runs this; it takes minutes, so ``make test`` does not.

``KSPAN_IMAGE``: an archive to test, without building it.
"""

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kspan import __version__
from kspan.store import open_store
from tests.apiserver import ApiServer
from tests.deploy import image as built
from tests.deploy.chart import ROOT
from tests.deploy.image import DIST, Container, Image
from tests.deploy.test_manifests import Deployed
from tests.emit.receivers import free_ports, run_rotel, wait_until
from tests.recordings import recording

SIZE_LIMIT = 100_000_000
"""Bytes, compressed."""

WATCHED = ("v1/events", "v1/pods", "apps/v1/replicasets", "apps/v1/deployments")


@pytest.fixture(scope="module")
def image() -> Image:
    if "KSPAN_IMAGE" not in os.environ:
        built.build()
    return Image(Path(os.environ.get("KSPAN_IMAGE", DIST / f"kspan-{__version__}.oci.tar")))


@pytest.fixture(scope="module")
def root(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    folder.chmod(0o755)
    image.unpack(folder)
    return folder


@pytest.fixture
def container(image: Image, root: Path, tmp_path: Path) -> Container:
    data, secrets = tmp_path / "data", tmp_path / "secrets"
    data.mkdir()
    secrets.mkdir()
    return Container(image, root, data, secrets)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer(token="of-the-pod", https=True) as running:
        yield running


def test_a_missing_tool_is_an_error_that_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    with pytest.raises(built.ToolMissingError, match="apt-get install --no-install-recommends buildah mmdebstrap"):
        built.build(path=str(tmp_path))


def test_a_node_downloads_less_than_100_mb(image: Image) -> None:
    assert image.size < SIZE_LIMIT


def test_the_image_says_what_it_is_and_runs_as_the_user_of_the_chart(image: Image) -> None:
    pod = Deployed("default").pod()
    assert image.config["User"] == f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert image.config["Entrypoint"] == ["kspan"]
    assert image.config["Labels"]["org.opencontainers.image.version"] == __version__
    assert image.config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert set(image.config["Volumes"]) == {"/var/lib/kspan"}


def test_no_address_or_setting_of_the_machine_that_built_it_is_in_the_image(image: Image, root: Path) -> None:
    # Where every Debian has its authorities.
    registries = set(registry_settings()) - {image.environment()["SSL_CERT_FILE"]}
    assert [file for file in root.glob("etc/apt/**/*") if file.is_file()] == []
    assert [setting for setting in registries if setting in image.text] == []
    for file in (
        "etc/pip.conf",
        "etc/apt/sources.list",
        "wheels",
        "src",
        "root/.config",
        "root/.cache",
        "etc/resolv.conf",
    ):
        assert not (root / file).exists(), file
    direct = [file.read_text(encoding="utf-8") for file in root.glob("opt/kspan/lib/**/direct_url.json")]
    assert [text for text in direct if "file:///src" not in text and "http" in text] == []


def registry_settings() -> list[str]:
    """What pip on this machine is told about registries and certificates."""
    settings = subprocess.run([".venv/bin/pip", "config", "list"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [line.partition("=")[2].strip("'\"") for line in settings.stdout.splitlines() if "/" in line]


@pytest.mark.parametrize("program", ["cc", "gcc", "as", "ld", "make", "pip", "pip3", "apt-get", "curl"])
def test_the_image_has_no_compiler_and_no_package_manager(root: Path, program: str) -> None:
    found = [root / folder / program for folder in ("usr/bin", "usr/local/bin", "opt/kspan/bin")]
    assert [str(file) for file in found if file.exists()] == []


def test_no_program_runs_as_another_user(root: Path) -> None:
    privileged = [str(file) for file in root.rglob("*") if file.is_file() and file.lstat().st_mode & 0o6000]
    assert [name for name in privileged if not Path(name).is_symlink()] == []


def test_the_user_owns_nothing_but_its_volume(image: Image, root: Path) -> None:
    owned = [file.relative_to(root).as_posix() for file in root.rglob("*") if file.lstat().st_uid == 65532]
    assert [name for name in owned if name != "var/lib/kspan"] == []


def test_the_root_is_read_only_and_the_process_has_no_capabilities(container: Container) -> None:
    script = "import os; print(open('/proc/self/status').read()); open('/opt/kspan/file', 'w')"
    process = container.start(["python", "-c", script])
    output, _ = process.communicate(timeout=300)
    assert "Read-only file system" in output
    status = dict(line.split(":\t", 1) for line in output.splitlines() if ":\t" in line)
    assert status["Uid"].split() == ["65532"] * 4
    assert (status["CapEff"], status["CapPrm"], status["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1")


def test_it_prints_its_version(container: Container) -> None:
    assert container.run(["kspan", "--version"]) == f"kspan {__version__}\n"


def test_it_runs_the_demo_from_its_bytecode(container: Container) -> None:
    output = container.run(["kspan", "demo", "--no-progress"])
    assert "because" in output
    assert "ReplicaSet" in output
    verbose = container.run(["python", "-v", "-c", "import kspan.cli.app, sqlalchemy"])
    assert re.findall(r"code object from '/opt/kspan/\S*\.pyc'", verbose)
    assert re.findall(r"code object from '/opt/kspan/\S*\.py'", verbose) == []


def test_the_daemon_runs_with_the_arguments_of_the_chart(
    container: Container, server: ApiServer, tmp_path: Path
) -> None:
    assert server.authority is not None
    (container.secrets / "token").write_text("of-the-pod", encoding="utf-8")
    (container.secrets / "ca.crt").write_text(server.authority.path.read_text(encoding="utf-8"), encoding="utf-8")
    (port,) = free_ports(1)
    address = urlsplit(server.url)
    server.serve_recording(recording("02-rolling-update"), 0.0, wait_for=WATCHED)
    with run_rotel(tmp_path) as receiver:
        environment = {
            "KUBERNETES_SERVICE_HOST": str(address.hostname),
            "KUBERNETES_SERVICE_PORT": str(address.port),
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.http_endpoint,
        }
        daemon = container.start(["kspan", *chart_arguments(port)], environment)
        try:
            wait_until(lambda: daemon.poll() is not None or is_ready(port), "readiness")
            wait_until(lambda: daemon.poll() is not None or "Span #" in receiver.text(), "a span at the receiver")
            assert daemon.poll() is None, daemon.communicate()[0]
            answer = container.run(["kspan", "traces", "--db=sqlite:////var/lib/kspan/kspan.sqlite", "-o", "json"])
        finally:
            daemon.send_signal(signal.SIGTERM)
            output, _ = daemon.communicate(timeout=300)
    assert daemon.returncode == 0, output
    assert json.loads(answer)
    with open_store(str(container.data / "kspan.sqlite"), read_only=True):
        pass


def chart_arguments(port: int) -> list[str]:
    """The arguments of the chart, but listening on a free port of the loopback interface, as tests have to."""
    given = Deployed("default").container()["args"]
    return [f"--listen=127.0.0.1:{port}" if "--listen" in each else each for each in given]


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_the_bill_of_materials_lists_the_packages_of_the_image(image: Image, root: Path) -> None:
    bill = json.loads((DIST / f"kspan-{__version__}.cdx.json").read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    python = {c["name"]: c["version"] for c in bill["components"] if c["purl"].startswith("pkg:pypi/")}
    installed = {
        file.name.removesuffix(".dist-info") for file in root.glob("opt/kspan/lib/python3*/site-packages/*.dist-info")
    }
    assert len(python) == len(installed)
    assert python["kspan"] == __version__
    debian = {c["name"] for c in bill["components"] if c["purl"].startswith("pkg:deb/debian/")}
    assert {"libc6", "libssl3", "libsqlite3-0", "python3-minimal"} <= debian
