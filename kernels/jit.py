"""How every kernel is compiled: the one place for compile flags and for the compiled kernels' cache.

Kernels are compiled for the CPU they run on, at their first call for given argument types, and kept on disk: the
second start of a machine loads them in milliseconds. The folder is named after the kernels' sources and Numba's
version, because Numba itself does not notice a change in a function that another one calls.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.binding
import numba
import numba.extending
import platformdirs

Function = TypeVar("Function", bound=Callable[..., Any])

_FAST_MATH = {"nsz", "arcp", "contract", "afn", "reassoc"}
"""Sums may be reordered into vector lanes. Without `nnan` and `ninf`: absent scores are NaN and must compare so."""

_compiled: list[Any] = []

intrinsic: Any = numba.extending.intrinsic
"""Numba's decorator for functions written in LLVM's language; its own type says nothing of the result."""

_config: Any = numba.config
JITTED: bool = not _config.DISABLE_JIT
"""False when the environment asks for kernels as plain Python (`NUMBA_DISABLE_JIT=1`), for debugging and coverage."""


def _sources_digest() -> str:
    """Of where they are and when they were written, too: Numba keeps what it compiles by both."""
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(f"{source.resolve()} {source.stat().st_mtime_ns}\n".encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


_config.CACHE_DIR = str(platformdirs.user_cache_path("pinakes") / "kernels" / _sources_digest())


def kernel(function: Function) -> Function:
    """Compiles a pure function over arrays: without the GIL, cached on disk, bounds unchecked."""
    compiled: Any = numba.njit(nogil=True, cache=True, fastmath=_FAST_MATH, error_model="numpy")(function)
    if JITTED:
        _compiled.append(compiled)
    return cast(Function, compiled)


@contextmanager
def compiled_once(name: str) -> Iterator[None]:
    """What is called within for the first time on a machine is compiled by one process of those that start together;
    the others wait for it, and load what it has kept. Free from then on. `name`: of what is called."""
    done = Path(_config.CACHE_DIR) / f"{name}.compiled"
    if not JITTED or done.exists():
        yield
        return
    done.parent.mkdir(parents=True, exist_ok=True)
    with done.with_suffix(".lock").open("w") as file:
        # The kernel releases it when a process ends, however it ends.
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
        done.touch()


def compiled_signatures() -> dict[str, int]:
    """How many argument types each kernel is compiled for in this process. A request must never add one."""
    return {f"{each.py_func.__module__}.{each.__name__}": len(each.signatures) for each in _compiled}


def cpu_has(feature: str) -> bool:
    """Whether this CPU has an instruction set, by LLVM's name (`avx512vnni`)."""
    return bool(llvmlite.binding.get_host_cpu_features().get(feature, False))
