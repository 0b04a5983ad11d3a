"""Finds damaged files of the index, and puts a generation that is made anew in the place of the damaged one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from server.application.announcing import Announcer
from server.application.background import repeat
from server.application.index_ports import IndexCare
from server.application.look_after_index import LookAfterIndex
from server.domain.errors import GenerationExists
from server.domain.events import AlertKind, SystemAlert
from server.domain.generations import Generation, GenerationState

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """Every file is read, and compared with its checksum, `first_after_s` after the start and then `every_s`."""

    first_after_s: float = 60.0
    every_s: float = 86_400.0
    look_every_s: float = 1.0
    """How often a replacement is looked at while it is built."""


class VerifyIndex:
    """Damage is no reason to end: searches go on, the health of the search service says that something is
    wrong, and the log has all that it takes to make the generation anew."""

    def __init__(self, index: LookAfterIndex, care: IndexCare, announcer: Announcer, options: VerifyOptions) -> None:
        self._index = index
        self._care = care
        self._announcer = announcer
        self._options = options

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(self._options.first_after_s)
        await repeat("verify_index", self._verify_and_rest)

    async def _verify_and_rest(self) -> None:
        await self.verify()
        await asyncio.sleep(self._options.every_s)

    async def verify(self) -> None:
        """Returns when all generations are whole, or have been replaced."""
        for generation in (await self._index.status()).generations:
            problem = await self._care.verify(generation.name)
            if not problem:
                continue
            _log.error("index_corrupt", generation=generation.name, problem=problem)
            await self._announcer.tell(SystemAlert(AlertKind.INDEX_DAMAGED, generation.name, problem))
            if generation.state is GenerationState.SERVING:
                await self._replace(generation)
            else:
                await self._index.delete(generation.name)
                await self._index.begin(generation.options)

    async def _replace(self, damaged: Generation) -> None:
        """By the generation beside it once that is complete; by one like itself if there is none."""
        replacement = ""
        while True:
            generations = (await self._index.status()).generations
            beside = [each for each in generations if each.name != damaged.name]
            if not beside:
                replacement = await self._begun_like(damaged)
            elif beside[0].state is GenerationState.SERVING:
                break  # somebody else has activated it
            elif beside[0].state is GenerationState.READY:
                replacement = beside[0].name
                await self._index.activate(replacement)
                break
            await asyncio.sleep(self._options.look_every_s)
        await self._index.delete(damaged.name)
        _log.warning("index_replaced", damaged=damaged.name, replacement=replacement)

    async def _begun_like(self, damaged: Generation) -> str:
        try:
            return (await self._index.begin(damaged.options)).name
        except GenerationExists as error:
            return error.generation
