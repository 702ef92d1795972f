"""Makes the long description of the package: README.md, in which links to files lead to the repository.

PyPI shows the text elsewhere, so relative links are broken there. The repository is the environment variable
GITHUB_REPOSITORY (OWNER/NAME, which every runner of GitHub has); without it, the links stay as they are.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(!?\[[^\]]*\]\()(?![a-z]+:|#|/)([^)\s]+)\)")


class LongDescription(MetadataHookInterface):
    """Sets the field ``readme``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """See the documentation of hatchling."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        repository = os.environ.get("GITHUB_REPOSITORY", "")
        if repository:
            text = with_absolute_links(text, repository, f"v{metadata['version']}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def with_absolute_links(text: str, repository: str, tag: str) -> str:
    """Return Markdown whose relative links lead to a tag of a repository on GitHub, those of images to the files."""

    def absolute(found: re.Match[str]) -> str:
        start, path = found.groups()
        if start.startswith("!"):
            return f"{start}https://raw.githubusercontent.com/{repository}/{tag}/{path})"
        return f"{start}https://github.com/{repository}/blob/{tag}/{path})"

    return _LINK.sub(absolute, text)
