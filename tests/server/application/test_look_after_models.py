from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from server.domain.deadline import Deadline
from server.domain.errors import (
    EmbeddingMismatch,
    InvalidField,
    InvalidPageToken,
    ModelLoadFailed,
    ModelNotFound,
    StageDeadline,
)
from server.domain.generations import GenerationState
from server.domain.models import ModelState
from tests.server.application.model_doubles import Models, known
from tests.server.application.test_load_models import soon


async def test_a_new_version_is_loaded_and_warm_beside_the_old_before_the_alias_moves() -> None:
    models = Models(known("qwen@2"))
    async with models.kept():
        assert models.aliases.serving("generate") == "qwen@1"
        seen: list[tuple[str, ...]] = []
        moved = models.store.set

        async def note(slot: str, chain: Sequence[str]) -> None:
            seen.append(tuple(models.triton.loaded))
            assert models.triton.events[-2:] == [("load", "qwen@2"), ("warm", "qwen@2")]
            models.store.set = moved  # type: ignore[method-assign]
            await moved(slot, chain)

        models.store.set = note  # type: ignore[assignment, method-assign]
        alias, previous = await models.care.set_alias("generate.default", ["qwen@2", "qwen@1"], soon())
        assert (alias.models, alias.serving, alias.by_default) == (("qwen@2", "qwen@1"), "qwen@2", False)
        assert previous == ("qwen@1",)
        assert {"qwen@1", "qwen@2"} <= set(seen[0])
        assert models.triton.unloads() == []
        alias, previous = await models.care.set_alias("generate.default", [], soon())
        assert (alias.models, alias.by_default, previous) == (("qwen@1",), True, ("qwen@2", "qwen@1"))
        assert models.store.rows == {}


async def test_a_model_that_has_been_called_is_warm() -> None:
    models = Models(known("qwen@2"))
    async with models.kept():
        await models.loads.load("qwen@2", soon())
        models.triton.uses["qwen@2"] = 1_000.0
        await models.care.set_alias("generate.default", ["qwen@2"], soon())
        assert ("warm", "qwen@2") not in models.triton.events


async def test_an_alias_whose_model_cannot_be_loaded_stays_where_it_is() -> None:
    models = Models(known("qwen@2"))
    models.triton.failing["qwen@2"] = "no such weights"
    async with models.kept():
        with pytest.raises(ModelLoadFailed, match="no such weights"):
            await models.care.set_alias("generate.default", ["qwen@2"], soon())
        assert models.aliases.serving("generate") == "qwen@1" and models.store.rows == {}
        assert models.triton.loaded["qwen@1"] is ModelState.READY


async def test_an_alias_whose_caller_gives_up_stays_where_it_is() -> None:
    models = Models(known("qwen@2"))
    gate = models.triton.gates["qwen@2"] = asyncio.Event()
    async with models.kept():
        with pytest.raises(StageDeadline):
            await models.care.set_alias("generate.default", ["qwen@2"], Deadline.after(0.02))
        assert models.store.rows == {}
        gate.set()


@pytest.mark.parametrize(
    ("alias", "chain", "field"),
    [
        ("chat.default", ["qwen@1"], "alias"),
        ("generate", ["qwen@1"], "alias"),
        ("generate.default", ["qwen@1", "qwen@1"], "models"),
        ("generate.default", [f"m@{number}" for number in range(1, 6)], "models"),
        ("generate.default", ["qwen@1", "e5@1"], "models[1]"),
    ],
)
async def test_what_is_no_alias_or_no_chain_is_named(alias: str, chain: list[str], field: str) -> None:
    models = Models()
    with pytest.raises(InvalidField) as refused:
        await models.care.set_alias(alias, chain, soon())
    assert refused.value.field == field
    with pytest.raises(ModelNotFound, match="none@1"):
        await models.care.set_alias("generate.default", ["none@1"], soon())


class TestEmbeddings:
    async def test_another_embedding_model_than_the_index_s_is_refused_before_it_is_loaded(self) -> None:
        models = Models(known("e5@2", "embed"))
        models.index.add(GenerationState.BUILDING, "e5@2+weights")
        async with models.kept():
            with pytest.raises(EmbeddingMismatch, match=r"holds embeddings of e5@1\+weights.*ingest"):
                await models.care.set_alias("embed.default", ["e5@2"], soon())
            assert models.triton.loads["e5@2"] == 0
            assert models.aliases.serving("embed") == "e5@1"

    async def test_a_complete_generation_with_the_other_model_takes_its_place_with_the_alias(self) -> None:
        models = Models(known("e5@2", "embed"))
        models.index.add(GenerationState.READY, "e5@2+weights")
        async with models.kept():
            await models.care.set_alias("embed.default", ["e5@2"], soon())
            assert models.index.activated == ["generation-2"]
            assert models.aliases.serving("embed") == "e5@2"
            await models.care.set_alias("embed.default", ["e5@1"], soon())
            assert models.index.activated == ["generation-2", "generation-1"]

    async def test_a_substitute_that_embeds_otherwise_is_refused(self) -> None:
        models = Models(known("e5@2", "embed"))
        with pytest.raises(InvalidField, match="embeds otherwise") as refused:
            await models.care.set_alias("embed.default", ["e5@1", "e5@2"], soon())
        assert refused.value.field == "models[1]"


async def test_pages_follow_each_other_and_belong_to_their_question() -> None:
    models = Models(*(known(f"m{number}@1", "ocr") for number in range(5)))
    first = await models.care.page("ocr", 2, "")
    second = await models.care.page("ocr", 2, first.next_page_token)
    third = await models.care.page("ocr", 2, second.next_page_token)
    names = [model.known.name for page in (first, second, third) for model in page.models]
    assert names == [f"m{number}@1" for number in range(5)] and third.next_page_token == ""
    assert [model.known.slot for model in (await models.care.page("embed", 0, "")).models] == ["embed"]
    for slot, token in (("", first.next_page_token), ("ocr", "bm9uc2Vuc2U="), ("ocr", "é")):
        with pytest.raises(InvalidPageToken):
            await models.care.page(slot, 2, token)
    with pytest.raises(InvalidField, match="slot"):
        await models.care.page("chat", 0, "")
