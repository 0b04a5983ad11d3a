"""Which server the commands call."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from pinakes.async_client import AsyncClient
from pinakes.cli.saved_login import SavedLogins
from pinakes.client import Client
from pinakes.credentials import key_of_environment, read_key
from pinakes.options import DEFAULT_ADDRESS, ClientOptions, Deadlines
from pinakes.tls import Tls

ENDPOINTS_FILE = Path("var/run/endpoints.json")
"""Written by `pinakes up` below the directory that it was started in."""
LOCAL_KEY_FILE = Path("var/admin.key")
"""Written there, too, when the stack was first started: the key that may do everything."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The global options; every command finds them in its context's `obj`."""

    address: str
    timeout_s: float | None = None
    tls: Tls | None = None
    key_file: Path | None = None

    @property
    def options(self) -> ClientOptions:
        deadlines = Deadlines() if self.timeout_s is None else Deadlines.all(self.timeout_s)
        return ClientOptions(deadlines=deadlines)

    def open(self) -> Client:
        """A client to be used in `with`. Its credentials are, the first that there is: the key of `key_file`; that of
        the environment; the session of `pinakes login`; the first key of the stack that `pinakes up` started in this
        directory, if it is the one that is called. Raises OSError, PinakesError."""
        key, token = self._credentials()
        return Client(self.address, options=self.options, tls=self.tls, api_key=key, token=token)

    def open_async(self) -> AsyncClient:
        """As `open`, to be used in `async with`."""
        key, token = self._credentials()
        return AsyncClient(self.address, options=self.options, tls=self.tls, api_key=key, token=token)

    def _credentials(self) -> tuple[str | None, str | None]:
        key = read_key(self.key_file) if self.key_file is not None else key_of_environment()
        if key is not None:
            return key, None
        token = SavedLogins().access_token(self.address, self.tls, self.options)
        if token is None and default_address() == self.address:
            key = local_key()
        return key, token

    def of_session(self) -> Client:
        """A client of the session of `pinakes login`, whatever else there is."""
        token = SavedLogins().access_token(self.address, self.tls, self.options)
        return Client(self.address, options=self.options, tls=self.tls, token=token or "")


def local_key(file: Path = LOCAL_KEY_FILE) -> str | None:
    """None if there is none that this user can read."""
    try:
        return read_key(file)
    except OSError:
        return None


def default_address(endpoints_file: Path = ENDPOINTS_FILE) -> str:
    """The running local stack's address if its file says so, else the default. What a stack left behind that was killed
    does not count: somebody else may be at its address."""
    try:
        if _abandoned(endpoints_file.with_name("lock")):
            return DEFAULT_ADDRESS
        told = json.loads(endpoints_file.read_text(encoding="utf-8"))["server"]
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT_ADDRESS
    return told if isinstance(told, str) and told else DEFAULT_ADDRESS


def _abandoned(lock: Path) -> bool:
    """Whether nobody holds the lock of a stack, which is held until the last of its processes has ended."""
    if sys.platform == "win32" or not lock.exists():
        return False
    import fcntl  # not to be had everywhere; where it is not, there is no `pinakes up`

    with lock.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
