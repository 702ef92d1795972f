"""HTTPS over real sockets, with certificates made by the openssl command."""

import logging
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kspan.errors import SettingsError
from kspan.web import server as server_module
from kspan.web.answer import verdict
from kspan.web.guard import Access
from kspan.web.server import Server
from kspan.web.status import make_status_app
from kspan.web.tls import CertificateFiles, certificate_files
from tests.apiserver.certificate import Certificate
from tests.limits import HANG_S

REQUEST = b"GET /fine HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def certificates() -> Iterator[tuple[Certificate, Certificate]]:
    found = Certificate(), Certificate()
    yield found
    for each in found:
        each.remove()


@contextmanager
def serving(files: CertificateFiles) -> Iterator[tuple[str, int]]:
    server = Server("127.0.0.1:0", make_status_app({"/fine": lambda _: verdict([])}, Access(hosts=None)), files)
    assert server.url == "https://127.0.0.1:{1}".format(*server.address)
    server.start()
    try:
        yield server.address
    finally:
        server.stop()


def everything(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def ask(address: tuple[str, int], expected: Certificate) -> bytes:
    """Return the answer. Fails unless the server shows exactly this certificate."""
    context = ssl.create_default_context(cafile=str(expected.path))
    with (
        socket.create_connection(address, timeout=HANG_S) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(REQUEST)
        return everything(connection)


def swap(folder: Path, certificate: Certificate) -> None:
    """Replace what the link ``current`` leads to, as the kubelet does with the files of a Secret."""
    fresh = folder / f"version-{len(list(folder.iterdir()))}"
    fresh.mkdir()
    (fresh / "tls.crt").write_bytes(certificate.path.read_bytes())
    (fresh / "tls.key").write_bytes(certificate.key_path.read_bytes())
    link = folder / "next"
    link.symlink_to(fresh)
    link.replace(folder / "current")


def test_a_swapped_link_is_used_from_the_next_connection_on(
    certificates: tuple[Certificate, Certificate], tmp_path: Path
) -> None:
    first, second = certificates
    swap(tmp_path, first)
    with serving(CertificateFiles(tmp_path / "current" / "tls.crt", tmp_path / "current" / "tls.key")) as address:
        assert ask(address, first).endswith(b"ok\n")
        swap(tmp_path, second)
        assert ask(address, second).endswith(b"ok\n")
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(address, first)


def test_a_half_written_pair_keeps_the_old_one_and_is_reported_once(
    certificates: tuple[Certificate, Certificate], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = certificates
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_bytes(first.path.read_bytes())
    key.write_bytes(first.key_path.read_bytes())
    with serving(CertificateFiles(certificate, key)) as address, caplog.at_level(logging.WARNING, "kspan.web.tls"):
        certificate.write_bytes(second.path.read_bytes())
        for _ in range(3):
            assert ask(address, first).endswith(b"ok\n")
        (message,) = (record.getMessage() for record in caplog.records)
        assert message.startswith("the changed certificate is not used: --tls-key ")
        key.write_bytes(second.key_path.read_bytes())
        assert ask(address, second).endswith(b"ok\n")
        key.unlink()
        assert ask(address, second).endswith(b"ok\n"), "a missing file is no reason to stop"


def test_a_client_without_tls_loses_its_connection(certificates: tuple[Certificate, Certificate]) -> None:
    files = CertificateFiles(certificates[0].path, certificates[0].key_path)
    with serving(files) as address, socket.create_connection(address, timeout=HANG_S) as connection:
        connection.sendall(REQUEST)
        assert b"200" not in everything(connection)
        assert ask(address, certificates[0]).endswith(b"ok\n")


def test_a_silent_client_loses_its_connection_before_and_after_the_handshake(
    certificates: tuple[Certificate, Certificate], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_SLOW_S", 0.2)
    files = CertificateFiles(certificates[0].path, certificates[0].key_path)
    context = ssl.create_default_context(cafile=str(certificates[0].path))
    with serving(files) as address:
        with socket.create_connection(address, timeout=HANG_S) as connection:
            assert everything(connection) == b""
        with (
            socket.create_connection(address, timeout=HANG_S) as raw,
            context.wrap_socket(raw, server_hostname="127.0.0.1") as connection,
            suppress(ConnectionResetError),
        ):
            assert everything(connection) == b""


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_old_versions_of_tls_are_refused(certificates: tuple[Certificate, Certificate]) -> None:
    context = ssl.create_default_context(cafile=str(certificates[0].path))
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        serving(CertificateFiles(certificates[0].path, certificates[0].key_path)) as address,
        socket.create_connection(address, timeout=HANG_S) as raw,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(raw, server_hostname="127.0.0.1")


def test_one_file_without_the_other_is_refused(tmp_path: Path) -> None:
    assert certificate_files(None, None) is None
    with pytest.raises(SettingsError, match="--tls-cert needs --tls-key"):
        certificate_files(tmp_path, None)
    with pytest.raises(SettingsError, match="--tls-key needs --tls-cert"):
        certificate_files(None, tmp_path)


def test_files_that_cannot_be_used_are_refused_in_one_line(
    certificates: tuple[Certificate, Certificate], tmp_path: Path
) -> None:
    first, second = certificates
    encrypted, missing, broken = tmp_path / "encrypted.key", tmp_path / "missing", tmp_path / "broken.crt"
    command = [
        "openssl",
        "pkey",
        "-aes256",
        "-passout",
        "pass:secret",
        "-in",
        str(first.key_path),
        "-out",
        str(encrypted),
    ]
    subprocess.run(command, check=True, capture_output=True)
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for certificate, key, expected in [
        (missing, first.key_path, f"--tls-cert {missing}: no such file"),
        (first.path, tmp_path, f"--tls-key {tmp_path}: is a directory"),
        (first.key_path, first.key_path, f"--tls-cert {first.key_path}: the file has no certificate in PEM form"),
        (first.path, first.path, f"--tls-key {first.path}: the file has no private key in PEM form"),
        (first.path, second.key_path, f"--tls-key {second.key_path}: the key does not belong to the certificate"),
        (first.path, encrypted, f"--tls-key {encrypted}: the key is encrypted: remove its passphrase"),
        (broken, first.key_path, f"--tls-cert {broken}, --tls-key {first.key_path}: "),
    ]:
        with pytest.raises(SettingsError) as refused:
            CertificateFiles(certificate, key)
        assert str(refused.value).startswith(expected)
        assert "\n" not in str(refused.value)
