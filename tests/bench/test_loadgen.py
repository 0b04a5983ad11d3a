"""Load is sent on schedule, counted from the schedule, and always ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from bench.loadgen import (
    NOT_SENT,
    UNFINISHED,
    Bounds,
    Operation,
    OperationFailed,
    alternating,
    constant_schedule,
    open_loop,
    poisson_schedule,
    single_caller,
)
from tests.bench.virtual_time import run_in_virtual_time

BOUNDS = Bounds(limit_s=100, max_in_flight=10, drain_s=5)


def lasting(seconds: Callable[[int], float]) -> Operation:
    async def operation(number: int) -> Mapping[str, float]:
        await asyncio.sleep(seconds(number))
        return {"total": seconds(number)}

    return operation


def test_open_loop_does_not_wait_for_slow_calls() -> None:
    samples = run_in_virtual_time(open_loop(lasting(lambda n: 4.0 if n == 0 else 0.5), [0.0, 1.0, 2.0], BOUNDS))
    assert [sample.sent_s for sample in samples] == pytest.approx([0, 1, 2])
    assert [sample.latency_s for sample in samples] == pytest.approx([4, 0.5, 0.5])
    assert [sample.stages_s for sample in samples] == [{"total": 4.0}, {"total": 0.5}, {"total": 0.5}]


def test_open_loop_counts_latency_from_the_schedule() -> None:
    """With one slot the second call waits three seconds for the first; these belong to its latency."""
    bounds = Bounds(limit_s=100, max_in_flight=1)
    samples = run_in_virtual_time(open_loop(lasting(lambda _: 4.0), [0.0, 1.0, 9.0], bounds))
    assert [sample.scheduled_s for sample in samples] == [0, 1, 9]
    assert [sample.sent_s for sample in samples] == pytest.approx([0, 4, 9])
    assert [sample.latency_s for sample in samples] == pytest.approx([4, 7, 4])


def test_open_loop_counts_a_stalled_generator() -> None:
    """A generator that could not send on time does not make the server look fast."""

    async def blocked() -> tuple[float | None, float]:
        loop = asyncio.get_running_loop()
        stalled = asyncio.create_task(open_loop(lasting(lambda _: 1.0), [2.0], BOUNDS))
        await asyncio.sleep(1)
        jumping = getattr(loop, "_jumping")  # noqa: B009
        jumping.now += 6
        (sample,) = await stalled
        return sample.sent_s, sample.latency_s

    sent_s, latency_s = run_in_virtual_time(blocked())
    assert sent_s == pytest.approx(7)
    assert latency_s == pytest.approx(6)


def test_open_loop_stops_sending_at_its_limit_and_cancels_what_hangs() -> None:
    cancelled: list[int] = []

    async def hangs(number: int) -> Mapping[str, float]:
        try:
            await asyncio.sleep(1 if number == 0 else 1e9)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return {}

    async def timed() -> tuple[float, list[tuple[str, float]]]:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        samples = await open_loop(hangs, constant_schedule(1, 100), Bounds(limit_s=3.5, drain_s=2))
        return loop.time() - begun, [(sample.error, sample.latency_s) for sample in samples]

    took_s, outcomes = run_in_virtual_time(timed())
    assert took_s == pytest.approx(5.5)
    assert cancelled == [1, 2, 3]
    assert [error for error, _ in outcomes] == ["", *[UNFINISHED] * 3, *[NOT_SENT] * 96]
    assert outcomes[3][1] == pytest.approx(2.5)
    assert outcomes[4][1] == pytest.approx(1.5)


def test_open_loop_ends_when_every_slot_hangs() -> None:
    samples = run_in_virtual_time(
        open_loop(lasting(lambda _: 1e9), [0.0, 0.0, 0.0], Bounds(limit_s=2, max_in_flight=2, drain_s=1))
    )
    assert [sample.error for sample in samples] == [UNFINISHED, UNFINISHED, NOT_SENT]


def test_failed_calls_are_samples() -> None:
    async def fails(number: int) -> Mapping[str, float]:
        await asyncio.sleep(0.25)
        raise OperationFailed("OVERLOADED")

    (sample,) = run_in_virtual_time(open_loop(fails, [1.0], BOUNDS))
    assert sample.error == "OVERLOADED"
    assert sample.latency_s == pytest.approx(0.25)
    assert run_in_virtual_time(single_caller(fails, 2, 10))[1].error == "OVERLOADED"


def test_a_defect_of_the_bench_ends_the_run_and_its_calls() -> None:
    cancelled: list[int] = []

    async def breaks(number: int) -> Mapping[str, float]:
        if number == 1:
            raise ZeroDivisionError
        try:
            await asyncio.sleep(1e9)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return {}

    with pytest.raises(ZeroDivisionError):
        run_in_virtual_time(open_loop(breaks, constant_schedule(1, 1000), Bounds(limit_s=1e6)))
    assert cancelled[0] == 0
    assert len(cancelled) < 5


def test_single_caller_sends_one_at_a_time_and_stops() -> None:
    running = 0

    async def alone(number: int) -> Mapping[str, float]:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(2)
        running -= 1
        return {}

    samples = run_in_virtual_time(single_caller(alone, 100, limit_s=7))
    assert [sample.sent_s for sample in samples] == pytest.approx([0, 2, 4, 6])
    assert [sample.latency_s for sample in samples] == pytest.approx([2, 2, 2, 2])


def test_alternating_turns_the_order_around() -> None:
    order: list[str] = []

    def noting(name: str) -> Operation:
        async def operation(number: int) -> Mapping[str, float]:
            order.append(f"{name}{number}")
            return {}

        return operation

    samples = run_in_virtual_time(alternating({"a": noting("a"), "b": noting("b")}, 3, 10))
    assert order == ["a0", "b0", "b1", "a1", "a2", "b2"]
    assert [sample.number for sample in samples["b"]] == [0, 1, 2]


def test_poisson_schedule_has_the_rate_and_the_spread_of_independent_callers() -> None:
    gaps = np.diff(poisson_schedule(20, 20_000, np.random.default_rng(7)))
    assert gaps.min() > 0
    assert gaps.mean() == pytest.approx(1 / 20, rel=0.03)
    assert gaps.std() == pytest.approx(1 / 20, rel=0.05)
    assert poisson_schedule(20, 5, np.random.default_rng(7)) == poisson_schedule(20, 5, np.random.default_rng(7))


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_schedule_needs_a_rate(rate: float) -> None:
    makers: list[Callable[[], object]] = [
        lambda: constant_schedule(rate, 1),
        lambda: poisson_schedule(rate, 1, np.random.default_rng(0)),
    ]
    for make in makers:
        with pytest.raises(ValueError, match="rate"):
            make()
