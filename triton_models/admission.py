"""Lets a bounded number of jobs in: so many run, so many wait, the rest are turned away at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol


class Job(Protocol):
    def cancelled(self) -> bool:
        """Whether nobody wants the result any more."""

    def run(self) -> None:
        """Does the work. Called in a worker's thread; must not raise."""

    def drop(self) -> None:
        """Ends a job that was cancelled before it ran. Must not raise."""


@dataclass(frozen=True, slots=True)
class Load:
    """Jobs that run, and jobs that wait (for a moment also those that a free worker is about to take)."""

    running: int
    waiting: int


class Admission:
    """`workers` threads take jobs in the order of their admission; at most `waiting` wait."""

    def __init__(self, workers: int, waiting: int) -> None:
        self._limit = waiting
        self._idle = workers
        self._workers = workers
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._work, name=f"job-{i}", daemon=True) for i in range(workers)]
        for thread in self._threads:
            thread.start()

    def admit(self, job: Job) -> bool:
        """False if the queue is full; `job` is then not kept. Waiting jobs that were cancelled make room."""
        with self._changed:
            if len(self._waiting) >= self._idle + self._limit:
                self._drop_cancelled()
            if self._closed or len(self._waiting) >= self._idle + self._limit:
                return False
            self._waiting.append(job)
            self._changed.notify()
            return True

    def load(self) -> Load:
        with self._changed:
            return Load(self._workers - self._idle, len(self._waiting))

    def close(self, timeout_s: float) -> None:
        """Drops what waits, and returns when what runs has ended or the time is over."""
        until = time.monotonic() + timeout_s
        with self._changed:
            self._closed = True
            while self._waiting:
                self._waiting.popleft().drop()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if job.cancelled():
                job.drop()
            else:
                job.run()
            with self._changed:
                self._idle += 1

    def _next(self) -> Job | None:
        with self._changed:
            while not self._waiting:
                if self._closed:
                    return None
                self._changed.wait()
            self._idle -= 1
            return self._waiting.popleft()

    def _drop_cancelled(self) -> None:
        wanted = deque[Job]()
        for job in self._waiting:
            if job.cancelled():
                job.drop()
            else:
                wanted.append(job)
        self._waiting = wanted
