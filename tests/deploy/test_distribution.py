"""The wheel and the sdist contain the program and what it reads, and nothing else.

The tests build both, or read those of the folder ``KSPAN_DIST``, which is how ``make dist`` checks what it has built.
"""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from email import message_from_bytes
from pathlib import Path

import pytest

from kspan import __version__
from tests.deploy.chart import ROOT

NAME = f"kspan-{__version__}"
README = ROOT / "README.md"


def build(source: Path, into: Path, target: str, repository: str = "") -> Path:
    """Build ``wheel`` or ``sdist`` of a folder, and return the file."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(into), "--target", target]
    env = os.environ | {"GITHUB_REPOSITORY": repository}
    subprocess.run(command, cwd=source, check=True, capture_output=True, text=True, env=env)
    (file,) = into.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return file


def files_of_wheel(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def files_below(folder: str, name: str) -> dict[str, bytes]:
    """The files of a folder of the checkout, as if the folder had this name."""
    found = (file for file in (ROOT / folder).rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {f"{name}/{file.relative_to(ROOT / folder).as_posix()}": file.read_bytes() for file in found}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if folder := os.environ.get("KSPAN_DIST"):
        return ROOT / folder / f"{NAME}.tar.gz"
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpack an sdist, and return the folder with its files."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / NAME


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(sdist, tmp_path_factory.mktemp("unpacked"))


@pytest.fixture(scope="module")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Files of the wheel that is built from the sdist, which shows that the sdist is complete."""
    if folder := os.environ.get("KSPAN_DIST"):
        return files_of_wheel(ROOT / folder / f"{NAME}-py3-none-any.whl")
    return files_of_wheel(build(unpacked, tmp_path_factory.mktemp("wheel"), "wheel"))


def test_the_wheel_contains_the_package_and_the_migrations_and_nothing_else(wheel: Mapping[str, bytes]) -> None:
    metadata = {name for name in wheel if name.startswith(f"{NAME}.dist-info/")}
    wanted = files_below("kspan", "kspan") | files_below("migrations", "kspan/_migrations")
    assert {name: wheel[name] for name in wheel.keys() - metadata} == wanted
    assert {name.rpartition("/")[2] for name in metadata} == {
        "LICENSE",
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
    }


@pytest.mark.parametrize(
    "name",
    [
        "kspan/py.typed",
        "kspan/graph/rules/rules.toml",
        "kspan/data/rolling-update.jsonl.gz",
        "kspan/web/templates/base.html",
        "kspan/web/static/app.css",
        "kspan/_migrations/env.py",
    ],
)
def test_the_wheel_contains_what_the_program_reads(wheel: Mapping[str, bytes], name: str) -> None:
    assert wheel[name] or name == "kspan/py.typed"


def test_the_only_recording_in_the_wheel_is_that_of_the_demo_and_there_are_no_tests(wheel: Mapping[str, bytes]) -> None:
    assert [name for name in wheel if ".jsonl" in name] == ["kspan/data/rolling-update.jsonl.gz"]
    assert [name for name in wheel if "test" in name.rpartition("/")[2]] == []


def test_the_sdist_contains_what_the_wheel_is_built_from_and_no_tests_or_documents(unpacked: Path) -> None:
    found = {file.relative_to(unpacked).as_posix() for file in unpacked.rglob("*") if file.is_file()}
    more = {"CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "alembic.ini", "constraints.txt", "pyproject.toml"}
    more |= {"hatch_build.py"}
    code = files_below("kspan", "kspan") | files_below("migrations", "migrations")
    assert found - {".gitignore"} == code.keys() | more


def test_every_script_of_the_project_is_an_entry_point_of_the_wheel(wheel: Mapping[str, bytes]) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    lines = wheel[f"{NAME}.dist-info/entry_points.txt"].decode().splitlines()
    assert sorted(filter(None, lines)) == ["[console_scripts]", *sorted(f"{k} = {v}" for k, v in scripts.items())]


LINK = re.compile(r"\]\(([^)\s]+)\)")


def test_links_of_the_long_description_lead_to_the_files_of_the_release(tmp_path: Path) -> None:
    released = build(ROOT, tmp_path / "sdist", "sdist", "octo/kspan")
    # A wheel has the description of the sdist that it is built from.
    wheel = files_of_wheel(build(unpack(released, tmp_path), tmp_path / "wheel", "wheel"))
    shown = message_from_bytes(wheel[f"{NAME}.dist-info/METADATA"])
    assert shown["Description-Content-Type"] == "text/markdown"
    links = LINK.findall(README.read_text(encoding="utf-8"))
    relative = [link for link in links if not link.startswith("http")]
    assert any(link.endswith(".png") for link in relative)
    expected = [absolute(link) if link in relative else link for link in links]
    text = wheel[f"{NAME}.dist-info/METADATA"].decode().partition("\n\n")[2]
    assert LINK.findall(text) == expected
    assert [link for link in relative if not (ROOT / link.partition("#")[0]).is_file()] == []


def absolute(link: str) -> str:
    if link.endswith(".png"):
        return f"https://raw.githubusercontent.com/octo/kspan/v{__version__}/{link}"
    return f"https://github.com/octo/kspan/blob/v{__version__}/{link}"


def test_without_a_repository_the_long_description_is_the_readme(wheel: Mapping[str, bytes]) -> None:
    if os.environ.get("KSPAN_DIST") and os.environ.get("GITHUB_REPOSITORY"):
        return
    assert wheel[f"{NAME}.dist-info/METADATA"].endswith(README.read_bytes())
