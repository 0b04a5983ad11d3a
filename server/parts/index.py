"""The index, and what keeps it up to date and sound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from server.adapters.index_generations import FollowedLog, HybridIndexGenerations
from server.adapters.index_highlighter import IndexHighlighter
from server.adapters.postgres.change_log import PostgresChangeLog
from server.application.announcing import OutboxAnnouncer
from server.application.follow_generations import FollowGenerations
from server.application.look_after_index import LookAfterIndex
from server.application.model_ports import Embedder
from server.application.verify_index import VerifyIndex
from server.domain.generations import GenerationOptions
from server.parts.stores import Stores
from server.settings import Settings


@dataclass(frozen=True, slots=True)
class Searching:
    """`following` and `verifying` run in the background."""

    index: HybridIndexGenerations
    highlighter: IndexHighlighter
    care: LookAfterIndex
    following: FollowGenerations
    verifying: VerifyIndex


@asynccontextmanager
async def opened_index(
    settings: Settings, stores: Stores, embedder: Embedder, announcer: OutboxAnnouncer
) -> AsyncIterator[Searching]:
    """The index while the context lasts. Raises DependencyUnavailable."""
    log = PostgresChangeLog(stores.pool)
    async with AsyncExitStack() as opened:
        index = await HybridIndexGenerations.open(
            settings.data_dir / "index",
            settings.data_dir / "snapshots",
            embedder.dimension,
            embedder.fingerprint,
            settings.index,
            FollowedLog(stores.database_id, await log.head()),
        )
        opened.push_async_callback(index.close)
        highlighter = await asyncio.to_thread(IndexHighlighter, index.rarities, settings.highlighter)
        opened.push_async_callback(highlighter.close)
        following = FollowGenerations(log, index, stores.log_bell, announcer, embedder.fingerprint, settings.follow)
        kept = GenerationOptions(settings.index.index.graph.degree, settings.index.index.graph.effort)
        care = LookAfterIndex(index, index, following, log, kept)
        yield Searching(index, highlighter, care, following, VerifyIndex(care, index, announcer, settings.verify))
