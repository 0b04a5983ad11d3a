"""Triton from the wheel `nvidia-pytriton`: a real tritonserver with the python backend only.

The wheel's Python package is never imported; it is only the place where the server's files are. Started directly, the
server needs what this file does:

- a backend directory that holds the stub of the running Python version (the wheel has one for each),
- `libpython3.X.so.1.0` on its library path (pyenv and uv ship it; Debian's package is `libpython3.X`),
- the environment's interpreter first on `PATH`, so that models import the packages of this environment,
- a shared-memory prefix of its own; two servers with the same prefix crash each other.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import secrets
import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.embedded.errors import PrerequisiteMissing
from server.embedded.health import check_triton
from server.embedded.process import Launch, free_port
from server.embedded.triton_stub import write_stub

_SHARED_MEMORY = Path("/dev/shm")
_RESTRICTED = "model-repository,shared-memory,statistics,trace,logging"
_PROJECT = Path(__file__).resolve().parents[2]
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TritonOptions:
    """Ports of None are chosen. Shared memory is per model instance; it grows and never shrinks."""

    port: int | None = None
    metrics_port: int | None = None
    start_deadline_s: float = 300.0
    exit_grace_s: int = 5
    shared_memory_bytes: int = _MEGABYTE
    shared_memory_growth_bytes: int = _MEGABYTE
    verbose: int = 0


class EmbeddedTriton:
    """Serves models of `repository` over gRPC on 127.0.0.1; healthy when those of `load` are ready (`*`: all of them).
    Others can be loaded later, also such as are not there yet: what is there counts when a model is loaded.

    Loading and unloading models, shared memory and logging are open only to those who send `admin_header`. Its token
    is on the command line: it keeps out accidents, not other users of the machine.
    `data` keeps the backend directory; only one server may use it at a time. `write_repository` is called before each
    start.
    """

    name = "triton"

    def __init__(
        self,
        repository: Path,
        data: Path,
        environment: Mapping[str, str],
        options: TritonOptions | None = None,
        write_repository: Callable[[], None] = lambda: None,
        load: Sequence[str] = ("*",),
    ) -> None:
        self._repository = repository.absolute()
        self._write_repository = write_repository
        self._load = tuple(load)
        self._data = data.absolute()
        self._environment = dict(environment)
        self._options = options or TritonOptions()
        self._port = self._options.port or free_port()
        self._metrics_port = self._options.metrics_port or free_port()
        self._token = secrets.token_hex(16)

    @property
    def start_deadline_s(self) -> float:
        return self._options.start_deadline_s

    @property
    def address(self) -> str:
        """host:port of the gRPC service."""
        return f"127.0.0.1:{self._port}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self._metrics_port}/metrics"

    @property
    def admin_header(self) -> tuple[str, str]:
        """The gRPC metadata that opens the restricted calls: a secret."""
        return ("triton-grpc-protocol-pinakes", self._token)

    @property
    def shared_memory_prefix(self) -> str:
        """The same for every server of this directory, and for no other, also across containers that share /dev/shm."""
        found = self._data.stat()
        digest = hashlib.sha256(f"{self._data}:{found.st_dev}:{found.st_ino}".encode()).hexdigest()[:12]
        return f"pinakes-{digest}-"

    def prepare(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        self._assemble_backend()
        self._write_repository()
        self.clean()

    def launch(self) -> Launch:
        options = self._options
        python = {
            "shm-region-prefix-name": self.shared_memory_prefix + secrets.token_hex(4),
            "shm-default-byte-size": options.shared_memory_bytes,
            "shm-growth-byte-size": options.shared_memory_growth_bytes,
        }
        argv = [
            str(triton_wheel() / "bin" / "tritonserver"),
            f"--model-repository={self._repository}",
            "--model-control-mode=explicit",
            *(f"--load-model={name}" for name in self._load),
            # A model that cannot be loaded says nothing of the others.
            "--strict-readiness=false",
            f"--backend-directory={self._data / 'backends'}",
            f"--cache-directory={triton_wheel() / 'caches'}",
            "--allow-http=false",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={self._port}",
            f"--grpc-restricted-protocol={_RESTRICTED}:pinakes={self._token}",
            "--metrics-address=127.0.0.1",
            f"--metrics-port={self._metrics_port}",
            # Its library opens a log in /var/log.
            "--allow-gpu-metrics=false",
            # There is no GPU to copy to.
            "--pinned-memory-pool-byte-size=0",
            f"--exit-timeout-secs={options.exit_grace_s}",
            f"--log-verbose={options.verbose}",
            *(f"--backend-config=python,{name}={value}" for name, value in python.items()),
        ]
        return Launch(
            tuple(argv),
            self._server_environment(),
            self._data,
            guarded=True,
            shared_memory_prefix=self.shared_memory_prefix,
        )

    def check(self) -> None:
        check_triton(self.address)

    def clean(self) -> None:
        """Removes shared memory of servers of this data directory, all of which have ended."""
        for region in _SHARED_MEMORY.glob(self.shared_memory_prefix + "*"):
            region.unlink(missing_ok=True)

    def _assemble_backend(self) -> None:
        """Fills `backends/python` anew, so that an upgraded wheel or Python takes effect."""
        wheel = triton_wheel()
        target = self._data / "backends" / "python"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for source in (wheel / "backends" / "python").iterdir():
            (target / source.name).symlink_to(source)
        write_stub(wheel, python_version(), target / "triton_python_backend_stub")

    def _server_environment(self) -> dict[str, str]:
        libraries = [str(_libraries()), *self._environment.get("LD_LIBRARY_PATH", "").split(":")]
        libpython = libpython_directory()
        if libpython is not None:
            libraries.insert(0, str(libpython))
        programs = [sysconfig.get_path("scripts"), self._environment.get("PATH", os.defpath)]
        packages = [str(_PROJECT), sysconfig.get_path("platlib"), sysconfig.get_path("purelib")]
        return {name: value for name, value in self._environment.items() if name != "PYTHONHOME"} | {
            "LD_LIBRARY_PATH": ":".join(path for path in libraries if path),
            "PATH": ":".join(programs),
            "PYTHONPATH": ":".join(dict.fromkeys(packages)),
            "PYTHONDONTWRITEBYTECODE": "1",
            # llama.cpp's threads wait for each other many times a token. Spinning for long takes the cores that others
            # work on, sleeping at once makes every wait slow. Decoding on two cores, idle and with two busy neighbours:
            # 24 and 13 tokens/s asleep at once, 39 and 31 after a short spin; 40 idle, 2 busy when spinning on.
            "GOMP_SPINCOUNT": self._environment.get("GOMP_SPINCOUNT", "1000"),
        }


def python_version() -> str:
    """Such as 3.11."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def libpython_directory() -> Path | None:
    """The folder of this Python's shared library; None where the system's loader has to find it."""
    name = f"libpython{python_version()}.so.1.0"
    folders = (sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LIBPL"), f"{sys.base_prefix}/lib")
    return next((Path(folder) for folder in folders if folder and (Path(folder) / name).exists()), None)


def triton_wheel() -> Path:
    """The folder of the server in the wheel. Raises PrerequisiteMissing."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise PrerequisiteMissing("the Triton wheel (nvidia-pytriton) is not installed", "make setup")
    return Path(spec.origin).parent / "tritonserver"


def _libraries() -> Path:
    return triton_wheel().parent.parent / "nvidia_pytriton.libs"
