"""Certificates, created with the ``openssl`` command."""

import subprocess
import tempfile
from pathlib import Path

_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
_FOR_127_0_0_1 = ["-addext", "subjectAltName=IP:127.0.0.1"]


def _request(path: Path, key_path: Path, name: str, *more: str) -> None:
    command = ["openssl", "req", "-x509", *_NEW_KEY, "-subj", f"/CN={name}", *more]
    subprocess.run([*command, "-keyout", str(key_path), "-out", str(path)], check=True, capture_output=True)


class Certificate:
    """The files of one self-signed certificate for 127.0.0.1, which is its own CA. ``remove`` deletes them."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="apiserver-")
        self.path = Path(self._folder.name) / "server.crt"
        self.key_path = Path(self._folder.name) / "server.key"
        _request(self.path, self.key_path, "127.0.0.1", *_FOR_127_0_0_1)

    def remove(self) -> None:
        self._folder.cleanup()


class Authority:
    """A CA with the certificate file ``path``. ``remove`` deletes it and everything that it issued."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="authority-")
        self.path = Path(self._folder.name) / "ca.crt"
        self._key_path = Path(self._folder.name) / "ca.key"
        self._issued = 0
        _request(self.path, self._key_path, "tests")

    def issue(self, name: str) -> tuple[Path, Path]:
        """Issue a certificate for a user (the common name) or for 127.0.0.1; return its file and that of its key."""
        self._issued += 1
        path, key_path = (Path(self._folder.name) / f"{self._issued}.{end}" for end in ("crt", "key"))
        alternative = _FOR_127_0_0_1 if name == "127.0.0.1" else []
        constraint = ["-addext", "basicConstraints=critical,CA:FALSE"]
        signer = ["-CA", str(self.path), "-CAkey", str(self._key_path)]
        _request(path, key_path, name, *signer, *constraint, *alternative)
        return path, key_path

    def remove(self) -> None:
        self._folder.cleanup()
