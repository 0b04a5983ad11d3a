"""What is wrong with the machine and the configuration, each finding with the command that mends it."""

from __future__ import annotations

import enum
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from server.embedded.data_directory import DataDirectory
from server.embedded.errors import EmbeddedError, PartFailed, PrerequisiteMissing
from server.embedded.health import NotReady, check_grpc_server, check_nats, check_postgres, check_triton
from server.embedded.nats import nats_program
from server.embedded.postgres import postgres_program
from server.embedded.service_user import service_user
from server.embedded.stack import StackOptions, check_free
from server.embedded.triton import libpython_directory, python_version, triton_wheel
from server.embedded.triton_stub import write_stub

_GIGABYTE = 1_000_000_000
_MEGABYTE = 1_000_000
_PYTHONS = ("3.11", "3.12", "3.13")
_GLIBC = (2, 35)
_CPU_WANTED = ("avx512_vnni", "avx512f", "avx2")


class Verdict(enum.Enum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`fix` is one command or one change, empty where nothing has to be done."""

    subject: str
    verdict: Verdict
    message: str
    fix: str = ""


def examine(options: StackOptions) -> Iterator[Finding]:
    """Looks at everything, in the order in which problems cause each other. Blocks; changes nothing; under 10 s,
    most of it for hashing the models."""
    yield _python()
    yield _platform()
    yield _processor()
    yield _memory()
    yield from _disks(options)
    yield _data_directory(options)
    if options.triton_address is None:
        yield _triton(options)
        yield _libpython()
        yield _shared_memory()
        yield _models(options)
    if options.postgres_dsn is None:
        yield _program("postgresql", lambda: postgres_program("postgres"))
    if options.nats_url is None:
        yield _program("nats", nats_program)
    yield from _parts(options)


def healthy(findings: list[Finding]) -> bool:
    return all(finding.verdict is not Verdict.FAIL for finding in findings)


def _python() -> Finding:
    if python_version() in _PYTHONS:
        return Finding("python", Verdict.OK, f"{platform.python_version()} at {sys.executable}")
    return Finding(
        "python", Verdict.FAIL, f"{python_version()} is not one of {', '.join(_PYTHONS)}", "make clean setup"
    )


def _platform() -> Finding:
    library, version = platform.libc_ver()
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return Finding("platform", Verdict.FAIL, f"{platform.system()} on {platform.machine()} is not Linux on x86-64")
    numbers = tuple(int(part) for part in version.split(".")[:2]) if version else ()
    if library != "glibc" or numbers < _GLIBC:
        wanted = ".".join(map(str, _GLIBC))
        message = f"{library or 'the C library'} {version} is not glibc {wanted} or later"
        return Finding("platform", Verdict.FAIL, message, "use Debian 12, Ubuntu 22.04 or later")
    return Finding("platform", Verdict.OK, f"Linux {platform.release()} on x86-64, glibc {version}")


def _processor() -> Finding:
    flags = set[str]()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            flags = set(line.split())
            break
    cores = len(os.sched_getaffinity(0))
    best = next((flag for flag in _CPU_WANTED if flag in flags), None)
    if best is None:
        return Finding("processor", Verdict.WARN, f"{cores} cores without AVX2: search and models will be slow")
    return Finding("processor", Verdict.OK, f"{cores} cores with {best}")


def _memory() -> Finding:
    available = psutil.virtual_memory().available
    limit = _container_limit_bytes()
    if limit is not None:
        available = min(available, limit)
    message = f"{available / _GIGABYTE:.1f} GB available"
    if available < 2 * _GIGABYTE:
        return Finding("memory", Verdict.FAIL, message, "free memory, or raise the container's limit to 4 GB")
    if available < 4 * _GIGABYTE:
        return Finding("memory", Verdict.WARN, f"{message}, 4 GB are better")
    return Finding("memory", Verdict.OK, message)


def _container_limit_bytes() -> int | None:
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return None
    return int(limit) if limit.isdigit() else None


def _disks(options: StackOptions) -> Iterator[Finding]:
    for subject, path in (("data directory", options.data), ("model cache", options.cache)):
        existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
        free = shutil.disk_usage(existing).free
        message = f"{free / _GIGABYTE:.1f} GB free for the {subject} at {path}"
        if free < _GIGABYTE:
            yield Finding("disk", Verdict.FAIL, message, f"free space on the file system of {existing}")
        elif free < 5 * _GIGABYTE:
            yield Finding("disk", Verdict.WARN, message, f"free space on the file system of {existing}")
        else:
            yield Finding("disk", Verdict.OK, message)


def _data_directory(options: StackOptions) -> Finding:
    data = options.data.absolute()
    existing = next(folder for folder in (data, *data.parents) if folder.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding("data", Verdict.FAIL, f"{existing} cannot be written", f"sudo chown -R $USER {existing}")
    try:
        user = service_user(data / "postgres" / "cluster") if options.postgres_dsn is None else None
    except PrerequisiteMissing as problem:
        return Finding("data", Verdict.FAIL, problem.what, problem.fix)
    owner = DataDirectory(data).owner()
    state = f"in use by process {owner}" if owner is not None else "not in use"
    root = f"; PostgreSQL runs as {user.name}, because this is root" if user is not None else ""
    return Finding("data", Verdict.OK, f"{data} is {state}{root}")


def _triton(options: StackOptions) -> Finding:
    def check() -> Path:
        with tempfile.TemporaryDirectory() as folder:
            write_stub(triton_wheel(), python_version(), Path(folder, "stub"))
        return triton_wheel() / "bin" / "tritonserver"

    return _program("triton", check)


def _libpython() -> Finding:
    version = python_version()
    name = f"libpython{version}.so.1.0"
    folder = libpython_directory()
    if folder is not None:
        return Finding("libpython", Verdict.OK, f"{folder / name}")
    # The wheel of Triton brings the library for 3.13.
    if version == "3.13" or any(Path(path, name).exists() for path in ("/usr/lib/x86_64-linux-gnu", "/usr/lib64")):
        return Finding("libpython", Verdict.OK, f"{name} is where the loader finds it")
    message = f"{name} is missing, which Triton runs its models with"
    return Finding("libpython", Verdict.FAIL, message, f"sudo apt-get install -y libpython{version}")


def _shared_memory() -> Finding:
    usage = shutil.disk_usage("/dev/shm")
    message = f"{usage.free / _MEGABYTE:.0f} of {usage.total / _MEGABYTE:.0f} MB free in /dev/shm"
    fix = "give the container more: docker run --shm-size=256m"
    if usage.free < 16 * _MEGABYTE:
        return Finding("shared memory", Verdict.FAIL, message, fix)
    if usage.free < 60 * _MEGABYTE:
        return Finding("shared memory", Verdict.WARN, message, fix)
    return Finding("shared memory", Verdict.OK, message)


def _models(options: StackOptions) -> Finding:
    from triton_models.errors import ModelFilesError
    from triton_models.preparation import find_prepared
    from triton_models.prepared import PreparedModels

    if options.repository is not None:
        return Finding("models", Verdict.OK, f"the repository {options.repository}")
    try:
        folder = find_prepared(options.cache)
        if folder is None:
            return Finding("models", Verdict.FAIL, f"they are not prepared in {options.cache}", "make setup")
        models = PreparedModels.open(folder)
        models.verify()
    except ModelFilesError as problem:
        fix = f"rm -r {options.cache / 'models'} {options.cache / 'slots'} && make setup"
        return Finding("models", Verdict.FAIL, str(problem), fix)
    return Finding("models", Verdict.OK, f"{', '.join(models.slots)} are intact in {folder}")


def _program(subject: str, find: Callable[[], Path]) -> Finding:
    try:
        return Finding(subject, Verdict.OK, str(find()))
    except PrerequisiteMissing as problem:
        return Finding(subject, Verdict.FAIL, problem.what, problem.fix)
    except EmbeddedError as problem:
        return Finding(subject, Verdict.FAIL, str(problem), "make setup")


def _parts(options: StackOptions) -> Iterator[Finding]:
    """Every part that is external or, in a stack that runs now, embedded."""
    directory = DataDirectory(options.data.absolute())
    running = directory.read_endpoints()
    check_nats_here = partial(check_nats, handshake_first=options.nats_handshake_first)
    check_triton_here = partial(check_triton, tls=options.triton_tls)
    addresses: dict[str, tuple[Callable[[str], None], str | None, str | None]] = {
        "postgres": (check_postgres, options.postgres_dsn, running.postgres if running else None),
        "nats": (check_nats_here, options.nats_url, running.nats if running else None),
        "triton": (check_triton_here, options.triton_address, running.triton if running else None),
        "server": (check_grpc_server, None, running.health if running else None),
    }
    for name, (check, external, embedded) in addresses.items():
        address = external or embedded
        if address is not None:
            yield _health(name, partial(check, address), "external" if external else "of the running stack")
    if running is None and directory.owner() is not None:
        fix = f"wait, or look into {directory.logs}"
        yield Finding("stack", Verdict.WARN, "it is starting, or a part of it does not start", fix)
    elif running is None:
        yield _address(options)


def _health(name: str, check: Callable[[], None], where: str) -> Finding:
    try:
        check()
    except NotReady as problem:
        message = f"the one {where} does not answer: {problem}"
        fix = "start it, or correct its address" if where == "external" else f"look into its log, log/{name}.log"
        return Finding(name, Verdict.FAIL, message, fix)
    return Finding(name, Verdict.OK, f"the one {where} answers")


def _address(options: StackOptions) -> Finding:
    try:
        check_free(options.address)
    except PartFailed as problem:
        return Finding("address", Verdict.FAIL, problem.reason, "PINAKES_SERVER__ADDRESS=127.0.0.1:7701 make up")
    return Finding("address", Verdict.OK, f"{options.address} is free")
