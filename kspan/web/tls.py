"""The certificate of the server: loaded from two files, and loaded again when they change."""

import logging
import ssl
from pathlib import Path
from typing import Final

from kspan.errors import SettingsError
from kspan.paths import why_unusable

_logger = logging.getLogger(__name__)

CERT_OPTION: Final = "--tls-cert"
KEY_OPTION: Final = "--tls-key"

_Stamp = tuple[tuple[int, int, int], ...]


class CertificateFiles:
    """A certificate (with its chain) and its key in two PEM files.

    The constructor raises SettingsError of one line if they cannot be used. Later, the files are looked at for each new
    connection. A pair that cannot be used (half of it is written) is reported once, and the old one stays in use.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = certificate, key
        self._stamp = self._look()
        self._current = _load(certificate, key)
        self.context = _context()
        """Gives every new connection the current pair."""
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # OpenSSL calls this for every handshake, also if the client names no host.
        connection.context = self._refreshed()

    def _refreshed(self) -> ssl.SSLContext:
        # The stamp is taken first: a change during the loading leads to another loading.
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._current = _load(*self._files)
                _logger.info("the certificate in %s was loaded again", self._files[0])
            except SettingsError as error:
                _logger.warning("the changed certificate is not used: %s", error)
        return self._current

    def _look(self) -> _Stamp:
        return tuple(map(_stamp, self._files))


def certificate_files(certificate: Path | None, key: Path | None) -> CertificateFiles | None:
    """Return the files of the two options; None if neither is given. Raises SettingsError."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        given, missing = (KEY_OPTION, CERT_OPTION) if certificate is None else (CERT_OPTION, KEY_OPTION)
        raise SettingsError(f"{given} needs {missing}: TLS takes a certificate and its key")
    return CertificateFiles(certificate, key)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(certificate: Path, key: Path) -> ssl.SSLContext:
    _check_pem(CERT_OPTION, certificate, b"-----BEGIN CERTIFICATE-----", "certificate")
    _check_pem(KEY_OPTION, key, b"PRIVATE KEY-----", "private key")
    # A context that failed halfway has a certificate without its key, so each pair gets another one.
    context = _context()
    encrypted = False

    def no_password() -> str:
        # Without this, OpenSSL would ask on the terminal.
        nonlocal encrypted
        encrypted = True
        return ""

    try:
        context.load_cert_chain(certificate, key, no_password)
    except OSError as error:
        if encrypted:
            remedy = "remove its passphrase with 'openssl pkey -in FILE -out NEW'"
            raise SettingsError(f"{KEY_OPTION} {key}: the key is encrypted: {remedy}") from error
        reason = getattr(error, "reason", None) or ""
        if reason == "KEY_VALUES_MISMATCH":
            raise SettingsError(
                f"{KEY_OPTION} {key}: the key does not belong to the certificate {certificate}"
            ) from error
        text = reason.lower().replace("_", " ") or why_unusable(error)
        raise SettingsError(f"{CERT_OPTION} {certificate}, {KEY_OPTION} {key}: {text}") from error
    return context


def _check_pem(option: str, path: Path, marker: bytes, noun: str) -> None:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{option} {path}: {why_unusable(error)}") from error
    if marker not in content:
        raise SettingsError(f"{option} {path}: the file has no {noun} in PEM form")


def _stamp(path: Path) -> tuple[int, int, int]:
    """A value that changes with the file, or with the file that a symbolic link leads to; zeros if it is missing."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns
