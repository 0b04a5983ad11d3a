"""How long one reranking takes through gRPC and Triton.

Where none serves by default, a stack of the suite's own serves the catalogue's reranker for English.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.loadgen import OperationFailed, alternating
from bench.metrics import median
from bench.record import Findings, Series, SummaryRow
from bench.suites.bare_models import encoders
from bench.suites.base import counted, milliseconds, row
from bench.suites.models.contenders import Files
from bench.suites.models.mixed_texts import mixed_texts
from bench.suites.models.workload import RerankPlan
from bench.targets import Endpoints
from pinakes import AsyncClient, ClientOptions, PinakesError, RetryPolicy
from triton_models.catalogue import load_catalogue
from triton_models.embed.encoder import DIMENSION
from triton_models.preparation import default_cache, prepare

_SERIES = "rerank: Pinakes"
_ONCE = ClientOptions(retry=RetryPolicy(attempts=1))
_MODEL = "all-minilm-l6-v2@1"
"""Of the catalogue, for English; by default none serves."""


def provide_reranker(data: Path) -> None:
    """Writes `models.toml` into the data directory, and prepares its model, if no reranker serves by default."""
    own, catalogue = data / "models.toml", load_catalogue()
    if "rerank" in catalogue.slots or own.exists():
        return
    data.mkdir(parents=True, exist_ok=True)
    model = catalogue.models[_MODEL]
    name, _, version = _MODEL.partition("@")
    artifacts = ", ".join(f'{role} = "{artifact}"' for role, artifact in model.artifacts.items())
    own.write_text(
        f'# Of the bench.\n[slots.rerank]\nmodel = "{name}"\nversion = {version}\nconversion = "{model.conversion}"\n'
        f"artifacts = {{ {artifacts} }}\nmemory_bytes = {model.memory_bytes}\n"
    )
    prepare(default_cache(), catalogue=load_catalogue(additions=own), only=[_MODEL])


async def measure_reranking(endpoints: Endpoints, plan: RerankPlan, seed: int, cache: Path) -> Findings:
    """One series; every call has a query that no other had."""
    files = await asyncio.to_thread(Files.made, cache)
    encoder = encoders.TokenEncoder(files.tokenizer, lambda ids, mask: np.zeros((len(ids), DIMENSION), np.float32))

    def tokens(text: str) -> int:
        return len(encoder.ids(text, "passage"))

    # Every other one is Japanese, which a reranker for English leaves alone.
    passages = mixed_texts([plan.passage_tokens] * (2 * plan.passages), seed, tokens, None, ("", ""))[::2]
    [query] = mixed_texts([plan.query_tokens], seed + 1, tokens, None, ("", ""))
    async with AsyncClient(endpoints.server, api_key=endpoints.api_key, options=_ONCE) as client:

        async def operation(number: int) -> Mapping[str, float]:
            try:
                reply = await client.rerank(f"{number} {query}", passages, timeout_s=plan.deadline_s)
            except PinakesError as exc:
                raise OperationFailed(exc.reason or type(exc).__name__) from exc
            return {timing.stage: timing.seconds for timing in reply.timings}

        await alternating({_SERIES: operation}, plan.warm_up, plan.limit_s)
        taken = await alternating({_SERIES: operation}, plan.rounds, plan.limit_s)
    series = Series(_SERIES, "single_caller", taken[_SERIES], warm_up=plan.warm_up)
    return Findings((series,), {"rerank": {"tokens": sum(map(tokens, passages)), "passages": len(passages)}})


def rerank_rows(findings: Findings) -> list[SummaryRow]:
    found = next((one for one in findings.series if one.name == _SERIES), None)
    if found is None:
        return []
    facts = findings.facts["rerank"]
    assert isinstance(facts, dict)
    tokens = facts["tokens"]
    assert isinstance(tokens, int)
    latencies = found.latencies_s()
    return [
        milliseconds("rerank: 20 passages of 160 tokens p50", median(latencies)),
        row("rerank: tokens/s p50", "tokens/s", median([tokens / each for each in latencies]), better="higher"),
        counted("rerank failures", "calls", found.failures(), len(found.samples)),
    ]
