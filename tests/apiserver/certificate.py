"""A self-signed certificate for 127.0.0.1, made by the ``openssl`` command."""

import subprocess
import tempfile
from pathlib import Path


class Certificate:
    """The files of one certificate, which is its own CA; they are there until ``remove``."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="apiserver-")
        self.path = Path(self._folder.name) / "server.crt"
        self.key_path = Path(self._folder.name) / "server.key"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        command += ["-keyout", str(self.key_path), "-out", str(self.path)]
        subprocess.run(command, check=True, capture_output=True)

    def remove(self) -> None:
        self._folder.cleanup()
