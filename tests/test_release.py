"""The places that name the version agree."""

import re
from pathlib import Path

from kspan import __version__

ROOT = Path(__file__).parents[1]


def test_the_changelog_has_a_dated_section_for_the_version() -> None:
    sections = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sections[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(__version__)} - \d{{4}}-\d\d-\d\d", sections[1])


def test_the_manifest_runs_the_image_of_the_version() -> None:
    assert f"image: kspan:{__version__}\n" in (ROOT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8")
