"""Stands for `python -m server up`: does what its first argument says, until SIGTERM."""

from __future__ import annotations

import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def main() -> None:
    behaviour, data = sys.argv[1], Path(sys.argv[-1])
    if behaviour == "ends":
        sys.stderr.write("no model is installed\n")
        sys.exit(3)
    if behaviour == "stays":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if behaviour == "serves":
        serve(data)
    (data / "began").touch()
    signal.sigwait({signal.SIGTERM, signal.SIGUSR1})
    (data / "stopped").touch()


def serve(data: Path) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = grpc.server(ThreadPoolExecutor(1))
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    (data / "run").mkdir()
    (data / "run" / "endpoints.json").write_text(json.dumps({"server": f"127.0.0.1:{port}", "triton": "127.0.0.1:1"}))


if __name__ == "__main__":
    main()
