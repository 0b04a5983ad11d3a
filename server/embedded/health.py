"""Whether a part answers, wherever it runs. Each check blocks for at most `CHECK_S`."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.parse
import urllib.request
from contextlib import ExitStack

import grpc
import psycopg
import tritonclient.grpc as triton_grpc
from grpc_health.v1 import health_pb2
from tritonclient.utils import InferenceServerException

from server.application.tls_files import TlsFiles

CHECK_S = 2.0
_NATS_PORT = 4222
_INFO_LIMIT_BYTES = 64 * 1024


class NotReady(Exception):
    """A part does not answer (yet). The message says how it failed, without secrets."""


def check_postgres(dsn: str) -> None:
    try:
        with psycopg.connect(dsn, connect_timeout=int(CHECK_S)) as connection:
            connection.execute("select 1")
    except psycopg.Error as exc:
        raise NotReady(str(exc).strip() or type(exc).__name__) from exc


def check_nats(url: str, handshake_first: TlsFiles | None = None) -> None:
    """Reads the greeting of the first reachable server of a comma-separated list; JetStream must be on."""
    problems = []
    for one in url.split(","):
        address = urllib.parse.urlsplit(one.strip() if "://" in one else f"nats://{one.strip()}")
        try:
            greeting = _nats_greeting(address.hostname or "127.0.0.1", address.port or _NATS_PORT, handshake_first)
        except (OSError, ValueError) as exc:
            problems.append(f"{address.hostname}:{address.port or _NATS_PORT}: {exc}")
            continue
        if greeting.get("jetstream"):
            return
        problems.append(f"{address.hostname}: JetStream is off")
    raise NotReady("; ".join(problems))


def check_http(url: str) -> None:
    try:
        with urllib.request.urlopen(url, timeout=CHECK_S) as response:
            response.read()
    except (urllib.error.URLError, OSError) as exc:
        raise NotReady(f"{url}: {exc}") from exc


def check_triton(address: str, tls: TlsFiles | None = None) -> None:
    files = tls or TlsFiles()
    names = [None if file is None else str(file) for file in (files.root_file, files.key_file, files.certificate_file)]
    client = triton_grpc.InferenceServerClient(address, False, tls is not None, *names)
    try:
        if not client.is_server_ready(client_timeout=CHECK_S):
            raise NotReady("models are loading")
    except InferenceServerException as exc:
        raise NotReady(str(exc)) from exc
    finally:
        client.close()


def check_grpc_server(address: str) -> None:
    """Asks the standard health service (`grpc.health.v1`) about the whole server."""
    with grpc.insecure_channel(address) as channel:
        check: grpc.UnaryUnaryMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(), timeout=CHECK_S)
        except grpc.RpcError as exc:
            raise NotReady(exc.code().name) from exc
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise NotReady(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def _nats_greeting(host: str, port: int, handshake_first: TlsFiles | None) -> dict[str, object]:
    """The first line that a NATS server sends: `INFO {…}`."""
    with ExitStack() as opened:
        connection = opened.enter_context(socket.create_connection((host, port), timeout=CHECK_S))
        if handshake_first is not None:
            secured = handshake_first.context().wrap_socket(connection, server_hostname=host)
            connection = opened.enter_context(secured)
        line = opened.enter_context(connection.makefile("rb")).readline(_INFO_LIMIT_BYTES)
    if not line.startswith(b"INFO "):
        raise ValueError("not a NATS server")
    greeting: dict[str, object] = json.loads(line[len("INFO ") :])
    return greeting
