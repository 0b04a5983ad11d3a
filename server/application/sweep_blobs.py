"""Removes blobs that no document refers to: what crashes between two stores leave."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from server.application.background import repeat
from server.application.document_ports import BlobReferences, BlobStore

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """`grace_s` must be longer than any upload: a blob has no document until its upload is complete."""

    every_s: float = 900.0
    grace_s: float = 3_600.0
    batch: int = 1_000


class SweepBlobs:
    def __init__(self, blobs: BlobStore, references: BlobReferences, options: SweepOptions) -> None:
        self._blobs = blobs
        self._references = references
        self._options = options

    async def run(self) -> None:
        """First waits for `grace_s`: whatever was wrong when the process started costs no blob before that."""
        await asyncio.sleep(self._options.grace_s)
        await repeat("sweep_blobs", self._step)

    async def sweep(self) -> int:
        """Returns how many it removed. Raises DependencyUnavailable."""
        keys = await self._blobs.older_than(self._options.grace_s)
        removed = 0
        for first in range(0, len(keys), self._options.batch):
            unreferenced = await self._references.unreferenced(keys[first : first + self._options.batch])
            for key in unreferenced:
                await self._blobs.delete(key)
            removed += len(unreferenced)
        if removed:
            _log.info("blobs_swept", blobs=removed)
        return removed

    async def _step(self) -> None:
        await self.sweep()
        await asyncio.sleep(self._options.every_s)
