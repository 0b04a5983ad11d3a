"""The files that a connection to another server is secured with."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """`root_file` holds the authorities (PEM) of the other server's certificate; without one, the machine's count.
    `certificate_file` and `key_file` (PEM) are our own, where it asks for one."""

    root_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("tls needs a certificate_file and a key_file, or neither")

    @property
    def given(self) -> bool:
        return self.root_file is not None or self.certificate_file is not None

    def context(self) -> ssl.SSLContext:
        """Of a client that speaks TLS 1.3 alone and checks the other's name. Raises OSError."""
        context = ssl.create_default_context(cafile=self.root_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context
