"""The server's side of TLS: its certificate, read from files and again when they change.

That TLS 1.2 is refused is seen to before gRPC is imported (`require_tls_1_3` in `server/settings.py`).
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from server.application.watch_certificate import CertificateState
from server.domain.errors import CertificateUnusable

_NO_CERTIFICATE = "a file holds no certificate in PEM"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """TLS is on with a `certificate_file` (PEM: the server's certificate, then those between it and the authority) and
    its `key_file` (PEM, without a password). With a `client_ca_file` callers have to show a certificate of one of its
    authorities. New connections see changed files at once; those that are open go on."""

    certificate_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("tls needs a certificate_file and a key_file, or neither")
        if self.client_ca_file is not None and self.certificate_file is None:
            raise ValueError("tls.client_ca_file needs a certificate_file and a key_file")

    @property
    def enabled(self) -> bool:
        return self.certificate_file is not None


class ServerCertificate:
    """What the files hold, as long as it can be used; else what they held before. May be used by any thread."""

    def __init__(self, options: TlsOptions) -> None:
        """Raises CertificateUnusable."""
        assert options.certificate_file is not None and options.key_file is not None
        self._certificate_file, self._key_file = options.certificate_file, options.key_file
        self._client_ca_file = options.client_ca_file
        self._lock = threading.Lock()
        self._seen = self._signature()
        self._current = self._read()
        self._told = self._current
        self._problem = ""

    def credentials(self) -> grpc.ServerCredentials:
        """Of a server, which asks for the certificate at each new connection."""
        return grpc.dynamic_ssl_server_credentials(
            self._current.configuration(),
            self._changed,  # type: ignore[arg-type]  # it may return None; the types do not say so
            require_client_authentication=self._client_ca_file is not None,
        )

    def look(self) -> CertificateState:
        with self._lock:
            self._refresh()
            return CertificateState(self._current.fingerprint, self._current.expires, self._problem)

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Called by gRPC, in a thread of its own, for each connection. None: as before."""
        with self._lock:
            self._refresh()
            if self._current is self._told:
                return None
            self._told = self._current
            return self._current.configuration()

    def _refresh(self) -> None:
        signature = self._signature()
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self._current = self._read()
        except CertificateUnusable as error:
            # Two files cannot be replaced at once: the next look may find both.
            self._problem = error.problem
            _log.warning("certificate_not_reloaded", problem=str(error))
        else:
            self._problem = ""
            _log.info("certificate_reloaded", sha256=self._current.fingerprint, expires=str(self._current.expires))

    def _signature(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stat(file) for file in (self._certificate_file, self._key_file, self._client_ca_file))

    def _read(self) -> _Loaded:
        """Raises CertificateUnusable."""
        chain, key = _content(self._certificate_file), _content(self._key_file)
        roots = None if self._client_ca_file is None else _content(self._client_ca_file)
        try:
            certificate = x509.load_pem_x509_certificates(chain)[0]
        except ValueError as exc:
            raise CertificateUnusable(_NO_CERTIFICATE, str(self._certificate_file)) from exc
        try:
            own = load_pem_private_key(key, None).public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
            raise CertificateUnusable("there is no private key in PEM without a password", str(self._key_file)) from exc
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if own.public_bytes(*form) != certificate.public_key().public_bytes(*form):
            files = f"{self._key_file}, {self._certificate_file}"
            raise CertificateUnusable("the key is not the key of the certificate", files)
        now, expires = datetime.now(UTC), certificate.not_valid_after_utc
        if not certificate.not_valid_before_utc <= now < expires:
            span = f"from {certificate.not_valid_before_utc} to {expires}"
            told = f"the certificate is valid {span}, and it is {now:%Y-%m-%d %H:%M} UTC"
            raise CertificateUnusable(told, str(self._certificate_file))
        if roots is not None:
            try:
                x509.load_pem_x509_certificates(roots)
            except ValueError as exc:
                raise CertificateUnusable(_NO_CERTIFICATE, str(self._client_ca_file)) from exc
        fingerprint = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
        return _Loaded(chain, key, roots, fingerprint, expires)


@dataclass(frozen=True, slots=True)
class _Loaded:
    chain: bytes
    key: bytes
    roots: bytes | None
    fingerprint: str
    expires: datetime

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(self.key, self.chain)], self.roots)


def _stat(file: Path | None) -> tuple[int, int, int] | None:
    """Changes when the file is written or replaced, or a link on the way to it leads elsewhere."""
    if file is None:
        return None
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise CertificateUnusable(f"a file cannot be read: {exc.strerror}", str(file)) from exc
