"""The directory of a stack: who owns it, and where its parts can be reached."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from server.embedded.errors import StackRunning

_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a running stack is reached; its server's health at `health`, in the clear. `nats` holds a token: a
    secret."""

    server: str
    health: str
    postgres: str
    nats: str
    triton: str


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """`path/` with one folder per part, `log/` and `run/`."""

    path: Path

    @property
    def logs(self) -> Path:
        return self.path / "log"

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def admin_key_file(self) -> Path:
        """Made by the server when it is first started on a new database."""
        return self.path / "admin.key"

    @property
    def endpoints_file(self) -> Path:
        return self.run / "endpoints.json"

    @contextmanager
    def owned(self, patience_s: float = 20.0) -> Iterator[int]:
        """Owns the directory while the context lasts; gives the lock's file descriptor.

        Processes that inherit the descriptor hold the lock too, so that nothing starts on the data of a stack that was
        killed before the last of its processes has ended; that is awaited for `patience_s`. Blocks until then.
        Raises StackRunning.
        """
        self.run.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._acquire(lock, patience_s)
            os.truncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()} {psutil.Process().create_time():.2f}\n".encode(), 0)
            yield lock
        finally:
            # Not unlocked: it stays held while a process that inherited it lives.
            os.close(lock)

    def owner(self) -> int | None:
        """The process id of the stack that owns the directory, None if there is none (any more)."""
        with suppress(OSError, ValueError, psutil.Error):
            pid, created = (self.run / "lock").read_text().split()
            if abs(psutil.Process(int(pid)).create_time() - float(created)) < 0.5:
                return int(pid)
        return None

    def write_endpoints(self, endpoints: Endpoints) -> None:
        """Replaces the file at once; only the user can read it."""
        draft = self.endpoints_file.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(asdict(endpoints), indent=2))
        draft.replace(self.endpoints_file)

    def read_endpoints(self) -> Endpoints | None:
        """None when no stack runs here."""
        if self.owner() is None:
            return None
        try:
            return Endpoints(**json.loads(self.endpoints_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def forget_endpoints(self) -> None:
        self.endpoints_file.unlink(missing_ok=True)

    def _acquire(self, lock: int, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as exc:
                owner = self.owner()
                if owner is not None or time.monotonic() > deadline:
                    raise StackRunning(self.path, owner) from exc
            time.sleep(_POLL_S)
