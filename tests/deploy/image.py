"""The image as an OCI archive: what it says, and a way to run it as a Pod would, without a container engine."""

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.deploy.chart import ROOT

DIST: Final = ROOT / "dist"
# /var/run of an image is a link to /run, which would be that of this machine.
MOUNTS: Final = ("proc", "tmp", "var/lib/kspan", "run/secrets/kubernetes.io/serviceaccount")

RUN: Final = """
set -eu
root=$1 data=$2 secrets=$3 user=$4
shift 4
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o size=64m,mode=1777 tmpfs "$root/tmp"
mount --bind "$data" "$root/var/lib/kspan"
mount --bind "$secrets" "$root/run/secrets/kubernetes.io/serviceaccount"
mount -o remount,bind,ro "$root/run/secrets/kubernetes.io/serviceaccount"
mount -o remount,bind,ro "$root"
cd "$root"
exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" "$@"
"""
"""Starts a program in a root file system that is read-only, without capabilities, as the kubelet would.

Only the network and the processes of the host are visible, so that the tests can reach what runs.
"""


class ToolMissingError(Exception):
    """A program that the tests need is not installed."""


class Image:
    """An image in an OCI archive with one manifest (https://github.com/opencontainers/image-spec, image-layout.md)."""

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        with tarfile.open(archive) as tar:
            self._files = {name.removeprefix("./"): name for name in tar.getnames()}
            (entry,) = self._json(tar, "index.json")["manifests"]
            self.manifest: dict[str, Any] = self._json(tar, _blob(entry["digest"]))
            self.text = self._read(tar, _blob(self.manifest["config"]["digest"])).decode()
            """The configuration, history included, as JSON."""
        self.config: dict[str, Any] = json.loads(self.text)["config"]

    @property
    def size(self) -> int:
        """Compressed size of all layers in bytes: what a node downloads."""
        return sum(layer["size"] for layer in self.manifest["layers"])

    def unpack(self, folder: Path) -> None:
        """Extract all layers, and create the folders for what a container runtime mounts. Needs root."""
        with tarfile.open(self.archive) as tar:
            for layer in self.manifest["layers"]:
                content = self._read(tar, _blob(layer["digest"]))
                assert f"sha256:{hashlib.sha256(content).hexdigest()}" == layer["digest"]
                extract = ["tar", "--extract", "--gzip", "--numeric-owner", "--same-owner", "--directory", str(folder)]
                subprocess.run(extract, input=content, check=True)
        assert not list(folder.rglob(".wh.*")), "a layer deletes files, which this does not do"
        for mount in MOUNTS:
            assert (folder / mount).resolve().is_relative_to(folder.resolve())
            (folder / mount).mkdir(parents=True, exist_ok=True)

    def environment(self) -> dict[str, str]:
        return dict(variable.split("=", 1) for variable in self.config["Env"])

    def _json(self, tar: tarfile.TarFile, name: str) -> Any:
        return json.loads(self._read(tar, name))

    def _read(self, tar: tarfile.TarFile, name: str) -> bytes:
        file = tar.extractfile(self._files[name])
        assert file is not None
        return file.read()


class Container:
    """Runs programs of an image as its user, with a read-only root and ``data`` as its volume.

    ``secrets`` is mounted where a Pod finds its service account.
    """

    def __init__(self, image: Image, root: Path, data: Path, secrets: Path) -> None:
        self.image = image
        self.root = root
        self.data = data
        self.secrets = secrets
        user = int(image.config["User"].partition(":")[0])
        os.chown(data, user, user)

    def start(self, program: Sequence[str], environment: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        """Start a program; its path is looked up as in the container. Output and errors are one pipe of text."""
        begin = ["unshare", "--mount", "--propagation", "private", "sh", "-c", RUN, "sh"]
        paths = [str(self.root), str(self.data), str(self.secrets), self.image.config["User"]]
        variables = self.image.environment() | {"HOME": "/var/lib/kspan"} | dict(environment or {})
        # `sh` and `chroot` come from this machine. PATH of the image is set by the `env` of the image.
        inside = ["/usr/bin/env", "-i", "-C", self.image.config["WorkingDir"]]
        inside += [f"{name}={value}" for name, value in variables.items()]
        return subprocess.Popen(
            [*begin, *paths, *inside, *program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, program: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
        """Return the output of a program that has to succeed."""
        process = self.start(program, environment)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        return output


def build(path: str | None = None) -> None:
    """Build the image into dist/. ``path``: PATH. Raises ToolMissingError."""
    environment = os.environ | ({"PATH": path} if path is not None else {})
    result = subprocess.run(
        ["/bin/bash", str(ROOT / ".ci" / "image")], env=environment, capture_output=True, text=True, check=False
    )
    if "is missing:" in result.stderr:
        raise ToolMissingError(result.stderr.strip())
    assert result.returncode == 0, result.stdout + result.stderr


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")
