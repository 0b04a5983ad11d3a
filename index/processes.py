"""Work in a process of its own: it takes no turns of the interpreter from searches, may have a lower priority than
they have, and can be ended at any moment.

A helper runs functions, which are named by where they are imported from, one after another. It ends with the process
that started it, whatever ends that one: its standard input is a pipe that is closed then.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any, ParamSpec, TypeVar

from index.errors import HelperFailed, HelperStopped

P = ParamSpec("P")
R = TypeVar("R")

IDLE_S = 60.0
"""A helper that was asked nothing for so long ends, which frees its memory."""
_PROGRAM = "import os, sys; sys.path[:] = sys.argv.pop().split(os.pathsep); from index.processes import main; main()"


class HelperProcess:
    """Runs functions in another process: started when there is something to run, and again if it has ended. For any
    thread; calls wait for one another, and for their results, without the GIL."""

    def __init__(self, niceness: int = 0, idle_s: float = IDLE_S, answer_s: float | None = None) -> None:
        """niceness: added to that of this process; 19 is the lowest priority there is. answer_s: a call may take so
        long; None where nobody can tell, and who waits ends it by `stop`."""
        self._niceness = niceness
        self._idle_s = idle_s
        self._answer_s = answer_s
        self._calling = threading.Lock()
        self._changing = threading.Lock()
        self._child: _Child | None = None
        self._stopped = False

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        with self._changing:
            return self._child.pid if self._child is not None and self._child.alive else None

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """function(*args, **kwargs), of which everything is pickled. Cost: some 0.1 ms, and a second when the process
        has to be started.

        Raises what the function raises; HelperFailed if the process ends meanwhile, cannot be started, or takes longer
        than `answer_s` (it is ended then); HelperStopped after `stop`.
        """
        request = pickle.dumps((function, args, kwargs), pickle.HIGHEST_PROTOCOL)
        with self._calling:
            child = self._asked(request)
            try:
                if not child.connection.poll(self._answer_s):
                    child.kill()
                outcome: _Outcome = child.connection.recv()
            except (EOFError, OSError) as error:
                raise self._gone(child) from error
        if outcome.error is not None:
            raise outcome.error
        value: R = outcome.value
        return value

    def stop(self) -> None:
        """Ends the process, in the middle of a call if need be. There are no calls after it."""
        with self._changing:
            self._stopped = True
            if self._child is not None:
                self._child.kill()
        with self._calling:  # whoever reads from the pipe is through with it now
            if self._child is not None:
                self._child.end()
                self._child = None

    def _asked(self, request: bytes) -> _Child:
        """The process, once it has begun with the request. One that was there may have been idle for too long just as
        it was asked, and never saw the request: so there is a second attempt."""
        with self._changing:
            child = self._child
        for _ in range(2):
            child = child or self._started()
            try:
                child.connection.send_bytes(request)
                child.connection.recv_bytes()
            except (EOFError, OSError):
                failure = self._gone(child)
                child = None
            else:
                return child
        raise failure

    def _started(self) -> _Child:
        with self._changing:
            if self._stopped:
                raise HelperStopped
            try:
                self._child = _Child(self._niceness, self._idle_s)
            except OSError as error:
                raise HelperFailed(str(error)) from error
            return self._child

    def _gone(self, child: _Child) -> HelperFailed | HelperStopped:
        """What is to be raised."""
        with self._changing:
            self._child = None
            stopped = self._stopped
        status = child.end()
        return HelperStopped() if stopped else HelperFailed(f"it ended with the status {status}")


class _Child:
    def __init__(self, niceness: int, idle_s: float) -> None:
        """Raises OSError."""
        modules = os.pathsep.join(path or os.curdir for path in sys.path)
        self.connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), str(niceness), str(idle_s), modules],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self.pid = self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> int:
        """The exit status, negative for a signal."""
        self._process.kill()
        return self._process.wait()

    def end(self) -> int:
        """The exit status. For whoever uses the connection."""
        status = self.kill()
        self.connection.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        return status


class _Outcome:
    """Of a function: the value that it returned or the error that it raised."""

    def __init__(self, value: object, error: Exception | None) -> None:
        self.value: Any = value
        self.error = error


def main() -> None:
    """The program of a helper. Arguments: its end of the pipe, niceness, seconds that it may be idle."""
    connection, niceness, idle_s = Connection(int(sys.argv[1])), int(sys.argv[2]), float(sys.argv[3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for whoever started this
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(niceness)
    with suppress(EOFError, OSError):
        while connection.poll(idle_s):
            request = connection.recv_bytes()
            connection.send_bytes(b"begun")
            connection.send_bytes(_answer(request))


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _answer(request: bytes) -> bytes:
    try:
        function, args, kwargs = pickle.loads(request)
        return pickle.dumps(_Outcome(function(*args, **kwargs), None), pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001 - whatever it is, the one who asked is to know
        return _pickled_error(error)


def _pickled_error(error: Exception) -> bytes:
    """Errors that pickle does not bring back as they are become HelperFailed."""
    error.add_note(traceback.format_exc())
    try:
        pickled = pickle.dumps(_Outcome(None, error))
        pickle.loads(pickled)
    except Exception:  # noqa: BLE001 - an error's class may do anything
        return pickle.dumps(_Outcome(None, HelperFailed(traceback.format_exc())))
    return pickled
