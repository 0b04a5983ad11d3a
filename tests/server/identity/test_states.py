"""What is kept in memory of credentials is never older than what was told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.identity_states import IdentityStates, StateOptions
from server.domain.errors import DependencyUnavailable, Overloaded, StageDeadline


class Told:
    """Changes that a test tells."""

    def __init__(self) -> None:
        self.heard = True
        self._listener: Callable[[str, str], None] = lambda kind, name: None

    def listen(self, changed: Callable[[str, str], None]) -> None:
        self._listener = changed

    def tell(self, kind: str, name: str) -> None:
        self._listener(kind, name)


class Rows:
    """A database whose reads wait for the gate and see what was there when they began."""

    def __init__(self) -> None:
        self.value = 0
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None

    async def begun(self, reads: int) -> None:
        """Returns when so many reads have begun."""
        async with asyncio.timeout(60):
            while self.reads < reads:  # noqa: ASYNC110 - what is waited for happens in code that knows no test
                await asyncio.sleep(0)

    async def read(self) -> int:
        self.reads += 1
        seen = self.value
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return seen


async def test_what_is_kept_is_read_once() -> None:
    states, rows = IdentityStates(Told(), StateOptions()), Rows()
    assert [await states.get("key", "k", rows.read) for _ in range(3)] == [0, 0, 0]
    assert rows.reads == 1


async def test_callers_at_the_same_time_share_a_read() -> None:
    states, rows = IdentityStates(Told(), StateOptions(reads=1, waiting=1)), Rows()
    rows.gate.clear()
    calls = [asyncio.ensure_future(states.get("key", "k", rows.read)) for _ in range(20)]
    await asyncio.sleep(0)
    # One who leaves takes nothing from the others.
    calls[0].cancel()
    rows.gate.set()
    assert await asyncio.gather(*calls[1:]) == [0] * 19
    assert rows.reads == 1


async def test_a_read_that_a_change_has_overtaken_is_neither_kept_nor_joined() -> None:
    told, rows = Told(), Rows()
    states = IdentityStates(told, StateOptions())
    rows.gate.clear()
    early = asyncio.ensure_future(states.get("key", "k", rows.read))
    await rows.begun(1)
    rows.value = 1
    told.tell("key", "k")
    late = asyncio.ensure_future(states.get("key", "k", rows.read))
    await rows.begun(2)
    rows.gate.set()
    assert (await early, await late) == (0, 1)
    assert await states.get("key", "k", rows.read) == 1


async def test_while_nothing_is_heard_everybody_reads() -> None:
    told, rows = Told(), Rows()
    states = IdentityStates(told, StateOptions())
    await states.get("key", "k", rows.read)
    told.heard = False
    rows.value = 1
    assert [await states.get("key", "k", rows.read) for _ in range(2)] == [1, 1]
    rows.failure = DependencyUnavailable("PostgreSQL", "gone")
    with pytest.raises(DependencyUnavailable):
        await states.get("key", "k", rows.read)
    assert rows.reads == 4


async def test_so_many_wait_and_no_more() -> None:
    states, rows = IdentityStates(Told(), StateOptions(reads=1, waiting=3)), Rows()
    rows.gate.clear()
    calls = [asyncio.ensure_future(states.get("key", str(number), rows.read)) for number in range(3)]
    await rows.begun(1)
    with pytest.raises(Overloaded):
        await states.get("key", "one more", rows.read)
    rows.gate.set()
    assert await asyncio.gather(*calls) == [0, 0, 0]
    assert await states.get("key", "one more", rows.read) == 0


async def test_who_waits_too_long_is_refused() -> None:
    states, rows = IdentityStates(Told(), StateOptions(limit_s=0.01)), Rows()
    rows.gate.clear()
    with pytest.raises(StageDeadline):
        await states.get("key", "k", rows.read)


_NAMES = st.sampled_from(["a", "b"])
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), st.sampled_from(["key", "session", "token"]), _NAMES),
        st.tuples(st.just("change"), st.sampled_from(["key", "session", "token", "user", ""]), _NAMES),
        st.tuples(st.sampled_from(["deaf", "hears"]), st.just(""), st.just("")),
    ),
    max_size=40,
)


@given(_STEPS)
def test_no_get_returns_less_than_what_was_told(steps: list[tuple[str, str, str]]) -> None:
    """Rows change and are told of, or change while nobody hears: a get sees the newest that it can know of."""

    async def run() -> None:
        told = Told()
        states = IdentityStates(told, StateOptions())
        rows: dict[tuple[str, str], int] = {}
        for action, kind, name in steps:
            if action == "get":
                key = (kind, name)

                async def read(key: tuple[str, str] = key) -> int:
                    return rows.setdefault(key, 1)

                assert await states.get(kind, name, read) == rows[key]
            elif action == "change":
                # A user's change may change what all sessions and keys may do; an empty kind stands for anything.
                for each in rows:
                    if each == (kind, name) or not kind or (kind == "user" and each[0] in ("session", "key")):
                        rows[each] += 1
                if told.heard:
                    told.tell(kind, name)
            else:
                if action == "hears" and not told.heard:
                    told.tell("", "")
                told.heard = action == "hears"

    asyncio.run(run())
