"""What runs between Pinakes and each of its programs, so that none of them outlives Pinakes.

The kernel can end a process whose parent died (PR_SET_PDEATHSIG), but the process has to ask for it itself. So each
program is started by this one, which asks, becomes another user if it is told to (see `service_user`), and then
becomes the program. It is done here and not between fork and exec, where Python code may deadlock if there are
threads, and there always are.

Processes of a process are not ended with it: a model of a killed Triton may run on for ever. Programs that have some
are *guarded*: the launcher stays as their parent and leads their group, passes on what it is told, ends as the program
ends, and when Pinakes is gone, ends the whole group in order and removes its shared memory.

Started by path in an isolated interpreter, without packages: about 20 ms, and 8 MB if it stays.

    launcher.py PARENT ORPHAN_SIGNAL UID:GID:CAPABILITY|- STOP_SIGNAL:GRACE_S:SHARED_MEMORY_PREFIX|- PROGRAM ARGUMENT…
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
# What the kernel sends to a guard when the parent dies. `getppid` would not do: it changes only when the parent's last
# thread is gone, which may be later.
_ORPHANED = signal.SIGHUP
_WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, _ORPHANED}
_NOT_FOUND = 127

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    parent, orphan_signal = int(sys.argv[1]), int(sys.argv[2])
    user, guard, program = sys.argv[3], sys.argv[4], sys.argv[5:]
    if user != "-":
        _become_user(*(int(number) for number in user.split(":")))
    if guard == "-":
        # After the change of user, which clears it.
        _end_with_parent(orphan_signal)
        if os.getppid() != parent:
            return 1
        _become_program(program)
    stop_signal, grace_s, shared_memory_prefix = guard.split(":", 2)
    return _guard(program, parent, int(stop_signal), float(grace_s), shared_memory_prefix)


def _become_user(uid: int, gid: int, capability: int) -> None:
    """Keeps `capability`, for good: as an ambient one it survives the exec."""
    os.setgroups([])
    os.setgid(gid)
    _check(_libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setuid(uid)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    mask = 1 << capability
    words = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    _check(_libc.capset(header, words))
    _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _end_with_parent(signal_number: int) -> None:
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0))


def _become_program(program: list[str]) -> NoReturn:
    try:
        os.execv(program[0], program)
    except OSError as error:
        sys.stderr.write(f"{program[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(_NOT_FOUND)


def _guard(program: list[str], parent: int, stop_signal: int, grace_s: float, shared_memory_prefix: str) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    _end_with_parent(_ORPHANED)
    if os.getppid() != parent:
        return 1
    child = os.fork()
    if child == 0:
        _end_with_parent(signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        _become_program(program)
    status, orphaned = _watch(child, stop_signal, grace_s)
    if orphaned or _ORPHANED in signal.sigpending() or os.getppid() != parent:
        _remove(shared_memory_prefix)
        os.killpg(0, signal.SIGKILL)
    return status


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
