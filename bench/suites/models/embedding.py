"""How fast texts and queries are embedded through gRPC and Triton, beside bare engines with the same weights, in turns.

In a round everybody embeds the same texts of mixed lengths: Pinakes gets them in one call, a bare engine in their
order. Bare engines are timed in their own process, tokenizing included. What a query costs beyond the engine is the
median of differences: the same query through Pinakes, and in a process that runs the network that Pinakes runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from bench.loadgen import Operation, OperationFailed, alternating
from bench.metrics import median, paired_median_difference, paired_median_ratio
from bench.record import Findings, Sample, Series, SummaryRow
from bench.suites.bare_models import encoders
from bench.suites.bare_models.encoders import BareEncoder
from bench.suites.base import PROJECT, counted, milliseconds, row
from bench.suites.index.processes import Worker
from bench.suites.models.contenders import (
    FLOAT,
    INT8,
    OWN,
    SENTENCE_TRANSFORMERS,
    Files,
    bare_encoders,
)
from bench.suites.models.mixed_texts import mixed_texts
from bench.suites.models.workload import EmbeddingPlan, QueryPlan
from bench.targets import Endpoints
from pinakes import AsyncClient, ClientOptions, EmbeddingKind, PinakesError, RetryPolicy
from triton_models.embed.tokenizer import E5Tokenizer

ENGINE = "engine"
"""The stage of a bare engine's call: what it took in the engine's process."""
_OURS = "Pinakes"
_EMBEDDING, _QUERY = "embedding", "query"
_ONCE = ClientOptions(retry=RetryPolicy(attempts=1))

Crew = Mapping[str, Worker[BareEncoder]]


class _Facts(BaseModel):
    """tokens: of a round, as the network reads them. cosines: to float32, of each text. absent: why an engine is not
    there."""

    model_config = ConfigDict(extra="forbid")

    tokens: int
    lengths: list[int]
    cosines: list[float]
    absent: dict[str, str]


async def measure_embedding(
    endpoints: Endpoints, plan: EmbeddingPlan, sets: Path | None, seed: int, cache: Path
) -> Findings:
    """Raises NoDataSets."""
    files = await asyncio.to_thread(Files.made, cache)
    tokenizer = E5Tokenizer(*files.tokenizer)

    def tokens(text: str) -> int:
        return len(tokenizer.encode(encoders.PREFIXES["passage"] + text))

    lengths = np.random.default_rng(seed).integers(plan.least_tokens, plan.most_tokens + 1, plan.texts).tolist()
    texts = await asyncio.to_thread(mixed_texts, lengths, seed, tokens, sets, (plan.english_set, plan.japanese_set))
    counts = [tokens(text) for text in texts]
    vectors: dict[str, npt.NDArray[np.float32]] = {}
    with bare_encoders(files, plan.threads, PROJECT / plan.peers) as (crew, absent):
        async with AsyncClient(endpoints.server, api_key=endpoints.api_key, options=_ONCE) as client:
            operations = {_named(_EMBEDDING, _OURS): _ours(client, texts, plan, vectors)}
            for name, worker in crew.items():
                for batch in _batches(name, plan.batches):
                    who = f"{name}, {batch} at a time"
                    operations[_named(_EMBEDDING, who)] = _bare(worker, texts, "passage", batch, name, vectors)
            series = await _in_turns(operations, plan.warm_up, plan.rounds, plan.limit_s)
    cosines = np.sum(vectors[_OURS] * vectors[FLOAT], axis=1)
    facts = _Facts(tokens=sum(counts), lengths=counts, cosines=cosines.tolist(), absent=absent)
    return Findings(series, {_EMBEDDING: facts.model_dump(mode="json")})


async def measure_queries(endpoints: Endpoints, plan: QueryPlan, seed: int, cache: Path) -> Findings:
    """Two series whose n-th calls embed the same query, which nobody has seen before."""
    files = await asyncio.to_thread(Files.made, cache)
    tokenizer = E5Tokenizer(*files.tokenizer)

    def tokens(text: str) -> int:
        return len(tokenizer.encode(encoders.PREFIXES["query"] + text))

    lengths = [plan.tokens] * (plan.warm_up + plan.rounds)
    made = mixed_texts([length - 4 for length in lengths], seed, tokens, None, ("", ""))
    queries = [f"{number} {text}" for number, text in enumerate(made)]
    with bare_encoders(files, plan.threads, None) as (crew, _):
        engine = OWN if OWN in crew else INT8
        async with AsyncClient(endpoints.server, api_key=endpoints.api_key, options=_ONCE) as client:
            operations = {
                _named(_QUERY, _OURS): _our_query(client, queries, plan),
                _named(_QUERY, engine): _bare_query(crew[engine], queries),
            }
            series = await _in_turns(operations, plan.warm_up, plan.rounds, plan.limit_s)
    return Findings(series, {_QUERY: {"engine": engine, "tokens": [tokens(query) for query in queries]}})


def embedding_rows(findings: Findings, seed: int) -> list[SummaryRow]:
    if _EMBEDDING not in findings.facts:
        return []
    rng = np.random.default_rng(seed)
    facts = _Facts.model_validate(findings.facts[_EMBEDDING])
    seconds = _seconds(findings, _EMBEDDING)
    ours = seconds.pop(_OURS)
    rows = [row("embedding: tokens/s p50", "tokens/s", median(_rates(ours, facts.tokens)), better="higher")]
    for name, theirs in sorted(seconds.items(), key=lambda each: float(np.median(each[1]))):
        rate = median(_rates(theirs, facts.tokens))
        rows.append(row(f"embedding: tokens/s p50, {name}", "tokens/s", rate, better="higher"))
    others = [took for name, took in seconds.items() if name.rpartition(", ")[0] != OWN]
    best = {"the fastest bare engine": min(others, key=lambda each: float(np.median(each)))}
    for name, theirs in seconds.items():
        engine = name.rpartition(", ")[0]
        best[engine] = min(best.get(engine, theirs), theirs, key=lambda each: float(np.median(each)))
    for name, theirs in best.items():
        ratio = paired_median_ratio(ours, theirs, rng)
        rows.append(row(f"embedding: times as fast as {name}", "x", ratio, better="higher"))
    texts = len(facts.cosines)
    rows += [
        counted("embedding: least cosine to float32", "score", min(facts.cosines), texts, better="higher"),
        counted(
            "embedding: median cosine to float32", "score", float(np.median(facts.cosines)), texts, better="higher"
        ),
    ]
    return [*rows, _failures(findings, _EMBEDDING)]


def query_rows(findings: Findings, seed: int) -> list[SummaryRow]:
    if _QUERY not in findings.facts:
        return []
    rng = np.random.default_rng(seed)
    seconds = _seconds(findings, _QUERY)
    ours = seconds.pop(_OURS)
    [(name, theirs)] = seconds.items()
    return [
        milliseconds("query: embedding p50", median(ours)),
        milliseconds(f"query: embedding p50, {name}", median(theirs)),
        milliseconds("query: overhead of gRPC and Triton p50", paired_median_difference(theirs, ours, rng)),
        _failures(findings, _QUERY),
    ]


def _named(part: str, who: str) -> str:
    return f"{part}: {who}"


def _batches(name: str, batches: Sequence[int]) -> Sequence[int]:
    """The slow ones get one each: alone there is no padding, and who sorts wants many."""
    if name == FLOAT:
        return batches[:1]
    return batches[-1:] if name == SENTENCE_TRANSFORMERS else batches


async def _in_turns(
    operations: Mapping[str, Operation], warm_up: int, rounds: int, limit_s: float
) -> tuple[Series, ...]:
    await alternating(operations, warm_up, limit_s)
    later = {name: _from(operation, warm_up) for name, operation in operations.items()}
    taken = await alternating(later, rounds, limit_s)
    return tuple(Series(name, "alternating", samples, warm_up=warm_up) for name, samples in taken.items())


def _from(operation: Operation, first: int) -> Operation:
    async def shifted(number: int) -> Mapping[str, float]:
        return await operation(first + number)

    return shifted


def _ours(
    client: AsyncClient, texts: Sequence[str], plan: EmbeddingPlan, vectors: dict[str, npt.NDArray[np.float32]]
) -> Operation:
    async def operation(number: int) -> Mapping[str, float]:
        try:
            reply = await client.embed(texts, kind=EmbeddingKind.PASSAGE, timeout_s=plan.deadline_s)
        except PinakesError as exc:
            raise OperationFailed(exc.reason or type(exc).__name__) from exc
        vectors[_OURS] = np.array([each.values for each in reply.embeddings], np.float32)
        return {timing.stage: timing.seconds for timing in reply.timings}

    return operation


def _bare(
    worker: Worker[BareEncoder],
    texts: Sequence[str],
    kind: str,
    batch: int,
    name: str,
    vectors: dict[str, npt.NDArray[np.float32]],
) -> Operation:
    async def operation(number: int) -> Mapping[str, float]:
        seconds, vectors[name] = await asyncio.to_thread(worker.call, encoders.encode, texts, kind, batch)
        return {ENGINE: seconds}

    return operation


def _our_query(client: AsyncClient, queries: Sequence[str], plan: QueryPlan) -> Operation:
    async def operation(number: int) -> Mapping[str, float]:
        try:
            reply = await client.embed([queries[number]], kind=EmbeddingKind.QUERY, timeout_s=plan.deadline_s)
        except PinakesError as exc:
            raise OperationFailed(exc.reason or type(exc).__name__) from exc
        return {timing.stage: timing.seconds for timing in reply.timings}

    return operation


def _bare_query(worker: Worker[BareEncoder], queries: Sequence[str]) -> Operation:
    async def operation(number: int) -> Mapping[str, float]:
        seconds, _ = await asyncio.to_thread(worker.call, encoders.encode, [queries[number]], "query", 1)
        return {ENGINE: seconds}

    return operation


def _seconds(findings: Findings, part: str) -> dict[str, list[float]]:
    """Of each call, by who was called: through Pinakes as the caller sees it, in a bare engine as its process does. A
    failed call is infinitely late."""
    found = {}
    for one in findings.series:
        if one.name.startswith(f"{part}: "):
            found[one.name.removeprefix(f"{part}: ")] = [_took(sample) for sample in one.samples]
    return found


def _took(sample: Sample) -> float:
    return float("inf") if sample.error else sample.stages_s.get(ENGINE, sample.latency_s)


def _rates(seconds: Sequence[float], tokens: int) -> list[float]:
    return [tokens / each for each in seconds]


def _failures(findings: Findings, part: str) -> SummaryRow:
    own = [one for one in findings.series if one.name.startswith(f"{part}: ")]
    return counted(
        f"{part} failures", "calls", sum(one.failures() for one in own), sum(len(one.samples) for one in own)
    )
