from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from server.application.follow_generations import FollowGenerations
from server.application.follow_log import FollowOptions
from server.application.look_after_index import BuildCommand, LookAfterIndex
from server.application.verify_index import VerifyIndex, VerifyOptions
from server.domain.deadline import Deadline
from server.domain.errors import (
    GenerationExists,
    GenerationNotFound,
    IndexAhead,
    InvalidField,
    SnapshotExists,
    WrongGenerationState,
)
from server.domain.generations import (
    Generation,
    GenerationComparison,
    GenerationOptions,
    GenerationState,
    IndexCopy,
)
from server.domain.passages import LogEntry
from tests.server.application.announcements import Announcements

QUICK = FollowOptions(poll_s=0.005, batch=3, background_batch=2)
DEFAULTS = GenerationOptions(32, 200)
PATIENCE_S = 10.0


@dataclass
class ListLog:
    """A change log in memory."""

    length: int = 0
    reads: list[tuple[int, int]] = field(default_factory=list)

    async def read(self, after: int, limit: int, fingerprint: str) -> list[LogEntry]:
        self.reads.append((after, limit))
        last = min(after + limit, self.length)
        return [LogEntry(position, f"c{position}", None) for position in range(after + 1, last + 1)]

    async def head(self) -> int:
        return self.length


@dataclass
class ListView:
    position: int = 0
    applied: list[int] = field(default_factory=list)
    erased: bool = False

    async def apply(self, entries: Sequence[LogEntry]) -> None:
        assert not self.erased, "nobody follows what is gone"
        self.applied += [entry.position for entry in entries]
        self.position = entries[-1].position

    async def commit(self) -> None: ...

    async def compact(self) -> bool:
        return False


class ListGenerations:
    """The three ports of the generations, in memory; the rules of their states are those of the real ones."""

    def __init__(self) -> None:
        self.serving = "generation-1"
        self.kept = {"generation-1": (ListView(), DEFAULTS, True)}
        self.retired: dict[str, ListView] = {}
        self.damage: dict[str, str] = {}
        self._serial = 1

    def views(self) -> dict[str, ListView]:
        return {name: view for name, (view, _, _) in self.kept.items()}

    async def caught_up(self, name: str) -> None:
        if name in self.kept:
            self.kept[name] = (*self.kept[name][:2], True)

    async def all(self) -> tuple[Generation, ...]:
        return tuple(self.told(name) for name in self.kept)

    def told(self, name: str) -> Generation:
        view, options, complete = self.kept[name]
        state = GenerationState.READY if complete else GenerationState.BUILDING
        state = GenerationState.SERVING if name == self.serving else state
        return Generation(name, state, view.position, "model@1", datetime.now(UTC), (), options, "")

    async def begin(self, options: GenerationOptions) -> Generation:
        if len(self.kept) > 1:
            raise GenerationExists(next(name for name in self.kept if name != self.serving))
        self._serial += 1
        name = f"generation-{self._serial}"
        self.kept[name] = (ListView(), options, False)
        return self.told(name)

    async def activate(self, name: str) -> tuple[Generation, str]:
        if not self._of(name)[2]:
            raise WrongGenerationState(name, "is still being built")
        previous, self.serving = self.serving, name
        return self.told(name), previous

    async def retire(self, name: str) -> None:
        view, _, _ = self._of(name)
        if name == self.serving:
            raise WrongGenerationState(name, "serves")
        del self.kept[name]
        self.damage.pop(name, None)
        self.retired[name] = view

    async def erase(self, name: str) -> None:
        self.retired.pop(name).erased = True

    async def compare(self, name: str, samples: int, deadline: Deadline) -> GenerationComparison:
        self._of(name)
        return GenerationComparison(1.0, 0.5, 0.25, samples)

    async def copy(self, name: str, deadline: Deadline) -> IndexCopy:
        if name == "taken":
            raise SnapshotExists(name)
        return IndexCopy(f"/copies/{name}", 3, 100)

    async def verify(self, name: str) -> str:
        return self.damage.get(name, "")

    def _of(self, name: str) -> tuple[ListView, GenerationOptions, bool]:
        if name not in self.kept:
            raise GenerationNotFound(name)
        return self.kept[name]


class Keeping:
    """An index that is kept up to date while the context of `running` lasts."""

    def __init__(self, length: int = 7) -> None:
        self.log = ListLog(length)
        self.generations = ListGenerations()
        self.told = Announcements()
        self.following = FollowGenerations(self.log, self.generations, PollingBell(), self.told, "model@1", QUICK)
        self.index = LookAfterIndex(self.generations, self.generations, self.following, self.log, DEFAULTS)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.following.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def until(self, state: GenerationState, name: str) -> None:
        async def reached() -> bool:
            return any(each.name == name and each.state is state for each in (await self.index.status()).generations)

        await eventually(reached)

    async def until_at(self, position: int, name: str) -> None:
        async def reached() -> bool:
            return self.generations.views()[name].position == position

        await eventually(reached)


class PollingBell:
    async def ring(self) -> None: ...

    async def wait(self, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in code that knows no test
            await asyncio.sleep(0.002)


async def test_a_generation_is_built_from_the_start_of_the_log_and_follows_it_from_then_on() -> None:
    keeping = Keeping()
    async with keeping.running():
        await keeping.until(GenerationState.SERVING, "generation-1")
        begun = await keeping.index.build(BuildCommand(build_effort=64))
        assert (begun.name, begun.state, begun.options) == (
            "generation-2",
            GenerationState.BUILDING,
            GenerationOptions(32, 64),
        )
        await keeping.until(GenerationState.READY, "generation-2")
        keeping.log.length = 9

        async def both_follow() -> bool:
            return all(view.position == 9 for view in keeping.generations.views().values())

        await eventually(both_follow)
    for view in keeping.generations.views().values():
        assert view.applied == list(range(1, 10))
    assert {limit for _, limit in keeping.log.reads} == {QUICK.batch, QUICK.background_batch}
    status = await keeping.index.status()
    assert status.log_position == 9
    assert [each.name for each in status.generations] == ["generation-1", "generation-2"]


async def test_what_was_begun_before_a_restart_goes_on() -> None:
    keeping = Keeping()
    await keeping.index.build(BuildCommand())
    keeping.generations.views()["generation-2"].position = 4
    async with keeping.running():
        await keeping.until(GenerationState.READY, "generation-2")
    assert keeping.generations.views()["generation-2"].applied == [5, 6, 7]


async def test_a_swap_and_the_way_back() -> None:
    keeping = Keeping()
    async with keeping.running():
        await keeping.index.build(BuildCommand())
        with pytest.raises(WrongGenerationState):
            await keeping.index.delete("generation-1")
        await keeping.until(GenerationState.READY, "generation-2")
        now, previous = await keeping.index.activate("generation-2")
        assert (now.name, now.state, previous) == ("generation-2", GenerationState.SERVING, "generation-1")
        now, previous = await keeping.index.activate("generation-1")
        assert (now.name, previous) == ("generation-1", "generation-2")


async def test_large_batches_are_for_the_generation_that_serves_now() -> None:
    keeping = Keeping()
    async with keeping.running():
        await keeping.index.build(BuildCommand())
        await keeping.until(GenerationState.READY, "generation-2")
        await keeping.index.activate("generation-2")
        await keeping.index.delete("generation-1")
        keeping.log.reads.clear()
        keeping.log.length += 7
        await keeping.until_at(14, "generation-2")
    assert {limit for _, limit in keeping.log.reads} == {QUICK.batch}


async def test_nobody_follows_a_generation_that_is_deleted() -> None:
    keeping = Keeping(length=100_000)
    async with keeping.running():
        await keeping.index.build(BuildCommand())
        view = keeping.generations.views()["generation-2"]

        async def some() -> bool:
            return view.position > 0

        await eventually(some)
        await keeping.index.delete("generation-2")
        assert view.erased
        keeping.log.length += 1
        await asyncio.sleep(0.02)  # who followed it still would trip over it now
        again = await keeping.index.build(BuildCommand())
        assert again.name == "generation-3", "no name is used twice"


async def test_a_deletion_is_done_whole_though_the_caller_has_gone() -> None:
    keeping = Keeping()
    retire, let_on = keeping.generations.retire, asyncio.Event()

    async def slow(name: str) -> None:
        await retire(name)
        await let_on.wait()

    keeping.generations.retire = slow  # type: ignore[method-assign]
    async with keeping.running():
        await keeping.index.build(BuildCommand())
        view = keeping.generations.views()["generation-2"]
        deleting = asyncio.create_task(keeping.index.delete("generation-2"))

        async def retired() -> bool:
            return "generation-2" in keeping.generations.retired

        await eventually(retired)
        deleting.cancel()
        await asyncio.wait((deleting,))
        let_on.set()

        async def erased() -> bool:
            return view.erased

        await eventually(erased)


async def test_a_restored_database_ends_it() -> None:
    keeping = Keeping(length=3)
    keeping.generations.views()["generation-1"].position = 8
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(PATIENCE_S):
            await keeping.following.run()
    assert caught.group_contains(IndexAhead)


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (BuildCommand(graph_degree=7), "options.graph_degree"),
        (BuildCommand(graph_degree=97), "options.graph_degree"),
        (BuildCommand(graph_degree=32, build_effort=31), "options.build_effort"),
        (BuildCommand(build_effort=1_001), "options.build_effort"),
    ],
)
async def test_options_outside_their_limits_are_refused(command: BuildCommand, field: str) -> None:
    keeping = Keeping()
    with pytest.raises(InvalidField) as refusal:
        await keeping.index.build(command)
    assert refusal.value.field == field
    assert len(keeping.generations.kept) == 1


async def test_the_limits_themselves_are_allowed() -> None:
    for degree, effort, kept in ((8, 8, (8, 8)), (96, 1_000, (96, 1_000)), (16, None, (16, 200))):
        begun = await Keeping().index.build(BuildCommand(degree, effort))
        assert (begun.options.graph_degree, begun.options.build_effort) == kept


@pytest.mark.parametrize("name", ["", "x" * 65, "a/b", "..", "a.b", "é", "a b", "a\n"])
async def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    index = Keeping().index
    for call in (
        index.copy(name, Deadline.after(5)),
        index.compare(name, 0, Deadline.after(5)),
        index.activate(name),
        index.delete(name),
    ):
        with pytest.raises(InvalidField) as refusal:
            await call
        assert refusal.value.field == "name"


async def test_comparing_and_copying() -> None:
    keeping = Keeping()
    assert (await keeping.index.compare("generation-1", 0, Deadline.after(5))).samples == 100
    assert (await keeping.index.compare("generation-1", 1_000, Deadline.after(5))).samples == 1_000
    with pytest.raises(InvalidField, match="samples"):
        await keeping.index.compare("generation-1", 1_001, Deadline.after(5))
    with pytest.raises(GenerationNotFound):
        await keeping.index.compare("generation-9", 1, Deadline.after(5))
    assert (await keeping.index.copy("Monday_1-2", Deadline.after(5))).path == "/copies/Monday_1-2"
    with pytest.raises(SnapshotExists):
        await keeping.index.copy("taken", Deadline.after(5))


class TestVerify:
    def verifying(self, keeping: Keeping) -> VerifyIndex:
        return VerifyIndex(keeping.index, keeping.generations, keeping.told, VerifyOptions(look_every_s=0.002))

    async def test_a_whole_index_is_left_alone(self) -> None:
        keeping = Keeping()
        await self.verifying(keeping).verify()
        assert list(keeping.generations.kept) == ["generation-1"]

    async def test_a_damaged_generation_is_replaced_by_one_like_it_and_serves_until_then(self) -> None:
        keeping = Keeping()
        view, _, complete = keeping.generations.kept["generation-1"]
        keeping.generations.kept["generation-1"] = view, GenerationOptions(16, 99), complete
        keeping.generations.damage["generation-1"] = "a file is damaged"
        verifying = asyncio.create_task(self.verifying(keeping).verify())

        async def begun() -> bool:
            return "generation-2" in keeping.generations.kept

        await eventually(begun)
        assert keeping.generations.serving == "generation-1"
        async with keeping.running():
            await asyncio.wait_for(verifying, PATIENCE_S)
        assert keeping.generations.serving == "generation-2"
        assert list(keeping.generations.kept) == ["generation-2"]
        assert keeping.generations.kept["generation-2"][1] == GenerationOptions(16, 99)

    async def test_one_that_is_there_already_takes_its_place(self) -> None:
        keeping = Keeping()
        async with keeping.running():
            await keeping.index.build(BuildCommand())
            keeping.generations.damage["generation-1"] = "a file is damaged"
            await asyncio.wait_for(self.verifying(keeping).verify(), PATIENCE_S)
        assert list(keeping.generations.kept) == ["generation-2"]

    async def test_a_damaged_one_beside_the_serving_one_is_begun_anew(self) -> None:
        keeping = Keeping()
        async with keeping.running():
            await keeping.index.build(BuildCommand(build_effort=64))
            keeping.generations.damage["generation-2"] = "a file is damaged"
            await asyncio.wait_for(self.verifying(keeping).verify(), PATIENCE_S)
            assert list(keeping.generations.kept) == ["generation-1", "generation-3"]
            assert keeping.generations.kept["generation-3"][1] == replace(DEFAULTS, build_effort=64)
