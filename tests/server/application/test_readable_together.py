"""Calls that ask at the same time what they may read are answered together, each as if it had asked alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from server.application import readable_together
from server.application.readable_together import ReadableTogether
from server.domain.errors import DependencyUnavailable, PinakesError
from server.domain.principals import Principal
from tests.server.application.doubles import PRINCIPAL, ScriptedStore, passage

OTHER = replace(PRINCIPAL, user="other")
NAMES = ("a", "b", "c", "d")


@dataclass
class HeldStore(ScriptedStore):
    """Looks when a test lets it, and counts how often it is asked."""

    asked: list[tuple[str, set[str], int]] = field(default_factory=list)
    failure: PinakesError | None = None
    held: list[asyncio.Event] = field(default_factory=list)

    async def readable(self, principal: Principal, chunk_ids: Sequence[str], position: int) -> set[str]:
        self.asked.append((principal.user, set(chunk_ids), position))
        let_go = asyncio.Event()
        self.held.append(let_go)
        await let_go.wait()
        if self.failure is not None:
            raise self.failure
        return await super().readable(principal, chunk_ids, position)

    async def look(self) -> None:
        """Answers what is asked now, and lets everybody hear it."""
        for let_go in self.held:
            let_go.set()
        self.held.clear()
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
def store() -> HeldStore:
    return HeldStore({name: passage(name, name) for name in NAMES})


@pytest.fixture
def together(store: HeldStore) -> ReadableTogether:
    return ReadableTogether(store)


def ask(
    together: ReadableTogether, *names: str, principal: Principal = PRINCIPAL, position: int = 7
) -> asyncio.Task[set[str]]:
    return asyncio.create_task(together.readable(principal, names, position))


async def begun() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_comes_while_one_asks_is_answered_with_all_the_others(
    store: HeldStore, together: ReadableTogether
) -> None:
    first = ask(together, "a", "b")
    await begun()
    later = [ask(together, "a"), ask(together, "b", "c"), ask(together, "d", "unknown")]
    await begun()
    assert store.asked == [(PRINCIPAL.user, {"a", "b"}, 7)]
    await store.look()
    await store.look()
    assert store.asked[1:] == [(PRINCIPAL.user, {"a", "b", "c", "d", "unknown"}, 7)]
    assert [await each for each in (first, *later)] == [{"a", "b"}, {"a"}, {"b", "c"}, {"d"}]


async def test_nobody_is_told_what_was_true_before_he_came(store: HeldStore, together: ReadableTogether) -> None:
    first = ask(together, "a")
    await begun()
    store.withheld.add((PRINCIPAL.user, "b"))
    second = ask(together, "a", "b")
    await store.look()
    store.withheld.add((PRINCIPAL.user, "a"))
    await store.look()
    assert (await first, await second) == ({"a"}, set())


async def test_others_and_other_positions_are_asked_for_apart(store: HeldStore, together: ReadableTogether) -> None:
    store.withheld.add((OTHER.user, "a"))
    calls = [ask(together, "a"), ask(together, "a", principal=OTHER), ask(together, "a", position=8)]
    await begun()
    assert store.asked == [(PRINCIPAL.user, {"a"}, 7), (OTHER.user, {"a"}, 7), (PRINCIPAL.user, {"a"}, 8)]
    await store.look()
    assert [await each for each in calls] == [{"a"}, set(), {"a"}]


async def test_one_question_has_a_bound(
    store: HeldStore, together: ReadableTogether, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readable_together, "_MOST_CHUNKS", 2)
    first = ask(together, "a")
    await begun()
    later = [ask(together, name) for name in NAMES]
    await begun()
    for _ in range(3):
        await store.look()
    assert [chunk_ids for _, chunk_ids, _ in store.asked] == [{"a"}, {"a", "b"}, {"c", "d"}]
    assert [await each for each in (first, *later)] == [{"a"}, {"a"}, {"b"}, {"c"}, {"d"}]


async def test_a_failure_is_told_to_those_who_asked_and_to_nobody_after_them(
    store: HeldStore, together: ReadableTogether
) -> None:
    store.failure = DependencyUnavailable("PostgreSQL", "gone")
    failing = [ask(together, "a"), ask(together, "b")]
    await begun()
    after = ask(together, "a")
    await store.look()
    store.failure = None
    await store.look()
    for each in failing:
        with pytest.raises(DependencyUnavailable):
            await each
    assert await after == {"a"}


async def test_who_leaves_leaves_the_others_their_answer(store: HeldStore, together: ReadableTogether) -> None:
    leaving, staying = ask(together, "a"), ask(together, "b")
    await begun()
    leaving.cancel()
    await store.look()
    assert await staying == {"b"}
    assert leaving.cancelled()


async def test_nothing_is_left_of_what_was_asked(store: HeldStore, together: ReadableTogether) -> None:
    calls = [ask(together, "a"), ask(together, "a", principal=OTHER)]
    await begun()
    calls.append(ask(together, "b"))
    await store.look()
    await store.look()
    await asyncio.gather(*calls)
    await begun()
    assert (together._open, together._last) == ({}, {})
