"""Starts the stack under test, as a user does: one process, `python -m server up`."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.targets import Endpoints

COMMAND = (sys.executable, "-m", "server", "up")
ENDPOINTS_FILE = Path("run") / "endpoints.json"
_LOG = "stack.log"
_POLL_S = 0.2
_PROBE_S = 2.0
_LOG_TAIL_BYTES = 4_000


class StackFailed(Exception):
    """The stack ended, or was not ready in time; the message ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class StackOptions:
    """`start_deadline_s` leaves room for models that are fetched and kernels that are compiled at the first start."""

    command: tuple[str, ...] = COMMAND
    start_deadline_s: float = 900.0
    stop_grace_s: float = 60.0


@asynccontextmanager
async def running_stack(project: Path, data: Path, options: StackOptions) -> AsyncIterator[Endpoints]:
    """A stack on a free port that keeps everything under `data` and serves while the context lasts; its output goes to
    `data/stack.log`. Raises StackFailed."""
    data.mkdir(parents=True, exist_ok=True)
    settings = data / "bench.toml"
    settings.write_text(f'[server]\naddress = "127.0.0.1:{_free_port()}"\n')
    command = (*options.command, "--config", str(settings), "--data-dir", str(data))
    started = time.time()
    with (data / _LOG).open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=project, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield await _ready(process, data, started, options.start_deadline_s)
    finally:
        await _stop(process, options.stop_grace_s)


async def _ready(process: asyncio.subprocess.Process, data: Path, started: float, deadline_s: float) -> Endpoints:
    try:
        async with asyncio.timeout(deadline_s):
            while True:
                if process.returncode is not None:
                    raise StackFailed(f"the stack ended with status {process.returncode}\n{_log_tail(data)}")
                endpoints = _endpoints(data / ENDPOINTS_FILE, started)
                if endpoints is not None and await _serving(endpoints.server):
                    return endpoints
                await asyncio.sleep(_POLL_S)
    except TimeoutError as exc:
        raise StackFailed(f"the stack was not ready after {deadline_s:g} s\n{_log_tail(data)}") from exc


def _endpoints(path: Path, started: float) -> Endpoints | None:
    """None while the stack has not written them; those of an earlier run do not count."""
    try:
        # Whole seconds: some file systems keep no finer times.
        if path.stat().st_mtime < int(started):
            return None
        return Endpoints.read(path)
    except (OSError, ValueError, KeyError):
        return None


async def _serving(address: str) -> bool:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its types know no methods
        try:
            reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_PROBE_S)
        except grpc.aio.AioRpcError:
            return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


async def _stop(process: asyncio.subprocess.Process, grace_s: float) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), grace_s)
    except TimeoutError:
        process.kill()
        await process.wait()


def _free_port() -> int:
    """Free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _log_tail(data: Path) -> str:
    return (data / _LOG).read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
