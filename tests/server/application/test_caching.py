from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.caching import BoundedCache, CacheOptions, SharedWork, held_bytes
from server.domain.conditions import AllOf, Not, OfDocuments
from server.domain.deadline import Deadline
from server.domain.errors import Overloaded, StageDeadline
from server.domain.passages import SearchFilter
from server.domain.principals import Principal

LONG = 60.0


class Clock:
    """Read by the thread that made it alone."""

    def __init__(self) -> None:
        self.now = 0.0
        self.owner = threading.get_ident()

    def __call__(self) -> float:
        assert threading.get_ident() == self.owner
        return self.now


def cache_of(
    entries: int = 10, size_bytes: int = 100, keep_s: float = 60.0, now: Clock | None = None
) -> BoundedCache[str, str]:
    return BoundedCache(CacheOptions(entries, size_bytes, keep_s), lambda key, value: len(value), now or Clock())


def test_a_value_is_found_in_its_version_alone() -> None:
    cache = cache_of()
    cache.keep("key", 1, "value")
    assert cache.find("key", 1) == "value"
    assert cache.find("other", 1) is None
    assert cache.find("key", 2) is None
    assert (cache.find("key", 1), cache.entries) == (None, 0), "what is stale is dropped when it is noticed"
    assert (cache.use.hits, cache.use.stale) == (1, 1)


def test_what_is_of_earlier_versions_goes_when_a_new_one_is_kept() -> None:
    cache = cache_of()
    for key in "ab":
        cache.keep(key, 1, key)
    cache.keep("c", 2, "c")
    assert (cache.entries, cache.size_bytes, cache.use.stale) == (1, 1, 2)
    assert [cache.find(key, 2) for key in "abc"] == [None, None, "c"]


def test_a_refused_value_is_gone_and_was_no_hit() -> None:
    cache = cache_of()
    cache.keep("key", 1, "value")
    assert cache.find("key", 1) == "value"
    cache.refuse("key")
    assert cache.find("key", 1) is None
    assert (cache.use.hits, cache.use.stale, cache.entries, cache.size_bytes) == (0, 1, 0, 0)


def test_values_are_kept_for_a_while() -> None:
    clock = Clock()
    cache = cache_of(keep_s=60, now=clock)
    cache.keep("key", 1, "value")
    clock.now = 59
    assert cache.find("key", 1) == "value"
    clock.now = 61
    assert cache.find("key", 1) is None
    cache.keep("key", 1, "again")
    assert (cache.find("key", 1), cache.size_bytes) == ("again", 5)


def test_what_was_unused_for_longest_goes_first() -> None:
    cache = cache_of(entries=2)
    cache.keep("a", 1, "a")
    cache.keep("b", 1, "b")
    assert cache.find("a", 1) == "a"
    cache.keep("c", 1, "c")
    assert [cache.find(key, 1) for key in "abc"] == ["a", None, "c"]
    assert cache.use.evicted == 1


def test_a_value_larger_than_the_cache_is_not_kept() -> None:
    cache = cache_of(size_bytes=3)
    cache.keep("a", 1, "aaa")
    cache.keep("b", 1, "bbbb")
    assert (cache.find("a", 1), cache.find("b", 1)) == ("aaa", None)


def test_who_watches_from_another_thread_does_not_touch_the_entries() -> None:
    cache = cache_of()
    cache.keep("key", 1, "value")
    with ThreadPoolExecutor(1) as another:
        assert another.submit(lambda: (cache.entries, cache.size_bytes)).result() == (1, 5)


def test_all_strings_of_a_tree_are_counted() -> None:
    many = SearchFilter(document_ids=tuple(f"{number:036}" for number in range(1_000)))
    texts = sum(sys.getsizeof(each) for each in many.document_ids)
    assert texts < held_bytes((many, "query", None)) < 1.2 * texts
    assert texts < held_bytes(SearchFilter(condition=AllOf((Not(OfDocuments(many.document_ids)),)))) < 1.2 * texts
    assert texts < held_bytes(Principal("tenant", "user", frozenset(many.document_ids))) < 2 * texts


def test_a_cache_without_entries_is_off() -> None:
    cache = cache_of(entries=0)
    cache.keep("a", 1, "a")
    assert (cache.on, cache.entries) == (False, 0)


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 2), st.integers(0, 12)), max_size=60),
    st.integers(1, 4),
    st.integers(1, 20),
)
def test_neither_bound_is_ever_exceeded(kept: list[tuple[str, int, int]], entries: int, size_bytes: int) -> None:
    cache = cache_of(entries, size_bytes)
    model: dict[str, tuple[int, str]] = {}
    for key, version, length in kept:
        cache.keep(key, version, "x" * length)
        if length <= size_bytes:
            model[key] = version, "x" * length
        assert cache.entries <= entries
        assert cache.size_bytes <= size_bytes
        found = cache.find(key, version)
        assert found is None or model[key] == (version, found)


class Making:
    """Work that goes on until a test lets it end."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.begun = 0
        self.cancelled = 0
        self.may_end = asyncio.Event()
        self.failure = failure

    async def __call__(self) -> str:
        self.begun += 1
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure is not None:
            raise self.failure
        return f"made {self.begun}"


async def started(work: SharedWork[str, str], make: Making, seconds: float = LONG) -> asyncio.Task[tuple[str, bool]]:
    task = asyncio.create_task(work.run("key", "search", Deadline.after(seconds), make))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_callers_at_the_same_time_share_one_task() -> None:
    work, make = SharedWork[str, str](5.0), Making()
    callers = [await started(work, make) for _ in range(5)]
    make.may_end.set()
    assert await asyncio.gather(*callers) == [("made 1", False)] + [("made 1", True)] * 4
    assert await (await started(work, make)) == ("made 2", False), "what has ended is not shared"


async def test_a_caller_that_leaves_takes_nothing_from_the_others() -> None:
    work, make = SharedWork[str, str](5.0), Making()
    first, second = await started(work, make), await started(work, make)
    first.cancel()
    await asyncio.wait((first,))
    assert (make.begun, make.cancelled) == (1, 0)
    make.may_end.set()
    assert await second == ("made 1", True)


async def test_the_last_caller_that_leaves_ends_the_work() -> None:
    work, make = SharedWork[str, str](5.0), Making()
    callers = [await started(work, make) for _ in range(3)]
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    assert (make.begun, make.cancelled) == (1, 1)
    make.may_end.set()
    assert await (await started(work, make)) == ("made 2", False)


async def test_a_failure_is_everybodys() -> None:
    work, make = SharedWork[str, str](5.0), Making(Overloaded("calls", 1.0))
    callers = [await started(work, make) for _ in range(3)]
    make.may_end.set()
    assert all(isinstance(told, Overloaded) for told in await asyncio.gather(*callers, return_exceptions=True))


async def test_a_deadline_is_its_callers_alone() -> None:
    work, make = SharedWork[str, str](5.0), Making(StageDeadline("embed"))

    async def late_once() -> str:
        try:
            return await make()
        finally:
            make.failure = None

    callers = [asyncio.create_task(work.run("key", "search", Deadline.after(LONG), late_once)) for _ in range(2)]
    await asyncio.sleep(0)
    make.may_end.set()
    late, other = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(late, StageDeadline)
    assert other == ("made 2", False)


async def test_who_has_little_time_works_alone() -> None:
    work, make = SharedWork[str, str](5.0), Making()
    patient, hasty = await started(work, make), await started(work, make, 4.0)
    assert make.begun == 2
    make.may_end.set()
    assert [shared for _, shared in (await patient, await hasty)] == [False, False]
    make.may_end.clear()
    hasty, patient = await started(work, make, 4.0), await started(work, make)
    assert make.begun == 4
    make.may_end.set()
    assert [shared for _, shared in (await patient, await hasty)] == [False, False]


async def test_a_caller_whose_time_has_passed_hears_so() -> None:
    work, make = SharedWork[str, str](0.0), Making()
    patient = await started(work, make)
    with pytest.raises(StageDeadline, match="search"):
        await work.run("key", "search", Deadline.after(0.01), make)
    assert (make.begun, make.cancelled) == (1, 0)
    make.may_end.set()
    assert await patient == ("made 1", False)
