"""Aliases outlive the process that set them."""

from __future__ import annotations

import asyncio

from server.adapters.postgres.model_aliases import PostgresModelAliases
from server.adapters.postgres.pool import PostgresPool


async def test_an_alias_is_set_moved_and_reset(pool: PostgresPool) -> None:
    aliases = PostgresModelAliases(pool)
    assert await aliases.chains() == {}
    await aliases.set("generate", ["qwen@1"])
    await aliases.set("generate", ["qwen@2", "qwen@1"])
    await aliases.set("embed", ["e5@1"])
    assert await PostgresModelAliases(pool).chains() == {"generate": ("qwen@2", "qwen@1"), "embed": ("e5@1",)}
    await aliases.set("generate", [])
    await aliases.set("ocr", [])
    assert await aliases.chains() == {"embed": ("e5@1",)}


async def test_of_those_who_set_one_at_the_same_time_one_wins_whole(pool: PostgresPool) -> None:
    aliases = PostgresModelAliases(pool)
    chains = [("a@1", "b@1"), ("c@1",), ("d@1", "e@1", "f@1")]
    await asyncio.gather(*(aliases.set("generate", chain) for chain in chains))
    assert (await aliases.chains())["generate"] in chains
