"""Removes the chunks of replaced revisions, once no search can still be asking for them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from server.application.background import repeat
from server.application.document_ports import RevisionStore

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ForgetOptions:
    """`kept_s`: an index that is further behind than this misses a replaced document until it has caught up."""

    kept_s: float = 60.0
    every_s: float = 15.0
    batch: int = 100


class ForgetRevisions:
    def __init__(self, revisions: RevisionStore, options: ForgetOptions) -> None:
        self._revisions = revisions
        self._options = options

    async def run(self) -> None:
        await repeat("forget_revisions", self._step)

    async def _step(self) -> None:
        forgotten = await self._revisions.forget_replaced(self._options.kept_s, self._options.batch)
        if forgotten:
            _log.info("revisions_forgotten", documents=forgotten)
        if forgotten < self._options.batch:
            await asyncio.sleep(self._options.every_s)
