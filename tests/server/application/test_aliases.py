"""Aliases: who follows them, and who keeps their models loaded."""

from __future__ import annotations

import asyncio

import pytest

from server.application.follow_aliases import FollowAliases
from server.application.keep_models import KeepOptions
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable
from server.domain.events import AlertKind, SystemAlert
from server.domain.models import SLOTS, Alias, CatalogueModel, ModelState
from tests.server.application.model_doubles import PROMPT, MemorySlot, Models, known
from tests.server.application.test_load_models import soon
from tests.server.application.test_look_after_index import eventually


def ready(models: Models, *names: str) -> None:
    models.triton.loaded |= dict.fromkeys(names, ModelState.READY)


async def test_a_slot_is_served_by_the_first_model_that_is_ready() -> None:
    models = Models(known("b@1"), known("c@1"))
    models.store.rows["generate"] = ("b@1", "c@1")
    serving = []
    for names in (["c@1"], ["b@1", "c@1"], ["c@1"], []):
        models.triton.loaded.clear()
        ready(models, *names)
        await models.aliases.look()
        serving.append(models.aliases.serving("generate"))
    assert serving == ["c@1", "b@1", "c@1", "c@1"], "what served goes on being called while nothing is ready"
    assert models.aliases.alias("generate") == Alias("generate.default", "generate", ("b@1", "c@1"), "c@1", False)


async def test_without_an_alias_the_catalogue_decides() -> None:
    models = Models()
    ready(models, "qwen@1")
    await models.aliases.look()
    assert models.aliases.alias("generate") == Alias("generate.default", "generate", ("qwen@1",), "qwen@1", True)
    assert models.aliases.alias("rerank") == Alias("rerank.default", "rerank", (), "", True)
    del models.catalogue.defaults["generate"]
    await models.aliases.look()
    assert models.aliases.serving("generate") == "", "an empty slot is served by nothing"


async def test_another_default_in_the_catalogue_does_not_replace_the_embedding_model() -> None:
    models = Models(known("e5@2", "embed"), known("qwen@2"))
    ready(models, "e5@1", "e5@2", "qwen@1", "qwen@2")
    await models.aliases.look()
    models.catalogue.defaults |= {"embed": "e5@2", "generate": "qwen@2"}
    await models.aliases.look()
    assert (models.aliases.serving("embed"), models.aliases.serving("generate")) == ("e5@1", "qwen@2")
    models.store.rows["embed"] = ("e5@2",)
    await models.aliases.look()
    assert models.aliases.serving("embed") == "e5@2"


async def test_a_model_that_cannot_be_reached_holds_up_nobody() -> None:
    models = Models(known("b@1"))
    models.store.rows["generate"] = ("b@1", "qwen@1")
    models.slots["generate"].unreachable.add("b@1")
    ready(models, "b@1", "qwen@1", "e5@1")
    await models.aliases.look()
    assert (models.aliases.serving("generate"), models.aliases.serving("embed")) == ("qwen@1", "e5@1")


async def test_a_slot_that_is_not_served_in_time_is_named_with_its_models() -> None:
    models = Models()
    await models.aliases.look()
    with pytest.raises(DependencyUnavailable, match=r"embed.*e5@1"):
        await models.aliases.until_serving(["embed"], Deadline.after(0.02))


async def test_every_process_notices_a_moved_alias() -> None:
    here = Models(known("b@1"))
    slots = {slot: MemorySlot() for slot in SLOTS}
    there = FollowAliases(here.store, here.catalogue, here.triton, slots, PROMPT)
    ready(here, "qwen@1", "b@1", "e5@1")
    following = asyncio.create_task(there.run())
    try:
        await there.until_serving(["generate"], Deadline.after(10))
        await here.store.set("generate", ["b@1"])

        async def noticed() -> bool:
            return there.serving("generate") == "b@1"

        await eventually(noticed)
        assert here.aliases.serving("generate") != "b@1", "nobody followed here"
    finally:
        following.cancel()
        await asyncio.wait((following,))


async def test_a_triton_that_was_started_anew_is_filled_again() -> None:
    models = Models()
    async with models.kept():
        models.triton.loaded.clear()

        async def filled() -> bool:
            return set(models.triton.loaded) == {"e5@1", "qwen@1"}

        await eventually(filled)


async def test_while_a_model_fails_the_next_one_serves_and_the_first_is_tried_again() -> None:
    models = Models(known("b@1"))
    models.store.rows["generate"] = ("b@1", "qwen@1")
    models.triton.failing["b@1"] = "no such weights"
    async with models.kept():
        assert models.aliases.serving("generate") == "qwen@1"
        assert await models.keeping.settled()

        async def tried_again() -> bool:
            return models.triton.loads["b@1"] > 1

        await eventually(tried_again)
        del models.triton.failing["b@1"]

        async def back() -> bool:
            return models.aliases.serving("generate") == "b@1"

        await eventually(back)
    assert models.triton.loads["qwen@1"] == 1 and models.triton.unloads() == []
    alerts = [event for event in models.told.events if isinstance(event, SystemAlert)]
    assert [(alert.kind, alert.subject) for alert in alerts] == [(AlertKind.MODEL_FAILED, "b@1")]
    assert "no such weights" in alerts[0].problem


async def test_a_failing_model_is_tried_less_and_less_often() -> None:
    models = Models(known("b@1"), keep=KeepOptions(first_retry_s=1_000.0, longest_retry_s=1_000.0))
    models.store.rows["generate"] = ("b@1",)
    models.triton.failing["b@1"] = "no such weights"
    await models.aliases.look()
    for _ in range(3):
        await models.keeping.fill("generate")
    assert models.triton.loads["b@1"] == 1


async def test_a_triton_that_does_not_answer_is_not_tried_less_and_less_often() -> None:
    models = Models(keep=KeepOptions(first_retry_s=1_000.0, longest_retry_s=1_000.0, longest_outage_retry_s=0.0))
    loading = models.triton.load

    async def unanswered(model: CatalogueModel, deadline: Deadline) -> None:
        models.triton.loads[model.name] += 1
        raise DependencyUnavailable("Triton", "it does not answer")

    models.triton.load = unanswered  # type: ignore[method-assign]
    await models.aliases.look()
    for _ in range(3):
        await models.keeping.fill("generate")
    assert models.triton.loads["qwen@1"] == 3
    models.triton.load = loading  # type: ignore[method-assign]
    await models.keeping.fill("generate")
    assert models.triton.loaded == {"qwen@1": ModelState.READY}


async def test_a_slot_none_of_whose_models_can_be_loaded_keeps_nobody_waiting() -> None:
    models = Models()
    await models.aliases.look()
    assert not await models.keeping.settled()
    models.triton.failing["qwen@1"] = "no such weights"
    for slot in ("embed", "generate"):
        await models.keeping.fill(slot)
    assert await models.keeping.settled()
    models.triton.loaded.clear()
    assert not await models.keeping.settled(), "this one was there, and comes again"


async def test_what_was_forced_out_is_left_alone_and_its_substitute_serves() -> None:
    models = Models(known("b@1"))
    models.store.rows["generate"] = ("b@1", "qwen@1")
    async with models.kept():
        assert models.aliases.serving("generate") == "b@1"
        await models.loads.unload("b@1", soon(), force=True)

        async def substituted() -> bool:
            return models.aliases.serving("generate") == "qwen@1"

        await eventually(substituted)
    assert models.triton.loads["b@1"] == 1
