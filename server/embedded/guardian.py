"""Stands between Pinakes and a program that has processes of its own, so that none of them outlives Pinakes.

The kernel ends a process whose parent died (PR_SET_PDEATHSIG), but not the processes of that process: a model of a
killed Triton may run on for ever. The guardian is the parent instead. It leads the group, passes on what it is told,
ends as the program ends, and when Pinakes is gone, ends the whole group in order and removes its shared memory.

A program of its own, started by path with an isolated interpreter and no packages: about 20 ms and 8 MB.

    guardian.py PARENT STOP_SIGNAL GRACE_S SHARED_MEMORY_PREFIX PROGRAM ARGUMENT…
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
# What the kernel sends when the parent dies. `getppid` would not do: it changes only when the parent's last thread is
# gone, which may be later.
_ORPHANED = signal.SIGHUP
_WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, _ORPHANED}
_NOT_FOUND = 127


def main() -> int:
    parent, stop_signal, grace_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    shared_memory_prefix, program = sys.argv[4], sys.argv[5:]
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    child = os.fork()
    if child == 0:
        _become(program)
    status, orphaned = _watch(child, stop_signal, grace_s)
    if orphaned or _ORPHANED in signal.sigpending() or os.getppid() != parent:
        _remove(shared_memory_prefix)
        os.killpg(0, signal.SIGKILL)
    return status


def _become(program: list[str]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
    try:
        os.execv(program[0], program)
    except OSError as error:
        sys.stderr.write(f"{program[0]}: {error.strerror}\n")
    os._exit(_NOT_FOUND)


def _watch(child: int, stop_signal: int, grace_s: float) -> tuple[int, bool]:
    """Passes on requests to stop until the child has ended; returns its status, as a shell would say it, and whether
    the parent died meanwhile."""
    kill_at: float | None = None
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code, kill_at is not None
        if kill_at is None:
            received = signal.sigwaitinfo(_WATCHED).si_signo
            if received == _ORPHANED:
                kill_at = time.monotonic() + grace_s
            if received != signal.SIGCHLD:
                os.kill(child, stop_signal)
        elif signal.sigtimedwait(_WATCHED, max(0.0, kill_at - time.monotonic())) is None:
            os.kill(child, signal.SIGKILL)
            kill_at += grace_s


def _remove(shared_memory_prefix: str) -> None:
    if not shared_memory_prefix:
        return
    for region in os.scandir("/dev/shm"):
        if region.name.startswith(shared_memory_prefix):
            os.unlink(region.path)  # noqa: PTH108 - pathlib would double the start time


if __name__ == "__main__":
    sys.exit(main())
