"""Uploads the corpus, all documents at once, and waits until they can be searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.loadgen import Bounds, OperationFailed, open_loop
from bench.record import Sample, Series
from bench.suites.serving.workload import IngestionPlan
from pinakes import AsyncClient, PinakesError

SERIES = "ingest"
ALREADY_STORED = "DOCUMENT_EXISTS"


@dataclass(frozen=True, slots=True)
class Ingested:
    """`token` makes a search wait until the last document is visible; empty when nothing was ingested."""

    series: Series
    token: str
    pages: int


async def ingest(client: AsyncClient, documents: Sequence[Path], plan: IngestionPlan) -> Ingested:
    """One call per document, numbered as `documents`. A document that the server holds already fails with
    DOCUMENT_EXISTS: it was not ingested now, and can be searched."""
    tokens: list[str] = []
    pages: list[int] = []

    async def operation(number: int) -> Mapping[str, float]:
        try:
            upload = await client.documents.upload(documents[number], timeout_s=plan.deadline_s)
            job = await client.documents.wait(upload.job, timeout_s=plan.deadline_s)
            document = await client.documents.get(upload.document.document_id)
        except PinakesError as exc:
            raise OperationFailed(exc.reason or type(exc).__name__) from exc
        if job.success is not None:
            tokens.append(job.success.consistency_token)
        pages.append(document.page_count)
        return {}

    bounds = Bounds(limit_s=plan.deadline_s, max_in_flight=len(documents), drain_s=plan.deadline_s)
    samples = await open_loop(operation, [0.0] * len(documents), bounds)
    _check(documents, samples)
    return Ingested(Series(SERIES, "open_loop", samples), tokens[-1] if tokens else "", sum(pages))


def _check(documents: Sequence[Path], samples: Sequence[Sample]) -> None:
    """Questions about a document that is not there would measure nothing."""
    failed = [
        f"{path.name} ({sample.error})"
        for path, sample in zip(documents, samples, strict=True)
        if sample.error not in ("", ALREADY_STORED)
    ]
    if failed:
        raise CorpusNotIngested(failed)


class CorpusNotIngested(Exception):
    """Some documents of the corpus cannot be searched, so the suite cannot go on."""

    def __init__(self, failed: Sequence[str]) -> None:
        super().__init__(f"not ingested: {', '.join(failed)}")
