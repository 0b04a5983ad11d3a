"""The whole of Pinakes as a user runs it, `pinakes up`, for end-to-end and fault tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.embedded.process import free_port

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"

_READY_S = 180.0
_STOP_S = 60.0
_COMMAND_LINES: dict[str, Callable[[list[str]], bool]] = {
    "server": lambda words: words[-1:] == ["serve"],
    "worker": lambda words: words[-1:] == ["worker"],
    "triton": lambda words: words[0].endswith("tritonserver"),
    "nats": lambda words: words[0].endswith("nats-server"),
    "postgres": lambda words: words[0].endswith("postgres"),
}


# Leases, redeliveries, restarts and the end are short, so that kills are soon noticed and soon over.
IMPATIENT: Mapping[str, str] = {
    "PINAKES_INGESTION__LEASE_S": "5",
    "PINAKES_NATS__QUEUE__REDELIVERY_S": "6",
    "PINAKES_RELAY__REQUEUE_EVERY_S": "2",
    "PINAKES_RELAY__UNANSWERED_S": "8",
    "PINAKES_SUPERVISOR__LONGEST_DELAY_S": "2",
    "PINAKES_TRITON__EMBEDDED__EXIT_GRACE_S": "1",
}


@dataclass(frozen=True, slots=True)
class Endpoints:
    server: str
    triton: str


class WholeStack:
    """`python -m server up` on a data directory of its own."""

    def __init__(self, data: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data = data
        self._settings = dict(settings or {})
        self._address = f"127.0.0.1:{free_port()}"
        self._log = data.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = dict(os.environ)  # noqa: TID251 - tests have no settings
        environment |= {
            "PINAKES_DATA_DIR": str(self.data),
            "PINAKES_SERVER__ADDRESS": self._address,
        } | self._settings
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "server", "up"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait_until_serving()

    @property
    def endpoints(self) -> Endpoints:
        found = json.loads((self.data / "run" / "endpoints.json").read_text())
        return Endpoints(found["server"], found["triton"])

    @property
    def api_key_file(self) -> Path:
        """With the key that may do everything."""
        return self.data / "admin.key"

    @property
    def api_key(self) -> str:
        return self.api_key_file.read_text().strip()

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def pid_of(self, part: str) -> int | None:
        """The program of a part (not a launcher that guards it), or None while it is not running."""
        for child in psutil.Process(self.pid).children(recursive=True):
            try:
                words = child.cmdline()
            except psutil.NoSuchProcess:
                continue
            if words and _COMMAND_LINES[part](words):
                pid: int = child.pid
                return pid
        return None

    def kill(self, part: str) -> int:
        """`kill -9`; returns the pid that is gone."""
        pid = self.try_to_kill(part)
        assert pid is not None, f"{part} is not running"
        return pid

    def try_to_kill(self, part: str) -> int | None:
        """As `kill`; None if the part is not running at the moment."""
        pid = self.pid_of(part)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return pid

    def crash(self) -> None:
        """`kill -9` of `up`, with which everything dies, and another `up` at the same address."""
        everything = self.descendants()
        assert self._process is not None, "not started"
        self._process.kill()
        self._process.wait()
        _, alive = psutil.wait_procs(everything, timeout=_STOP_S)
        assert not alive, f"survived their parent: {alive}"
        self.start()

    def wait_until_serving(self) -> None:
        """Until every service reports SERVING."""
        deadline = time.monotonic() + _READY_S
        while not self._serving():
            assert self._process is not None
            assert self._process.poll() is None, f"`up` ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"not serving after {_READY_S:.0f} s:\n{self.log()}"
            time.sleep(0.1)

    def stop(self) -> int:
        """SIGTERM; returns the exit status once everything is down."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_STOP_S)

    def descendants(self) -> list[psutil.Process]:
        return list(psutil.Process(self.pid).children(recursive=True))

    def output(self) -> str:
        """All that `up` has told."""
        return self._log.read_text("utf-8", "replace")

    def log(self) -> str:
        """The last lines of `up` and of each part."""
        files = [self._log, *sorted((self.data / "log").glob("*.log"))]
        tails = (
            f"--- {file.name}\n" + "\n".join(file.read_text("utf-8", "replace").splitlines()[-15:]) for file in files
        )
        return "\n".join(tails)

    def _serving(self) -> bool:
        try:
            with grpc.insecure_channel(self.endpoints.server) as channel:
                stub: Any = health_pb2_grpc.HealthStub(channel)  # its types know no methods
                health = stub.Check(health_pb2.HealthCheckRequest(), timeout=2)
        except (OSError, KeyError, ValueError, grpc.RpcError):
            return False
        return bool(health.status == health_pb2.HealthCheckResponse.SERVING)
