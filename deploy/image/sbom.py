"""Prints the software bill of materials of an image as CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/).

``python sbom.py ROOT VERSION``: ROOT is the root file system of the image, VERSION that of kspan. The time is
``SOURCE_DATE_EPOCH``, so that the same image has the same bill. Needs only the standard library.
"""

import email
import json
import os
import re
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import quote

LICENSE_LIMIT = 64
"""Characters. Longer values of ``License`` are whole texts."""


def bill(root: Path, version: str, created_s: int) -> dict[str, Any]:
    """Return the bill of a root file system. ``created_s``: s since 1970."""
    components = sorted([*debian_packages(root), *python_packages(root)], key=lambda one: str(one["purl"]))
    listed = "\n".join(component["purl"] for component in components)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, listed)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(created_s, UTC).isoformat(),
            "component": {"type": "container", "bom-ref": "image", "name": "kspan", "version": version},
        },
        "components": components,
    }


def debian_packages(root: Path) -> Iterator[dict[str, Any]]:
    """Yield a component for each package that is installed according to dpkg."""
    release = dict(
        re.findall(r'^(\w+)="?(.*?)"?$', (root / "etc/os-release").read_text(encoding="utf-8"), re.MULTILINE)
    )
    distro = f"{release['ID']}-{release['VERSION_ID']}"
    for paragraph in (root / "var/lib/dpkg/status").read_text(encoding="utf-8").split("\n\n"):
        package = email.message_from_string(paragraph)
        if package["Status"] == "install ok installed":
            name, version, arch = package["Package"], package["Version"], package["Architecture"]
            purl = (
                f"pkg:deb/{release['ID']}/{quote(name, safe='')}@{quote(version, safe='')}?arch={arch}&distro={distro}"
            )
            yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def python_packages(root: Path) -> Iterator[dict[str, Any]]:
    """Yield a component for each distribution in the virtual environment of kspan."""
    for file in (root / "opt/kspan").glob("lib/python3*/site-packages/*.dist-info/METADATA"):
        metadata = email.message_from_string(file.read_text(encoding="utf-8"))
        name, version = metadata["Name"], metadata["Version"]
        # As https://peps.python.org/pep-0503/ normalizes it.
        purl = f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{quote(version, safe='')}"
        component = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
        yield component | ({"licenses": found} if (found := licenses(metadata)) else {})


def licenses(metadata: Message) -> list[dict[str, Any]]:
    """Return what a distribution says about its license (https://peps.python.org/pep-0639/ and the older fields)."""
    if expression := metadata["License-Expression"]:
        return [{"expression": expression}]
    text = (metadata["License"] or "").strip()
    if text and len(text) <= LICENSE_LIMIT and "\n" not in text:
        return [{"license": {"name": text}}]
    classifiers = (value for value in metadata.get_all("Classifier", []) if value.startswith("License ::"))
    return [{"license": {"name": value.rpartition(" :: ")[2]}} for value in classifiers]


if __name__ == "__main__":
    found = bill(Path(sys.argv[1]), sys.argv[2], int(os.environ.get("SOURCE_DATE_EPOCH", "0")))
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")
