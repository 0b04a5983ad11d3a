"""Limits in one process: how often the database is asked, and what happens when it does not answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from server.application.limit_tenants import FollowQuotas, LimitRequests, QuotaOptions
from server.application.quota_ports import HeldQuota, HeldQuotaPage
from server.domain.errors import DependencyUnavailable, QuotaExceeded
from server.domain.quotas import Quota


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Store:
    quota: Quota
    reads: int = 0
    fails: bool = False
    held_up: asyncio.Event | None = None
    """What is read from now on is told when this is set."""

    async def own(self, tenant: str) -> Quota:
        self.reads += 1
        quota, held_up = self.quota, self.held_up
        await asyncio.sleep(0)
        if self.fails:
            raise DependencyUnavailable("PostgreSQL", "gone")
        if held_up is not None:
            await held_up.wait()
        return quota

    async def get(self, tenant: str) -> HeldQuota:
        raise NotImplementedError

    async def set(self, tenant: str, quota: Quota) -> HeldQuota:
        raise NotImplementedError

    async def page(self, size: int, token: str) -> HeldQuotaPage:
        raise NotImplementedError


@dataclass
class Rates:
    room: int
    asked: list[int] = field(default_factory=list)

    async def take(self, tenant: str, per_minute: int, wanted: int) -> int:
        self.asked.append(wanted)
        await asyncio.sleep(0)
        granted = min(wanted, self.room)
        self.room -= granted
        return granted

    async def room_in_s(self, tenant: str, per_minute: int) -> float:
        return 3.0


def limits(store: Store, rates: Rates, clock: Clock) -> LimitRequests:
    options = QuotaOptions()
    return LimitRequests(FollowQuotas(store, options, clock), rates, options, clock)


async def test_the_database_is_asked_once_for_a_slice() -> None:
    rates, clock = Rates(600), Clock()
    own = limits(Store(Quota(requests_per_minute=600)), rates, clock)
    outcomes = await asyncio.gather(*(own.spend("acme") for _ in range(700)), return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 600
    assert rates.asked == [10] * 61


async def test_what_is_refused_is_not_asked_for_again_until_there_may_be_room() -> None:
    rates, clock = Rates(0), Clock()
    own = limits(Store(Quota(requests_per_minute=600)), rates, clock)
    for _ in range(5):
        with pytest.raises(QuotaExceeded) as refusal:
            await own.spend("acme")
        assert refusal.value.retry_after_s == pytest.approx(3.0)
    assert len(rates.asked) == 1
    rates.room = 100
    clock.now += 3.5
    await own.spend("acme")


async def test_what_is_left_of_a_slice_lapses() -> None:
    rates, clock = Rates(20), Clock()
    own = limits(Store(Quota(requests_per_minute=600)), rates, clock)
    await own.spend("acme")
    clock.now += 6.0
    await own.spend("acme")
    assert len(rates.asked) == 2


async def test_without_a_limit_nothing_is_asked_but_whether_that_is_so() -> None:
    rates, clock, store = Rates(0), Clock(), Store(Quota())
    own = limits(store, rates, clock)
    await asyncio.gather(*(own.spend("acme") for _ in range(100)))
    assert (store.reads, rates.asked) == (1, [])
    clock.now += 6.0
    await own.spend("acme")
    assert store.reads == 2


async def test_a_limit_that_cannot_be_looked_up_is_not_lifted() -> None:
    clock, store = Clock(), Store(Quota())
    own = limits(store, Rates(0), clock)
    await own.spend("acme")
    store.fails = True
    await own.spend("acme")
    clock.now += 6.0
    with pytest.raises(DependencyUnavailable):
        await own.spend("acme")
    store.fails = False
    await own.spend("acme")


@pytest.mark.parametrize("told", [True, False])
async def test_who_asks_after_a_change_does_not_wait_for_a_reading_of_before_it(told: bool) -> None:
    """Whether the change was made here, or by another server longer ago than a reading is used."""
    clock, store = Clock(), Store(Quota(), held_up=asyncio.Event())
    quotas = FollowQuotas(store, QuotaOptions(), clock)
    before = asyncio.create_task(quotas.of("acme"))
    while store.reads == 0:  # noqa: ASYNC110 - of code that knows no test
        await asyncio.sleep(0)
    held_up, store.held_up, store.quota = store.held_up, None, Quota(documents=1)
    assert held_up is not None
    if told:
        quotas.forget("acme")
    else:
        clock.now += 5.0
    assert (await quotas.of("acme")).documents == 1
    held_up.set()
    assert (await before).documents is None
    assert (await quotas.of("acme")).documents == 1, "the older reading, which ends later, does not take its place"
    assert store.reads == 2
