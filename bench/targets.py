"""What the bench may send load to: this machine, and nothing else."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

KEY_FILE = "admin.key"


class RefusedTarget(Exception):
    """The address is not on the loopback interface, or is no address. Load is never sent to other machines."""

    def __init__(self, address: str, problem: str) -> None:
        super().__init__(f"{address!r} is refused as a target: {problem}")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the stack answers, as host:port on 127.0.0.1; `nats` is a URL that holds a secret, `api_key` the key that
    may do everything (None: that of the environment). `triton` and `nats` are None when they cannot be asked directly.
    Making one with any other address raises RefusedTarget."""

    server: str
    triton: str | None = None
    nats: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_loopback(self.server)
        if self.triton is not None:
            check_loopback(self.triton)
        if self.nats is not None:
            check_loopback(urlsplit(self.nats).netloc.rpartition("@")[2])

    @classmethod
    def read(cls, path: Path) -> Endpoints:
        """From the file that a running stack keeps in its data directory, and the key beside it. Raises RefusedTarget;
        ValueError or KeyError when the file is not (yet) whole."""
        written = json.loads(path.read_text())
        key = path.parent.parent / KEY_FILE
        api_key = key.read_text().strip() if key.is_file() else None
        return cls(written["server"], written.get("triton"), written.get("nats"), api_key)


def check_loopback(address: str) -> None:
    """Raises RefusedTarget unless the address is 127.0.0.0/8 with a port. Names are refused, too: what `localhost` is,
    is a matter of configuration."""
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
        raise RefusedTarget(address, "it has no port")
    try:
        ip = ipaddress.IPv4Address(host)
    except ValueError as exc:
        raise RefusedTarget(address, "the host is not an IPv4 address") from exc
    if not ip.is_loopback:
        raise RefusedTarget(address, "it is not on 127.0.0.1")
