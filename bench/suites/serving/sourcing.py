"""How soon an answer's sources come from a larger collection: one caller, who leaves when they are there."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.loadgen import Bounds, OperationFailed, open_loop, single_caller
from bench.record import Series
from bench.suites.serving.answering import FIRST_SOURCE
from bench.suites.serving.ingestion import ALREADY_STORED
from bench.suites.serving.workload import SourcesPlan
from pinakes import AsyncClient, PinakesError, Sources
from pinakes.errors import DocumentExists

SERIES = "sources"
CHUNKS = "sources_chunks"
"""The fact that tells how many passages the collection has."""
ROWS = "sources of "
"""How the names of the figures begin."""
_SYLLABLES = ("ba", "del", "fen", "gor", "hul", "kim", "lor", "mar", "nes", "pol", "rus", "tev")
_YARDS = ("Orlo", "Lindholm", "Cape Tarn", "Vessel Bay", "Marstrand")


@dataclass(frozen=True, slots=True)
class Ship:
    """A section of a document: one passage."""

    name: str
    number: int

    @property
    def section(self) -> str:
        year, passengers = 1900 + self.number % 120, 40 + self.number % 1_900
        yard = _YARDS[self.number % len(_YARDS)]
        return (
            f"## The ferry {self.name}\n\nThe ferry {self.name} was launched in {year} at the yard of {yard}. It"
            f" carries {passengers:,} passengers and {passengers // 7} cars, and crosses the sound"
            f" {1 + self.number % 9} times a day, once on Sundays.\n"
        )

    @property
    def question(self) -> str:
        return f"How many passengers does the ferry {self.name} carry?"


def ships() -> Iterator[Ship]:
    """No two have the same name."""
    for number, syllables in enumerate(itertools.product(_SYLLABLES, repeat=4)):
        yield Ship("".join(syllables).capitalize(), number)


async def measure_sources(client: AsyncClient, plan: SourcesPlan) -> tuple[list[Series], int]:
    """The series and how many passages there are. Raises PinakesError for a document that cannot be ingested."""
    sailing = ships()
    fleets = [list(itertools.islice(sailing, plan.sections)) for _ in range(plan.documents)]
    token = ""
    chunks = 0

    async def upload(number: int) -> Mapping[str, float]:
        nonlocal token, chunks
        text = f"# Ferries, part {number}\n\n" + "\n".join(ship.section for ship in fleets[number])
        try:
            sent = await client.documents.upload(text.encode(), name=f"ferries {number}.md")
            job = await client.documents.wait(sent.job, timeout_s=plan.ingestion_limit_s)
            document_id = sent.document.document_id
            token = job.consistency_token
        except DocumentExists as exc:
            document_id = exc.document_id
        document = await client.documents.get(document_id)
        chunks += document.chunk_count
        return {}

    bounds = Bounds(limit_s=plan.ingestion_limit_s, max_in_flight=8, drain_s=plan.ingestion_limit_s)
    ingested = await open_loop(upload, [0.0] * plan.documents, bounds)
    failed = [sample.error for sample in ingested if sample.error not in ("", ALREADY_STORED)]
    if failed:
        raise PinakesError(f"{len(failed)} documents were not ingested, the first for {failed[0]}")
    asked = [ship for fleet in fleets for ship in fleet]
    # Far apart, so that no question finds what the one before has brought into a cache.
    step = max(1, len(asked) // (plan.calls + plan.warm_up))
    order = asked[::step]

    clock = asyncio.get_running_loop().time

    async def ask(number: int) -> Mapping[str, float]:
        try:
            sent = clock()
            async with client.answer(
                order[number % len(order)].question, consistency_token=token, timeout_s=plan.deadline_s
            ) as events:
                first = await anext(events)
                first_s = clock() - sent
        except PinakesError as exc:
            raise OperationFailed(exc.reason or type(exc).__name__) from exc
        if not isinstance(first, Sources) or not first.passages:
            raise OperationFailed("NO_SOURCES")
        return {FIRST_SOURCE: first_s}

    await single_caller(ask, plan.warm_up, plan.limit_s)

    async def later(number: int) -> Mapping[str, float]:
        return await ask(plan.warm_up + number)

    samples = await single_caller(later, plan.calls, plan.limit_s)
    return [Series(SERIES, "single_caller", samples, warm_up=plan.warm_up)], chunks
