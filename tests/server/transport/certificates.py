"""Certificates made for tests."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, in PEM."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def write(self, certificate_file: Path, key_file: Path) -> None:
        certificate_file.write_bytes(self.pem)
        key_file.write_bytes(self.key_pem)


def authority(name: str = "authority") -> Issued:
    """One that signs itself."""
    return _issued(name, None, days=365, more=())


def issued_by(
    signer: Issued, name: str, *, days: int = 90, uri: str = "", names: tuple[str, ...] = ("localhost",)
) -> Issued:
    """For `names` and 127.0.0.1, and, with a `uri`, for that identity. With negative `days` it has expired."""
    more: list[x509.GeneralName] = [x509.DNSName(each) for each in names]
    more.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    if uri:
        more.append(x509.UniformResourceIdentifier(uri))
    return _issued(name, signer, days, tuple(more))


def _issued(name: str, signer: Issued | None, days: int, more: tuple[x509.GeneralName, ...]) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if signer is None else signer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1 + max(0, -days)))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if more:
        builder = builder.add_extension(x509.SubjectAlternativeName(more), critical=False)
    return Issued(builder.sign(key if signer is None else signer.key, hashes.SHA256()), key)
