from __future__ import annotations

import threading
from dataclasses import dataclass, field

from triton_models.admission import Admission, Load


@dataclass
class Gated:
    """A job that runs until it is let go, and says what became of it."""

    gate: threading.Event = field(default_factory=threading.Event)
    started: threading.Event = field(default_factory=threading.Event)
    wanted: bool = True
    became: str = ""

    def cancelled(self) -> bool:
        return not self.wanted

    def run(self) -> None:
        self.started.set()
        assert self.gate.wait(30)
        self.became = "done"

    def drop(self) -> None:
        self.became = "dropped"


def test_slots_and_queue_are_all_that_is_let_in() -> None:
    admission = Admission(workers=2, waiting=1)
    running, waiting, refused = [Gated(), Gated()], Gated(), Gated()
    try:
        assert all(admission.admit(job) for job in running)
        assert all(job.started.wait(30) for job in running)
        assert admission.admit(waiting)
        assert not admission.admit(refused)
        running[0].gate.set()
        assert waiting.started.wait(30)
    finally:
        for job in (*running, waiting):
            job.gate.set()
        admission.close(30)
    assert [job.became for job in (*running, waiting, refused)] == ["done", "done", "done", ""]


def test_idle_workers_take_jobs_without_a_queue() -> None:
    admission = Admission(workers=2, waiting=0)
    jobs = [Gated(), Gated(), Gated()]
    try:
        assert [admission.admit(job) for job in jobs] == [True, True, False]
    finally:
        for job in jobs:
            job.gate.set()
        admission.close(30)


def test_a_cancelled_job_makes_room_and_never_runs() -> None:
    admission = Admission(workers=1, waiting=1)
    running, cancelled, next_one = Gated(), Gated(), Gated()
    try:
        assert admission.admit(running)
        assert running.started.wait(30)
        assert admission.admit(cancelled)
        cancelled.wanted = False
        assert admission.admit(next_one)
        assert cancelled.became == "dropped"
    finally:
        running.gate.set()
        next_one.gate.set()
        admission.close(30)
    assert not cancelled.started.is_set()
    assert next_one.became in ("done", "dropped")


def test_closing_drops_what_waits_and_lets_nothing_in() -> None:
    admission = Admission(workers=1, waiting=2)
    running, waiting = Gated(), Gated()
    assert admission.admit(running)
    assert running.started.wait(30)
    assert admission.admit(waiting)
    running.gate.set()
    admission.close(30)
    assert running.became == "done"
    assert waiting.became in ("done", "dropped")
    assert not admission.admit(Gated())


def test_load_says_what_runs_and_what_waits() -> None:
    admission = Admission(workers=1, waiting=1)
    running, waiting = Gated(), Gated()
    try:
        assert admission.admit(running)
        assert running.started.wait(30)
        assert admission.admit(waiting)
        assert admission.load() == Load(running=1, waiting=1)
    finally:
        running.gate.set()
        waiting.gate.set()
        admission.close(30)
    assert admission.load() == Load(running=0, waiting=0)


def test_closing_waits_no_longer_than_it_may() -> None:
    admission = Admission(workers=1, waiting=0)
    stuck = Gated()
    assert admission.admit(stuck)
    assert stuck.started.wait(30)
    admission.close(0)
    assert stuck.became == ""
    stuck.gate.set()
