"""A slot whose model the settings name: no alias changes it, and nothing is loaded for it."""

from __future__ import annotations

import pytest

from server.application.follow_aliases import FollowAliases
from server.application.keep_models import KeepModels, KeepOptions
from server.application.look_after_models import LookAfterModels
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField
from server.domain.models import SLOTS, Alias, ModelState
from tests.server.application.model_doubles import PROMPT, MemorySlot, Models

ENDPOINT = "https://api.example.org/v1#some/model"


def following(models: Models) -> FollowAliases:
    slots = {slot: MemorySlot() for slot in SLOTS if slot != "generate"}
    return FollowAliases(models.store, models.catalogue, models.triton, slots, PROMPT, {"generate": ENDPOINT})


async def test_the_endpoint_serves_whatever_the_alias_says() -> None:
    models = Models()
    models.store.rows["generate"] = ("qwen@1",)
    models.triton.loaded["qwen@1"] = ModelState.READY
    aliases = following(models)
    await aliases.look()
    assert aliases.serving("generate") == ENDPOINT
    assert aliases.alias("generate") == Alias("generate.default", "generate", (), ENDPOINT, False)
    assert [alias.slot for alias in aliases.aliases()] == list(SLOTS)
    await aliases.until_serving(["generate"], Deadline.after(0.05))
    assert aliases.fixed("generate")
    assert not aliases.fixed("embed")


async def test_nothing_is_loaded_for_it_and_its_alias_cannot_be_set() -> None:
    models = Models()
    aliases = following(models)
    await aliases.look()
    keeping = KeepModels(models.loads, aliases, models.triton, models.told, KeepOptions())
    await keeping.fill("generate")
    assert models.triton.events == []
    assert await keeping.settled() is False, "the other slots are not filled yet"
    await keeping.fill("embed")
    assert models.triton.events == [("load", "e5@1")]
    assert await keeping.settled()
    care = LookAfterModels(models.loads, aliases, models.store, models.catalogue, models.triton, models.index)
    with pytest.raises(InvalidField, match="settings"):
        await care.set_alias("generate.default", ["qwen@1"], Deadline.after(5))
    assert models.store.rows == {}
