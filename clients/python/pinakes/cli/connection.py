"""Which server the commands call."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pinakes.client import Client
from pinakes.options import DEFAULT_ADDRESS, ClientOptions, Deadlines
from pinakes.tls import Tls

ENDPOINTS_FILE = Path("var/run/endpoints.json")
"""Written by `pinakes up` below the directory that it was started in."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The global options; every command finds them in its context's `obj`."""

    address: str
    timeout_s: float | None = None
    tls: Tls | None = None

    def open(self) -> Client:
        """A client to be used in `with`."""
        deadlines = Deadlines() if self.timeout_s is None else Deadlines.all(self.timeout_s)
        return Client(self.address, options=ClientOptions(deadlines=deadlines), tls=self.tls)


def default_address(endpoints_file: Path = ENDPOINTS_FILE) -> str:
    """The running local stack's address if its file says so, else the default."""
    try:
        told = json.loads(endpoints_file.read_text(encoding="utf-8"))["server"]
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT_ADDRESS
    return told if isinstance(told, str) and told else DEFAULT_ADDRESS
