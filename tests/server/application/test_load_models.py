from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.application.load_models import LoadOptions
from server.domain.deadline import Deadline
from server.domain.errors import (
    ModelInUse,
    ModelLoadFailed,
    ModelMemoryExhausted,
    ModelNotFound,
    StageDeadline,
)
from server.domain.events import ModelLoaded, ModelUnloaded
from server.domain.models import CatalogueModel, MemorySource, ModelState
from tests.server.application.model_doubles import BUDGET, Models, known
from tests.server.application.test_look_after_index import eventually

SOON = 10.0


def soon() -> Deadline:
    return Deadline.after(SOON)


async def until_loading(models: Models, name: str) -> None:
    async def loading() -> bool:
        return models.triton.loads[name] > 0

    await eventually(loading)


async def until_unloaded(models: Models, name: str) -> None:
    async def unloaded() -> bool:
        return name in models.triton.unloads()

    await eventually(unloaded)


async def test_calls_for_one_model_are_one_load() -> None:
    models = Models(known("a@1"))
    await asyncio.gather(*(models.loads.load("a@1", soon()) for _ in range(5)))
    await models.loads.load("a@1", soon())
    assert models.triton.loads == {"a@1": 1}


async def test_what_is_not_in_the_catalogue_is_told() -> None:
    models = Models()
    for call in (models.loads.load("none@1", soon()), models.loads.unload("none@1", soon())):
        with pytest.raises(ModelNotFound, match="none@1"):
            await call
    with pytest.raises(ModelNotFound):
        await models.loads.models(["none@1"])


async def test_a_model_that_cannot_be_loaded_says_why_and_touches_no_other() -> None:
    models = Models(known("a@1"), known("b@1"))
    await models.loads.load("a@1", soon())
    models.triton.failing["b@1"] = "no such weights"
    failures = await asyncio.gather(*(models.loads.load("b@1", soon()) for _ in range(2)), return_exceptions=True)
    assert [(type(each), str(each).endswith("no such weights")) for each in failures] == [(ModelLoadFailed, True)] * 2
    told = {model.known.name: (model.state, model.problem) for model in await models.loads.models()}
    assert told["a@1"] == (ModelState.READY, "")
    assert told["b@1"] == (ModelState.FAILED, "no such weights")
    assert models.triton.unloads() == []
    del models.triton.failing["b@1"]
    await models.loads.load("b@1", soon())


async def test_a_load_that_nobody_waits_for_any_more_leaves_nothing() -> None:
    models = Models(known("a@1"))
    gate = models.triton.gates["a@1"] = asyncio.Event()
    first, second = (asyncio.create_task(models.loads.load("a@1", soon())) for _ in range(2))
    await until_loading(models, "a@1")
    first.cancel()
    await asyncio.wait((first,))
    second.cancel()
    await asyncio.wait((second,))
    gate.set()
    await until_unloaded(models, "a@1")
    assert models.triton.loaded == {}


async def test_one_of_two_callers_may_give_up() -> None:
    models = Models(known("a@1"))
    gate = models.triton.gates["a@1"] = asyncio.Event()
    patient = asyncio.create_task(models.loads.load("a@1", soon()))
    await until_loading(models, "a@1")
    with pytest.raises(StageDeadline):
        await models.loads.load("a@1", Deadline.after(0.01))
    gate.set()
    await patient
    assert models.triton.loaded == {"a@1": ModelState.READY} and models.triton.unloads() == []


async def test_who_comes_while_a_load_is_given_up_gets_the_model() -> None:
    models = Models(known("a@1"))
    gate = models.triton.gates["a@1"] = asyncio.Event()
    with pytest.raises(StageDeadline):
        await models.loads.load("a@1", Deadline.after(0.01))
    leaving = models.triton.unload

    async def slow_unload(name: str, deadline: Deadline) -> None:
        late.append(asyncio.create_task(models.loads.load(name, soon())))
        await asyncio.sleep(0.01)
        await leaving(name, deadline)

    late: list[asyncio.Task[None]] = []
    models.triton.unload = slow_unload  # type: ignore[method-assign]
    gate.set()
    await until_unloaded(models, "a@1")
    models.triton.unload = leaving  # type: ignore[method-assign]
    await late[0]
    assert models.triton.loaded == {"a@1": ModelState.READY}


async def test_a_load_has_a_limit_of_its_own() -> None:
    models = Models(known("a@1"), load=LoadOptions(memory_bytes=BUDGET, load_limit_s=0.02))
    models.triton.gates["a@1"] = asyncio.Event()
    with pytest.raises(ModelLoadFailed, match="not ready after"):
        await models.loads.load("a@1", soon())
    assert models.triton.unloads() == ["a@1"]


class TestMemory:
    async def test_the_least_recently_used_idle_model_goes_first(self) -> None:
        models = Models(*(known(f"{name}@1", size=30) for name in "abcd"), load=LoadOptions(BUDGET, idle_s=0.0))
        async with models.kept():
            for name in "ab":
                await models.loads.load(f"{name}@1", soon())
            models.triton.uses |= {"a@1": time.time() + 50, "b@1": time.time() + 40}
            models.triton.uses |= {"a@1": time.time() - 50, "b@1": time.time() - 40}
            # Asked for a moment ago is used a moment ago.
            await models.loads.load("a@1", soon())
            await models.loads.load("c@1", soon())
            assert models.triton.unloads() == ["b@1"]
            assert set(models.triton.loaded) == {"e5@1", "qwen@1", "a@1", "c@1"}
        told = models.told.events[2:]  # the first two are of what serves by default
        weights = [models.catalogue.models[name].fingerprint for name in ("a@1", "b@1", "c@1")]
        assert told == [
            ModelLoaded("a@1", weights[0]),
            ModelLoaded("b@1", weights[1]),
            ModelUnloaded("b@1", weights[1]),
            ModelLoaded("c@1", weights[2]),
        ]

    async def test_what_serves_and_what_is_in_use_stays(self) -> None:
        models = Models(known("a@1", size=70), known("big@1", size=90))
        async with models.kept():
            await models.loads.load("a@1", soon())
            with pytest.raises(ModelMemoryExhausted) as refused:
                await models.loads.load("big@1", soon())
            assert (refused.value.needed_bytes, refused.value.free_bytes) == (90, 10)
            assert models.triton.unloads() == []

    async def test_nothing_is_unloaded_for_a_model_that_would_not_fit_anyway(self) -> None:
        models = Models(known("a@1"), known("big@1", size=200), load=LoadOptions(BUDGET, idle_s=0.0))
        await models.loads.load("a@1", soon())
        with pytest.raises(ModelMemoryExhausted):
            await models.loads.load("big@1", soon())
        assert models.triton.unloads() == []

    async def test_two_loads_at_a_time_share_the_budget(self) -> None:
        models = Models(known("a@1", size=60), known("b@1", size=60))
        gate = models.triton.gates["a@1"] = asyncio.Event()
        first = asyncio.create_task(models.loads.load("a@1", soon()))
        await until_loading(models, "a@1")
        with pytest.raises(ModelMemoryExhausted):
            await models.loads.load("b@1", soon())
        gate.set()
        await first

    async def test_what_was_measured_counts_rather_than_what_was_declared(self) -> None:
        models = Models(known("a@1", size=10), known("b@1", size=30))
        [before] = await models.loads.models(["a@1"])
        assert (before.memory.size_bytes, before.memory.source) == (10, MemorySource.DECLARED)
        await models.loads.load("a@1", soon())
        models.triton.resident["a@1"] = 80
        [after] = await models.loads.models(["a@1"])
        assert (after.memory.size_bytes, after.memory.source) == (80, MemorySource.MEASURED)
        with pytest.raises(ModelMemoryExhausted):
            await models.loads.load("b@1", soon())
        await models.loads.unload("a@1", soon())
        models.triton.resident.clear()
        [later] = await models.loads.models(["a@1"])
        assert later.memory.source is MemorySource.MEASURED, "what it took is known from then on"

    async def test_what_is_loaded_counts_also_when_the_catalogue_has_forgotten_it(self) -> None:
        models = Models(known("a@1"), known("b@1", size=30))
        await models.loads.load("a@1", soon())
        models.triton.resident["a@1"] = 80
        del models.catalogue.models["a@1"]
        with pytest.raises(ModelMemoryExhausted):
            await models.loads.load("b@1", soon())

    async def test_a_model_that_a_server_before_began_to_load_counts_once(self) -> None:
        models = Models(known("a@1", size=60))
        models.triton.loaded["a@1"] = ModelState.LOADING
        begun = models.triton.load

        async def begun_again(model: CatalogueModel, deadline: Deadline) -> None:
            del models.triton.loaded[model.name]
            await begun(model, deadline)

        models.triton.load = begun_again  # type: ignore[method-assign]
        await models.loads.load("a@1", soon())
        assert models.triton.loaded == {"a@1": ModelState.READY}

    async def test_the_budget_is_a_share_of_the_machine_by_default(self) -> None:
        assert Models(load=LoadOptions(memory_share=0.25)).loads.budget_bytes == BUDGET // 4

    @settings(max_examples=60, deadline=None)
    @given(
        sizes=st.lists(st.integers(1, 60), min_size=3, max_size=6),
        steps=st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=14),
    )
    def test_the_budget_holds_and_what_serves_stays_loaded(
        self, sizes: list[int], steps: list[tuple[int, bool]]
    ) -> None:
        async def run() -> None:
            own = [known(f"m{number}@1", "ocr", size) for number, size in enumerate(sizes)]
            models = Models(*own, load=LoadOptions(BUDGET, idle_s=0.0))
            for name in ("e5@1", "qwen@1"):
                await models.loads.load(name, soon())
            await models.aliases.look()
            for number, wanted in steps:
                name = own[number % len(own)].name
                change = models.loads.load(name, soon()) if wanted else models.loads.unload(name, soon())
                try:
                    await change
                except ModelMemoryExhausted as refusal:
                    assert refusal.needed_bytes + 20 > BUDGET
                taken = sum(models.catalogue.models[each].declared_bytes or 0 for each in models.triton.loaded)
                assert taken <= BUDGET
                assert {"e5@1", "qwen@1"} <= models.triton.loaded.keys()

        asyncio.run(run())


class TestUnloading:
    async def test_what_an_alias_names_stays_unless_forced(self) -> None:
        models = Models()
        async with models.kept():
            with pytest.raises(ModelInUse, match=r"alias generate\.default"):
                await models.loads.unload("qwen@1", soon())
            await models.loads.unload("qwen@1", soon(), force=True)
            assert models.loads.suspended("qwen@1")
            await asyncio.sleep(0.05)
            assert "qwen@1" not in models.triton.loaded, "nobody has asked for it since"
            await models.loads.load("qwen@1", soon())
            assert not models.loads.suspended("qwen@1")

    async def test_what_was_replaced_goes_when_every_process_has_noticed(self) -> None:
        models = Models(known("a@1"))
        await models.loads.load("a@1", soon())
        models.loads.replaced(["a@1"])
        with pytest.raises(StageDeadline):
            await models.loads.unload("a@1", Deadline.after(0.02))
        assert models.triton.unloads() == []
        await models.loads.unload("a@1", soon())
        assert models.triton.unloads() == ["a@1"]

    async def test_a_load_under_way_is_awaited(self) -> None:
        models = Models(known("a@1"))
        gate = models.triton.gates["a@1"] = asyncio.Event()
        loading = asyncio.create_task(models.loads.load("a@1", soon()))
        await until_loading(models, "a@1")
        unloading = asyncio.create_task(models.loads.unload("a@1", soon()))
        await asyncio.sleep(0.01)
        assert models.triton.unloads() == []
        gate.set()
        await loading
        await unloading
        assert models.triton.loaded == {}

    async def test_what_an_alias_came_to_name_meanwhile_stays(self) -> None:
        models = Models(known("a@1"))
        gate = models.triton.gates["a@1"] = asyncio.Event()
        loading = asyncio.create_task(models.loads.load("a@1", soon()))
        await until_loading(models, "a@1")
        unloading = asyncio.create_task(models.loads.unload("a@1", soon()))
        await asyncio.sleep(0)
        await models.store.set("generate", ("a@1",))
        await models.aliases.look()
        gate.set()
        await loading
        with pytest.raises(ModelInUse):
            await unloading
        assert models.triton.unloads() == []
