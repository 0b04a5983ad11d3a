"""How a client and a server recognize each other."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import grpc

File = str | PathLike[str]


@dataclass(frozen=True, slots=True)
class Tls:
    """A connection over TLS.

    `root_file` holds the authorities (PEM) of the server's certificate; without one, those that gRPC brings along
    count. `certificate_file` and `key_file` (PEM) are the client's own, where the server asks for one. `server_name` is
    the name on the server's certificate, if it is another one than that in the address.
    """

    root_file: File | None = None
    certificate_file: File | None = None
    key_file: File | None = None
    server_name: str = ""

    def __post_init__(self) -> None:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("TLS needs a certificate_file and a key_file, or neither")

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files. Raises OSError."""
        return grpc.ssl_channel_credentials(
            _content(self.root_file), _content(self.key_file), _content(self.certificate_file)
        )

    def arguments(self) -> list[tuple[str, str]]:
        """The options of a channel."""
        return [("grpc.ssl_target_name_override", self.server_name)] if self.server_name else []


def _content(file: File | None) -> bytes | None:
    return None if file is None else Path(file).read_bytes()
