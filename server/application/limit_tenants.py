"""Keeps tenants within their quotas. What cannot be looked up is refused, as everywhere: a limit that a broken database
lifts is none. Where nothing is limited, the database is only asked, now and then, whether that is still so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import structlog
from cachetools import LRUCache

from server.application.answer_question import MOST_TOKENS, AnswerCommand, AnswerOptions
from server.application.quota_ports import QuotaStore, RequestRates, TokenLedger
from server.application.recent_readings import RecentReadings
from server.application.reuse_answers import Answering
from server.domain.answers import AnswerEvent, Completion
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, Overloaded, QuotaExceeded
from server.domain.principals import Principal
from server.domain.quotas import Quota

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class QuotaOptions:
    """`default` is for tenants without quotas of their own; as it is, nothing is limited. A quota that was read is used
    for `keep_s`. `tenants` are remembered at most."""

    default: Quota = field(default_factory=Quota)
    keep_s: float = 5.0
    tenants: int = 4_096
    slice_of_minute: int = 60
    """Requests are taken from the minute's in slices, one in so many: the database is asked once for each slice, and so
    much may be left unused by each server. What is left of a slice lapses after `slice_s`."""
    slice_s: float = 5.0
    largest_slice: int = 1_000
    shortest_refusal_s: float = 0.1
    """For so long at least, after it refused, the database is not asked again."""


class FollowQuotas:
    """What is in force for a tenant, or was less than `keep_s` ago."""

    def __init__(self, store: QuotaStore, options: QuotaOptions, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._default = options.default
        self._readings = RecentReadings(self._in_force, options.keep_s, options.tenants, now)

    async def of(self, tenant: str) -> Quota:
        """Raises DependencyUnavailable, Overloaded."""
        return await self._readings.of(tenant)

    def forget(self, tenant: str) -> None:
        """What was read of it, or is being read: it was changed here."""
        self._readings.forget(tenant)

    async def _in_force(self, tenant: str) -> Quota:
        return (await self._store.own(tenant)).over(self._default)


@dataclass(slots=True)
class _Slice:
    """What is left of the requests that were taken for a tenant, until when they may be made, and until when no more
    are asked for."""

    left: int = 0
    until: float = 0.0
    refused_until: float = 0.0
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)


class LimitRequests:
    def __init__(
        self,
        quotas: FollowQuotas,
        rates: RequestRates,
        options: QuotaOptions,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quotas = quotas
        self._rates = rates
        self._options = options
        self._now = now
        self._slices: LRUCache[str, _Slice] = LRUCache(options.tenants)

    async def spend(self, tenant: str) -> None:
        """One request. Raises QuotaExceeded, DependencyUnavailable, Overloaded. Cost: the database is asked once for
        each slice."""
        limit = (await self._quotas.of(tenant)).requests_per_minute
        if limit is None:
            return
        own = self._slices.get(tenant)
        if own is None:
            own = self._slices[tenant] = _Slice()
        if not self._take(own):
            async with own.taking:
                # Those who waited here find what the first one took, or that there was nothing.
                if not self._take(own):
                    await self._refill(tenant, limit, own)

    def _take(self, own: _Slice) -> bool:
        if own.left > 0 and self._now() < own.until:
            own.left -= 1
            return True
        return False

    async def _refill(self, tenant: str, limit: int, own: _Slice) -> None:
        """With one request less, which is the caller's."""
        wait_s = own.refused_until - self._now()
        if wait_s <= 0:
            wanted = max(1, min(limit // self._options.slice_of_minute, self._options.largest_slice))
            granted = await self._rates.take(tenant, limit, wanted)
            if granted:
                own.left, own.until = granted - 1, self._now() + self._options.slice_s
                return
            wait_s = max(self._options.shortest_refusal_s, await self._rates.room_in_s(tenant, limit))
            own.refused_until = self._now() + wait_s
        raise QuotaExceeded("requests_per_minute", limit, wait_s)


@dataclass(slots=True)
class Spending:
    """`tokens`: what was written; None, while nobody knows: as much as was reserved counts then."""

    tokens: int | None = None


class MeterTokens:
    """Tokens are reserved before a model writes, as many as it may write, and corrected when it has ended: so that no
    number of calls at once exceeds a quota. A call that is broken off counts as all that it had reserved."""

    def __init__(self, quotas: FollowQuotas, ledger: TokenLedger) -> None:
        self._quotas = quotas
        self._ledger = ledger

    @asynccontextmanager
    async def spending(self, tenant: str, most: int) -> AsyncIterator[Spending]:
        """Raises QuotaExceeded before anything is written, DependencyUnavailable, Overloaded."""
        quota = await self._quotas.of(tenant)
        limited = quota.tokens_per_day is not None or quota.tokens_per_month is not None
        reserved = most if limited else 0
        if limited:
            await self._ledger.reserve(tenant, most, quota)
        spent = Spending()
        try:
            yield spent
        finally:
            more = 0 if spent.tokens is None else spent.tokens - reserved
            if more:
                await asyncio.shield(self._correct(tenant, more))

    async def _correct(self, tenant: str, tokens: int) -> None:
        try:
            await self._ledger.correct(tenant, tokens)
        except (DependencyUnavailable, Overloaded) as error:
            _log.warning("tokens_not_counted", tenant=tenant, tokens=tokens, error=type(error).__name__)


class MeterAnswers:
    """An Answering before another one, which counts what is generated for it."""

    def __init__(self, answering: Answering, meter: MeterTokens, options: AnswerOptions) -> None:
        self._answering = answering
        self._meter = meter
        self._options = options

    @property
    def longest_question(self) -> int:
        return self._answering.longest_question

    async def run(
        self, principal: Principal, command: AnswerCommand, deadline: Deadline
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Raises QuotaExceeded, and as the other one does."""
        own = self._options
        usual = own.fields_max_tokens if command.response_schema else own.max_tokens
        # What is beyond the most that may be asked for is refused further on.
        most = min(command.max_tokens or usual, MOST_TOKENS)
        async with (
            self._meter.spending(principal.tenant, most) as spending,
            aclosing(self._answering.run(principal, command, deadline)) as events,
        ):
            async for event in events:
                if isinstance(event, Completion):
                    spending.tokens = 0 if event.usage is None else event.usage.completion_tokens
                yield event
