"""The whole of Pinakes on one machine: what `up` runs."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from server.application.tls_files import TlsFiles
from server.embedded.data_directory import DataDirectory, Endpoints
from server.embedded.errors import PartFailed
from server.embedded.events import FirstKeyMade, StackEvent, StackReady
from server.embedded.health import check_grpc_server, check_nats, check_postgres, check_triton
from server.embedded.model_repository import ModelRepository
from server.embedded.nats import EmbeddedNats, NatsOptions
from server.embedded.postgres import EmbeddedPostgres, PostgresOptions
from server.embedded.process import Part
from server.embedded.programs import ExternalPart, PythonProgram
from server.embedded.supervisor import Supervised, Supervisor, SupervisorOptions
from server.embedded.triton import EmbeddedTriton, TritonOptions

_PROJECT = Path(__file__).resolve().parents[2]
_BESIDE_TRITON_S = 120.0
"""What the server needs beyond Triton's own start: kernels are compiled the first time, the index is opened."""


@dataclass(frozen=True, slots=True)
class StackOptions:
    """`environment` is what the processes inherit. A part whose address is given is external: watched, not started.

    `serve` and `worker` are commands; they find everything through the variables that `child_environment` sets.
    `repository` is a Triton model repository to serve, all of it, instead of the prepared models of `profile`; of these
    the server has those loaded that it needs. `catalogue` is a file with models beside the package's, if it is there.
    """

    data: Path
    cache: Path
    environment: Mapping[str, str]
    address: str = "127.0.0.1:7700"
    health_address: str = ""
    """Where the server's health is asked for, in the clear, if not at `address`: with TLS it has to be."""
    postgres_dsn: str | None = None
    nats_url: str | None = None
    triton_address: str | None = None
    triton_tls: TlsFiles | None = None
    """For an external Triton that is called over TLS."""
    nats_handshake_first: TlsFiles | None = None
    """For an external NATS that says nothing before TLS."""
    profile: str = "cpu"
    catalogue: Path | None = None
    repository: Path | None = None
    serve: tuple[str, ...] = (sys.executable, "-m", "server", "serve")
    worker: tuple[str, ...] = (sys.executable, "-m", "server", "worker")
    postgres: PostgresOptions = field(default_factory=PostgresOptions)
    nats: NatsOptions = field(default_factory=NatsOptions)
    triton: TritonOptions = field(default_factory=TritonOptions)
    supervisor: SupervisorOptions = field(default_factory=SupervisorOptions)


async def run_stack(options: StackOptions, on_event: Callable[[StackEvent], None]) -> int:
    """Starts what is not external, serves until SIGTERM or SIGINT, and takes all of it down; returns 0.

    A second signal kills what still runs. If this process is killed, the kernel ends the children. Raises
    EmbeddedError: another stack owns the data directory, or a part does not start.
    """
    began = time.monotonic()
    directory = DataDirectory(options.data.absolute())
    known = directory.admin_key_file.exists()
    with directory.owned() as lock:
        directory.forget_endpoints()
        check_free(options.address)
        parts, endpoints = _compose(options, directory)
        supervisor = Supervisor(parts, directory.logs, on_event, options.supervisor, inherited=(lock,))
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        for number in signals:
            loop.add_signal_handler(number, supervisor.stop)
        announcement = asyncio.create_task(_announce(supervisor, directory, endpoints, began, on_event, known))
        try:
            await supervisor.run()
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
            announcement.cancel()
            await asyncio.wait((announcement,))
            directory.forget_endpoints()
    return 0


def check_free(address: str) -> None:
    """gRPC would share the port with whoever has it (SO_REUSEPORT), and the health check might meet the other one."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as exc:
            raise PartFailed("server", f"{address} cannot be used: {exc.strerror}; choose another address") from exc


def child_environment(options: StackOptions, endpoints: Endpoints) -> dict[str, str]:
    """What `serve` and `worker` get: the inherited environment, and every address as a setting."""
    return dict(options.environment) | {
        "PINAKES_POSTGRES__DSN": endpoints.postgres,
        "PINAKES_NATS__URL": endpoints.nats,
        "PINAKES_TRITON__ADDRESS": endpoints.triton,
        "PINAKES_SERVER__ADDRESS": endpoints.server,
        **({"PINAKES_SERVER__HEALTH_ADDRESS": endpoints.health} if endpoints.health != endpoints.server else {}),
        "PINAKES_DATA_DIR": str(options.data.absolute()),
        "PINAKES_CACHE_DIR": str(options.cache.absolute()),
        **_catalogue(options),
    }


def _compose(options: StackOptions, directory: DataDirectory) -> tuple[list[Supervised], Endpoints]:
    postgres, dsn, roles = _postgres(options, directory)
    nats, url = _nats(options, directory)
    triton, address = _triton(options, directory)
    health = options.health_address or options.address
    endpoints = Endpoints(server=options.address, health=health, postgres=dsn, nats=url, triton=address)
    environment = child_environment(options, endpoints)
    serve = PythonProgram(
        "server",
        options.serve,
        environment | _model_control(triton) | roles,
        _PROJECT,
        probe=partial(check_grpc_server, health),
        start_deadline_s=triton.start_deadline_s + _BESIDE_TRITON_S,
    )
    worker = PythonProgram("worker", options.worker, environment | roles, _PROJECT)
    # Triton takes longest to start, so ours start beside it and wait for its models themselves.
    ours = [Supervised(program, after=("postgres", "nats"), uses=("triton",)) for program in (serve, worker)]
    return [Supervised(postgres), Supervised(nats), Supervised(triton), *ours], endpoints


def _postgres(options: StackOptions, directory: DataDirectory) -> tuple[Part, str, dict[str, str]]:
    """The part, its address as its owner, and what server and worker are told of the roles to work as."""
    if options.postgres_dsn is not None:
        return ExternalPart("postgres", partial(check_postgres, options.postgres_dsn)), options.postgres_dsn, {}
    server = EmbeddedPostgres(directory.path / "postgres", options.environment, options.postgres)
    roles = {"PINAKES_POSTGRES__DSN": server.application_dsn, "PINAKES_POSTGRES__OWNER_DSN": server.dsn}
    return server, server.dsn, roles


def _nats(options: StackOptions, directory: DataDirectory) -> tuple[Part, str]:
    if options.nats_url is not None:
        check = partial(check_nats, options.nats_url, options.nats_handshake_first)
        return ExternalPart("nats", check), options.nats_url
    server = EmbeddedNats(directory.path / "nats", options.environment, options.nats)
    return server, server.url


def _triton(options: StackOptions, directory: DataDirectory) -> tuple[Part, str]:
    if options.triton_address is not None:
        return ExternalPart(
            "triton", partial(check_triton, options.triton_address, options.triton_tls)
        ), options.triton_address
    data = directory.path / "triton"
    if options.repository is not None:
        server = EmbeddedTriton(options.repository, data, options.environment, options.triton)
    else:
        catalogue = None if options.catalogue is None else options.catalogue.absolute()
        models = ModelRepository(options.profile, options.cache, data / "repository", catalogue, directory.path)
        models.check()
        server = EmbeddedTriton(models.path, data, options.environment, options.triton, models.write, load=())
    return server, server.address


def _catalogue(options: StackOptions) -> dict[str, str]:
    """The children have another working directory; and what is not there may come later."""
    if options.catalogue is None or not options.catalogue.exists():
        return {}
    return {"PINAKES_MODELS__CATALOGUE": str(options.catalogue.absolute())}


def _model_control(triton: Part) -> dict[str, str]:
    """What only the server gets, which alone loads and unloads models. Whoever runs Triton elsewhere sets it."""
    if not isinstance(triton, EmbeddedTriton):
        return {}
    header, token = triton.admin_header
    return {"PINAKES_TRITON__CONTROL_HEADER": header, "PINAKES_TRITON__CONTROL_TOKEN": token}


async def _announce(
    supervisor: Supervisor,
    directory: DataDirectory,
    endpoints: Endpoints,
    began: float,
    on_event: Callable[[StackEvent], None],
    known: bool,
) -> None:
    if await supervisor.healthy():
        directory.write_endpoints(endpoints)
        if not known and directory.admin_key_file.exists():
            key = directory.admin_key_file.read_text(encoding="utf-8").strip()
            on_event(FirstKeyMade(str(directory.admin_key_file), key))
        on_event(StackReady(endpoints.server, time.monotonic() - began))
