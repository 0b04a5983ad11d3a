"""A worker whose embedding model is not the one that the documents were embedded with."""

from __future__ import annotations

import asyncio

from server.domain.documents import JobState
from tests.server.ingestion.conftest import Workshop, in_background
from tests.server.postgres.conftest import ANA


async def test_a_job_waits_until_the_worker_follows_the_alias(workshop: Workshop) -> None:
    _, first = await workshop.take_in("one")
    async with in_background(workshop.relay(), workshop.worker()):
        assert (await workshop.ended(first)).state is JobState.SUCCEEDED
        workshop.embedder.fingerprint = "embedder 2"
        _, job = await workshop.take_in("two")
        async with asyncio.timeout(30):
            while (waiting := await workshop.catalog.job(ANA, job.job_id)).failure is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert waiting.failure.reason == "EmbeddingMismatch"
        workshop.embedder.fingerprint = "embedder 1"
        ended = await workshop.ended(job)
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1), "waiting for the alias is no attempt"
    assert await workshop.row("SELECT DISTINCT fingerprint FROM embeddings") == ("embedder 1",)
