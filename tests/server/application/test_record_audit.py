"""Records are stored before what they tell of is done or answered, or it is not done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from server.application.record_audit import RecordAudit, RecordOptions, system_record
from server.domain.audit import AuditClass, AuditRecord, ChainId
from server.domain.errors import AuditBroken, DependencyUnavailable, Overloaded
from tests.server.application.audit_doubles import MemoryAuditLog, NoAnchors

AUDIT, ACCESS = ChainId("acme", AuditClass.AUDIT), ChainId("acme", AuditClass.ACCESS)
GONE = DependencyUnavailable("PostgreSQL", "OperationalError")
NEVER_S = 3_600.0


def record(action: str, chain: ChainId = AUDIT) -> AuditRecord:
    return system_record(chain.tenant, chain.audit_class, action, "")


@asynccontextmanager
async def recording(log: MemoryAuditLog, **options: float) -> AsyncIterator[RecordAudit]:
    recorder = RecordAudit(log, NoAnchors(), RecordOptions(**{"linger_s": 0.001, **options}))  # type: ignore[arg-type]
    async with asyncio.timeout(60), recorder.running():
        yield recorder


async def until(condition: object) -> None:
    assert callable(condition)
    while not condition():  # noqa: ASYNC110 - what is waited for happens in code that knows no test
        await asyncio.sleep(0.001)


def actions(log: MemoryAuditLog) -> list[str]:
    return [each.action for each in log.records]


async def test_who_must_be_recorded_first_waits_for_it(log: MemoryAuditLog) -> None:
    async with recording(log) as recorder:
        log.gate.clear()
        with recorder.place(AUDIT) as place:
            first = asyncio.ensure_future(place.first(record("begun")))
            await until(lambda: log.asked == 1)
            assert not first.done()
            log.gate.set()
            await first
            assert actions(log) == ["begun"]


async def test_those_who_wait_together_are_stored_together(log: MemoryAuditLog) -> None:
    async with recording(log, linger_s=NEVER_S) as recorder:
        log.gate.clear()
        with recorder.place(AUDIT) as place:
            calls = [asyncio.ensure_future(place.first(record(f"{number}"))) for number in range(50)]
            await until(lambda: log.asked == 1)
            log.gate.set()
            await asyncio.gather(*calls)
    assert len(log.batches) <= 2
    assert sorted(map(int, actions(log))) == list(range(50))


async def test_what_nobody_waits_for_is_stored_with_what_comes(log: MemoryAuditLog) -> None:
    async with recording(log, linger_s=NEVER_S) as recorder:
        with recorder.place(ACCESS) as place:
            for number in range(5):
                place.later(record(f"{number}", ACCESS))
            await asyncio.sleep(0)
            assert not log.batches
            await place.outcome(record("now"))
        assert len(log.batches) == 1
        assert actions(log) == ["0", "1", "2", "3", "4", "now"]


async def test_without_the_database_nothing_begins(log: MemoryAuditLog) -> None:
    log.failure = GONE
    async with recording(log) as recorder:
        with recorder.place(AUDIT) as place, pytest.raises(DependencyUnavailable):
            await place.first(record("begun"))
        log.failure = None
        with recorder.place(AUDIT) as place:
            await place.first(record("later"))
    # It did not happen, and so is not recorded.
    assert actions(log) == ["later"]


async def test_what_was_done_while_the_database_went_away_is_recorded_when_it_is_back(log: MemoryAuditLog) -> None:
    async with recording(log) as recorder:
        with recorder.place(AUDIT) as place:
            await place.first(record("begun"))
            log.failure = GONE
            # The caller learns that it is not known to be recorded.
            with pytest.raises(DependencyUnavailable):
                await place.outcome(record("done"))
            place.later(record("shown"))
        log.failure = None
        await until(lambda: recorder.waiting == 0 and len(log.records) == 3)
    assert actions(log) == ["begun", "done", "shown"]


async def test_a_database_that_does_not_answer_keeps_nobody_waiting_for_ever(log: MemoryAuditLog) -> None:
    async with recording(log, patience_s=0.01) as recorder:
        log.gate.clear()
        with recorder.place(AUDIT) as place, pytest.raises(DependencyUnavailable):
            await place.first(record("begun"))
        log.gate.set()


async def test_a_caller_that_left_before_is_not_recorded_and_one_that_did_something_is(log: MemoryAuditLog) -> None:
    async with recording(log) as recorder:
        log.gate.clear()
        with recorder.place(AUDIT) as place:
            held = asyncio.ensure_future(place.first(record("held")))
            await until(lambda: log.asked == 1)
            left = asyncio.ensure_future(place.first(record("left")))
            did = asyncio.ensure_future(place.outcome(record("did")))
            await until(lambda: recorder.waiting == 2)
            for each in (left, did):
                each.cancel()
            await asyncio.wait([left, did])
            log.gate.set()
            await held
        await until(lambda: recorder.waiting == 0)
    assert actions(log) == ["held", "did"]


async def test_calls_that_could_not_be_recorded_are_refused_before_they_begin(log: MemoryAuditLog) -> None:
    log.failure = GONE
    async with recording(log, places=4) as recorder:
        for number in range(4):
            with recorder.place(ACCESS) as place:
                place.later(record(f"{number}", ACCESS))
        with pytest.raises(Overloaded), recorder.place(ACCESS):
            raise AssertionError("it must not run")
        log.failure = None
        await until(lambda: recorder.waiting == 0)
        with recorder.place(ACCESS) as one, recorder.place(ACCESS) as two:
            assert one is not two
            # Those that run have places, too.
            with recorder.place(ACCESS), recorder.place(ACCESS), pytest.raises(Overloaded), recorder.place(ACCESS):
                raise AssertionError("it must not run")
    assert actions(log) == ["0", "1", "2", "3"]


async def test_a_flood_of_refused_calls_is_counted_and_takes_nobodys_place(log: MemoryAuditLog) -> None:
    async with recording(log, places=4, refusals=3, linger_s=NEVER_S) as recorder:
        for _ in range(1_000):
            recorder.refused(record("refused"))
        assert recorder.waiting == 3
        with recorder.place(AUDIT) as place:
            await place.first(record("begun"))
        # Others' are not drowned in it, and storing those that were recorded lets in no more.
        recorder.refused(record("another's", ChainId("rival", AuditClass.AUDIT)))
        recorder.refused(record("refused"))
    assert actions(log) == ["refused"] * 3 + ["begun", "another's", "audit.refusals_omitted"]
    assert (log.records[-1].tenant, log.records[-1].detail) == ("acme", "actor_kind=system;calls=998")


async def test_how_many_were_refused_is_told_when_their_time_is_over(log: MemoryAuditLog) -> None:
    async with recording(log, refusals=1, refusal_window_s=0.05, anchor_every_s=0.001) as recorder:
        for _ in range(5):
            recorder.refused(record("refused"))
        await until(lambda: actions(log) == ["refused", "audit.refusals_omitted"])
        recorder.refused(record("refused"))
        await until(lambda: actions(log)[2:] == ["refused"])
    assert log.records[1].detail == "actor_kind=system;calls=4"


async def test_refused_calls_are_only_counted_while_nothing_more_can_wait(log: MemoryAuditLog) -> None:
    log.failure = GONE
    # Each is in a window of its own.
    async with recording(log, places=4, refusal_window_s=0.0, linger_s=NEVER_S) as recorder:
        for _ in range(100):
            recorder.refused(record("refused"))
        assert recorder.waiting == 4
        log.failure = None
    assert actions(log) == ["refused"] * 4 + ["audit.refusals_omitted"]
    assert log.records[-1].detail == "actor_kind=system;calls=96"


async def test_what_a_broken_chain_refuses_holds_no_earlier_call(log: MemoryAuditLog) -> None:
    log.broken[ACCESS] = AuditBroken("acme", "access", 7, "changed")
    async with recording(log) as recorder:
        with recorder.place(ACCESS) as place, pytest.raises(AuditBroken):
            await place.first(record("first", ACCESS))
        frames = []
        for _ in range(5):
            with pytest.raises(AuditBroken) as refused, recorder.place(ACCESS):
                raise AssertionError("it must not run")
            frames.append(len(refused.traceback))
    assert frames == frames[:1] * 5


async def test_nothing_is_done_that_a_broken_chain_would_have_to_record(log: MemoryAuditLog) -> None:
    log.broken[ACCESS] = AuditBroken("acme", "access", 7, "changed")
    async with recording(log, broken_s=0.0) as recorder:
        with recorder.place(ACCESS) as place, pytest.raises(AuditBroken):
            await place.first(record("first", ACCESS))
        with pytest.raises(AuditBroken), recorder.place(ACCESS):
            raise AssertionError("it must not run")
        # Other chains go on.
        with recorder.place(AUDIT) as place:
            await place.first(record("another"))
        log.broken.clear()
        # The recorder finds out by itself, and not by letting a call run.
        while True:
            try:
                with recorder.place(ACCESS) as place:
                    await place.first(record("second", ACCESS))
                break
            except AuditBroken:
                await asyncio.sleep(0.001)
    assert set(actions(log)[:-1]) == {"another", "audit.resumed"}
    assert actions(log)[-1] == "second"


async def test_what_is_left_is_stored_at_the_end(log: MemoryAuditLog) -> None:
    async with recording(log, linger_s=NEVER_S) as recorder:
        for number in range(600):
            recorder.take(record(f"{number}"))
    assert actions(log) == [f"{number}" for number in range(600)]
    assert max(map(len, log.batches)) <= RecordOptions().batch


@pytest.fixture
def log() -> MemoryAuditLog:
    return MemoryAuditLog()
