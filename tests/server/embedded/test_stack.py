"""The whole stack as a process, with a small server and worker in place of ours."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from server.embedded.data_directory import DataDirectory
from server.embedded.errors import PartFailed, StackRunning
from server.embedded.health import check_nats, check_postgres, check_triton
from server.embedded.process import free_port
from server.embedded.stack import StackOptions, run_stack
from server.embedded.triton import EmbeddedTriton
from tests.server.embedded.programs import still_running

pytestmark = pytest.mark.stack

PROJECT = Path(__file__).resolve().parents[3]

UP = """
import asyncio, os, pathlib, sys
from server.embedded.errors import EmbeddedError
from server.embedded.stack import StackOptions, run_stack
home, address = pathlib.Path(sys.argv[1]), sys.argv[2]
options = StackOptions(
    data=home / "var", cache=home / "cache", environment=dict(os.environ), address=address,
    repository=home / "repository", serve=(sys.executable, str(home / "serve.py")),
    worker=(sys.executable, "-c", "import time; time.sleep(600)"),
)
try:
    sys.exit(asyncio.run(run_stack(options, lambda event: print(event, flush=True))))
except EmbeddedError as error:
    sys.exit(str(error))
"""

SERVE = """
import os
from concurrent.futures import ThreadPoolExecutor
import grpc
import psycopg
from grpc_health.v1 import health, health_pb2_grpc
with psycopg.connect(os.environ["PINAKES_POSTGRES__OWNER_DSN"]) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS starts (pid int)")
    connection.execute("INSERT INTO starts VALUES (%s)", [os.getpid()])
server = grpc.server(ThreadPoolExecutor(2))
health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
assert server.add_insecure_port(os.environ["PINAKES_SERVER__ADDRESS"])
server.start()
server.wait_for_termination()
"""

MODEL = """
class TritonPythonModel:
    def execute(self, requests):
        return []
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    model = tmp_path / "repository" / "idle" / "1"
    model.mkdir(parents=True)
    (model / "model.py").write_text(MODEL)
    (model.parent / "config.pbtxt").write_text(
        'name: "idle"\nbackend: "python"\ninput [ { name: "X" data_type: TYPE_FP32 dims: [1] } ]\n'
        'output [ { name: "Y" data_type: TYPE_FP32 dims: [1] } ]\n'
    )
    (tmp_path / "serve.py").write_text(SERVE)
    return tmp_path


@contextmanager
def up(home: Path, address: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """`up`, ready; killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-c", UP, str(home), address],
        cwd=PROJECT,
        env=environment | {"PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_for(process, "StackReady")
            yield process
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], event: str) -> None:
    """Reads events until one has `event` in it."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or event not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], "".join(lines)


def descendants(process: subprocess.Popen[str]) -> dict[psutil.Process, str]:
    """With their names."""
    found: dict[psutil.Process, str] = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # PostgreSQL has some that come and go
            found[child] = child.name()
    assert {"postgres", "nats-server", "tritonserver", "triton_python_backend_stub"} <= {
        "triton_python_backend_stub" if name.startswith("triton_python") else name for name in found.values()
    }
    return found


def shared_memory(home: Path, environment: dict[str, str]) -> list[Path]:
    server = EmbeddedTriton(home / "repository", home / "var" / "triton", environment)
    return list(Path("/dev/shm").glob(f"{server.shared_memory_prefix}*"))


async def test_it_serves_refuses_a_second_one_stops_and_comes_back_after_kill_9(
    home: Path, environment: dict[str, str]
) -> None:
    address = f"127.0.0.1:{free_port()}"
    with up(home, address, environment) as process:
        directory = DataDirectory(home / "var")
        endpoints = directory.read_endpoints()
        assert endpoints is not None
        assert endpoints.server == address
        assert directory.endpoints_file.stat().st_mode & 0o077 == 0
        check_nats(endpoints.nats)
        check_triton(endpoints.triton)
        options = StackOptions(data=home / "var", cache=home, environment=environment)
        with pytest.raises(StackRunning, match=f"process {process.pid}"):
            await run_stack(options, lambda _: None)

        for name in ("postgres", "nats-server", "tritonserver"):
            victim = next(child for child, named in descendants(process).items() if named == name)
            victim.kill()
            wait_for(process, "HEALTHY")
        check_postgres(endpoints.postgres)
        check_nats(endpoints.nats)
        check_triton(endpoints.triton)

        children = descendants(process)
        process.kill()
        assert not still_running(children, within_s=60)

    with up(home, address, environment) as process:
        endpoints = directory.read_endpoints()
        assert endpoints is not None
        with psycopg.connect(endpoints.postgres) as connection:
            assert connection.execute("SELECT count(*) FROM starts").fetchone() == (2,)
        assert shared_memory(home, environment)
        children = descendants(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert not still_running(children, within_s=0)
    assert directory.read_endpoints() is None
    assert not directory.endpoints_file.exists()
    assert not shared_memory(home, environment)


async def test_an_address_in_use_is_refused(tmp_path: Path, nats_url: str, environment: dict[str, str]) -> None:
    address = nats_url.rpartition("@")[2]
    options = StackOptions(data=tmp_path, cache=tmp_path, environment=environment, address=address)
    with pytest.raises(PartFailed, match=f"{address} cannot be used"):
        await run_stack(options, lambda _: None)


def test_endpoints_of_a_dead_stack_are_not_given(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    directory.run.mkdir()
    directory.endpoints_file.write_text(json.dumps({"server": "a", "postgres": "b", "nats": "c", "triton": "d"}))
    (directory.run / "lock").write_text(f"{psutil.Process().pid} 1.00\n")
    assert directory.read_endpoints() is None
