"""Which policy holds, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from server.application.privacy.follow_policies import FollowPolicies, PolicyOptions
from server.application.privacy.look_after_privacy import MOST_CHARACTERS, LookAfterPrivacy
from server.domain.errors import DependencyUnavailable, InvalidField
from server.domain.privacy import PiiKind, PrivacyAction, PrivacyPolicy
from tests.server.application.doubles import PRINCIPAL

MASK = {PiiKind.EMAIL: PrivacyAction.MASK_IN_ANSWERS}


@dataclass
class Store:
    """Answers when it is `open`."""

    policies: dict[str, PrivacyPolicy] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    down: bool = False

    async def get(self, tenant: str) -> PrivacyPolicy:
        self.read.append(tenant)
        self.begun.set()
        # What it is when the reading begins: the oldest that may be told.
        policy = self.policies.get(tenant, PrivacyPolicy())
        await self.open.wait()
        if self.down:
            raise DependencyUnavailable("PostgreSQL", "it is down")
        return policy

    async def change(self, tenant: str, actions: Mapping[PiiKind, PrivacyAction], user: str) -> PrivacyPolicy:
        version = self.policies.get(tenant, PrivacyPolicy()).version + 1
        self.policies[tenant] = PrivacyPolicy(version, dict(actions), updated_by=user)
        return self.policies[tenant]


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def following(keep_s: float = 0.0) -> tuple[Store, Clock, FollowPolicies]:
    store, clock = Store(), Clock()
    store.open.set()
    return store, clock, FollowPolicies(store, PolicyOptions(keep_s), clock)


def test_each_action_includes_those_before_it() -> None:
    policy = PrivacyPolicy(1, dict(zip(PiiKind, PrivacyAction, strict=False)))
    email, phone, card, account, *_ = PiiKind
    assert policy.masked == {phone, card, account}
    assert policy.at_least(PrivacyAction.MASK_AT_INGESTION) == {card, account}
    assert policy.at_least(PrivacyAction.BLOCK) == {account}
    assert email not in policy.masked


async def test_a_policy_is_read_again_when_its_time_has_passed() -> None:
    store, clock, policies = following(keep_s=1.0)
    assert await policies.of("a") == await policies.of("a") == PrivacyPolicy()
    await store.change("a", MASK, "ana")
    clock.now = 0.99
    assert (await policies.of("a")).version == 0
    clock.now = 1.0
    assert (await policies.of("a")).version == 1
    assert (await policies.of("b")).version == 0
    assert store.read == ["a", "a", "b"]


async def test_a_policy_is_as_old_as_the_beginning_of_its_reading() -> None:
    store, clock, policies = following(keep_s=1.0)
    store.open.clear()
    reading = asyncio.create_task(policies.of("a"))
    await store.begun.wait()
    await store.change("a", MASK, "ana")
    clock.now = 1.0
    store.open.set()
    assert (await reading).version == 0
    assert (await policies.of("a")).version == 1


async def test_who_asks_after_a_change_does_not_wait_for_a_reading_of_before_it() -> None:
    store, clock, policies = following(keep_s=1.0)
    store.open.clear()
    stuck = asyncio.create_task(policies.of("a"))
    await store.begun.wait()
    await store.change("a", MASK, "ana")
    clock.now = 1.0
    asked = asyncio.create_task(policies.of("a"))
    while len(store.read) < 2:  # noqa: ASYNC110 - it begins in the next turns of the loop
        await asyncio.sleep(0)
    store.open.set()
    assert (await stuck).version == 0
    assert (await asked).version == (await policies.of("a")).version == 1


async def test_who_asks_at_the_same_time_shares_one_reading() -> None:
    store, _, policies = following(keep_s=1.0)
    await asyncio.gather(*(policies.of("a") for _ in range(50)))
    assert store.read == ["a"]


async def test_without_the_store_no_policy_is_guessed() -> None:
    store, clock, policies = following(keep_s=1.0)
    await policies.of("a")
    store.down, clock.now = True, 1.0
    with pytest.raises(DependencyUnavailable):
        await policies.of("a")
    store.down = False
    assert (await policies.of("a")).version == 0


async def test_a_change_waits_until_nobody_uses_an_older_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    store, _, policies = following(keep_s=7.0)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        assert store.policies["a"].version == 1, "it is kept before the time begins"
        slept.append(seconds)

    monkeypatch.setattr("server.application.privacy.follow_policies.asyncio.sleep", sleep)
    await policies.change("a", MASK, "ana")
    assert slept == [7.0]


async def test_rules_and_texts_are_checked() -> None:
    store, _, policies = following()
    privacy = LookAfterPrivacy(store, policies)
    for rules in ([], [(PiiKind.EMAIL, PrivacyAction.OFF), (PiiKind.EMAIL, PrivacyAction.BLOCK)]):
        with pytest.raises(InvalidField):
            await privacy.change(PRINCIPAL, rules)
    with pytest.raises(InvalidField):
        await privacy.scan("x" * (MOST_CHARACTERS + 1))
    changed = await privacy.change(PRINCIPAL, list(MASK.items()))
    assert changed == await privacy.policy(PRINCIPAL)
    assert (changed.version, changed.updated_by) == (1, PRINCIPAL.user)
    scanned = await privacy.scan("a@example.org")
    assert scanned.masked_text == "[email]"
