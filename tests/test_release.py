"""The places that name the version agree."""

import re
import tomllib
from pathlib import Path

import yaml

from kspan import __version__

ROOT = Path(__file__).parents[1]


def test_the_changelog_has_a_dated_section_for_the_version() -> None:
    sections = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sections[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(__version__)} - \d{{4}}-\d\d-\d\d", sections[1])


def test_the_manifest_runs_the_image_of_the_version() -> None:
    assert f"image: kspan:{__version__}\n" in (ROOT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8")


def test_the_chart_and_its_program_have_the_version() -> None:
    chart = yaml.safe_load((ROOT / "deploy" / "helm" / "kspan" / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_the_version_is_written_in_the_package_only() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["readme", "version"]
    assert project["tool"]["hatch"]["version"] == {"path": "kspan/__init__.py"}
    for name in (
        "Dockerfile",
        ".ci/image",
        ".ci/dist",
        ".ci/krew",
        "deploy/krew/kspan.yaml",
        "deploy/krew/kubectl-kspan",
    ):
        assert __version__ not in (ROOT / name).read_text(encoding="utf-8"), name
