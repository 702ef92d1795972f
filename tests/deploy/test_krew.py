"""The krew plugin starts the version of kspan that it belongs to, and its manifest has the checksum of the archive."""

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from kspan import __version__
from tests.deploy.chart import ROOT


def make(into: Path, repository: str = "example/kspan") -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "GITHUB_REPOSITORY": repository}
    return subprocess.run(
        [str(ROOT / ".ci" / "krew"), str(into)], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("krew")
    result = make(folder)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def manifest(made: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((made / "kspan.yaml").read_text(encoding="utf-8"))
    return found


@pytest.fixture
def plugin(made: Path, tmp_path: Path) -> Path:
    with tarfile.open(made / f"kubectl-kspan-{__version__}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "kubectl-kspan"


def test_the_manifest_names_the_archive_and_its_checksum(made: Path, manifest: dict[str, Any]) -> None:
    (platform,) = manifest["spec"]["platforms"]
    name = platform["uri"].rpartition("/")[2]
    assert platform["uri"] == f"https://github.com/example/kspan/releases/download/v{__version__}/{name}"
    assert platform["sha256"] == hashlib.sha256((made / name).read_bytes()).hexdigest()
    assert manifest["spec"]["version"] == f"v{__version__}"
    with tarfile.open(made / name) as archive:
        assert platform["bin"] in archive.getnames()


def test_nothing_is_left_to_be_filled_in(made: Path, plugin: Path) -> None:
    texts = [file.read_text(encoding="utf-8") for file in (made / "kspan.yaml", plugin)]
    assert [text for text in texts if "@VERSION@" in text or "@REPOSITORY@" in text or "@SHA256@" in text] == []


def test_the_same_files_give_the_same_archive(made: Path, tmp_path: Path) -> None:
    assert make(tmp_path).returncode == 0
    name = f"kubectl-kspan-{__version__}.tar.gz"
    assert (tmp_path / name).read_bytes() == (made / name).read_bytes()


def test_without_a_repository_nothing_is_written(tmp_path: Path) -> None:
    result = make(tmp_path, repository="")
    assert result.returncode != 0
    assert "OWNER/NAME" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "runner, arguments",
    [
        ("uvx", f"--quiet --from kspan=={__version__} kubectl-kspan why pod/a b"),
        ("pipx", f"run --quiet --spec kspan=={__version__} kubectl-kspan why pod/a b"),
    ],
)
def test_the_plugin_starts_its_version_with_what_is_installed(plugin: Path, runner: str, arguments: str) -> None:
    tool = plugin.with_name(runner)
    tool.write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    tool.chmod(0o755)
    result = start(plugin)
    assert (result.returncode, result.stdout) == (0, f"{arguments}\n")


def test_without_uvx_and_pipx_the_plugin_says_what_to_install(plugin: Path) -> None:
    result = start(plugin)
    assert result.returncode == 2
    assert "install uv" in result.stderr


def start(plugin: Path) -> "subprocess.CompletedProcess[str]":
    """Run the plugin where nothing but its folder is on the PATH."""
    shell = shutil.which("sh")
    assert shell is not None
    command = [shell, str(plugin), "why", "pod/a b"]
    return subprocess.run(command, env={"PATH": str(plugin.parent)}, capture_output=True, text=True, check=False)
