"""Contenders in processes of their own, so that the memory, the threads and the packages of one never touch another's.

A worker holds one object. Functions that take this object first are run in the worker, by name: what both sides import
for them must be there in both environments, so modules of contenders import their library where they use it.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

PROJECT = Path(__file__).resolve().parents[3]
PEERS_PYTHON = PROJECT / ".venv-peers" / "bin" / "python"
"""Made by `make peers`."""
PEERS = PROJECT / "requirements" / "peers.in"
OWN_PYTHON = Path(sys.executable)

_GRACE_S = 10.0
_LOG_TAIL_BYTES = 4_000

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H")


def peer_versions() -> dict[str, str]:
    """Of the packages that `requirements/peers.in` asks for, as they are installed."""
    wanted = {line for line in PEERS.read_text().splitlines() if line and not line.startswith("#")}
    folders = [str(path) for path in PEERS_PYTHON.parents[1].glob("lib/python*/site-packages")]
    found = importlib.metadata.distributions(path=folders)
    return {each.name: each.version for each in found if each.name.replace("_", "-") in wanted}


class WorkerFailed(Exception):
    """What was asked of the worker raised there, or the worker ended. The message has its traceback or
    the last that it said."""


class TooSlow(Exception):
    """No reply came in the time that was given."""


class Worker(Generic[H]):
    """A process that holds an object `H`. Ends when the context does."""

    def __init__(self, python: Path, make: Callable[[], H]) -> None:
        """Raises WorkerFailed if the object cannot be made."""
        self._connection, theirs = Pipe()
        command = [str(python), "-m", "bench.suites.index.worker", str(theirs.fileno())]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        theirs.close()
        try:
            self._ask(make, (), {}, None)
        except BaseException:
            self.close()
            raise

    def call(self, function: Callable[Concatenate[H, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """function(held, ...) in the worker. Raises WorkerFailed."""
        reply: R = self._ask(function, args, kwargs, None)
        return reply

    def call_within(
        self, seconds: float, function: Callable[Concatenate[H, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """As `call`. Raises TooSlow when `seconds` are over; the worker is of no use then."""
        reply: R = self._ask(function, args, kwargs, seconds)
        return reply

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """Once more does nothing."""
        self._connection.close()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def __enter__(self) -> Worker[H]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _said(self) -> str:
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _LOG_TAIL_BYTES))
        return self._log.read().decode(errors="replace")

    def _ask(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], seconds: float | None
    ) -> Any:
        try:
            self._connection.send((function, args, kwargs))
            if not self._connection.poll(seconds):
                self._process.kill()
                raise TooSlow(f"no reply within {seconds:g} s")
            problem, reply = self._connection.recv()
        except (EOFError, OSError) as exc:
            raise WorkerFailed(f"the worker ended with status {self._process.wait(_GRACE_S)}\n{self._said()}") from exc
        if problem:
            raise WorkerFailed(problem)
        return reply


def serve(connection: Connection) -> None:
    """The worker's side: the first request makes the object, all others are given it. Returns when nobody asks."""
    held: list[Any] = []
    while True:
        try:
            function, args, kwargs = connection.recv()
        except EOFError:
            return
        try:
            if held:
                connection.send(("", function(held[0], *args, **kwargs)))
            else:
                held.append(function())
                connection.send(("", None))
        except Exception:  # noqa: BLE001 - whatever it is, the one who asked is to know
            connection.send((traceback.format_exc(), None))
