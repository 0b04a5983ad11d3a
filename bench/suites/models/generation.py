"""How fast text is generated, beside llama.cpp's own server with the same file and as many threads, in turns.

Both get the same prompt in a round. `fresh` prompts begin like no earlier one; `read` ones ask another question about
the passages of the round before, which both keep."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from pydantic import JsonValue, TypeAdapter

from bench.loadgen import Operation, OperationFailed, alternating
from bench.metrics import Estimate, median, paired_median_ratio
from bench.record import Findings, Series, SummaryRow
from bench.suites.base import counted, milliseconds, row
from bench.suites.models.llama_server import running_llama
from bench.suites.models.workload import GenerationPlan
from bench.targets import Endpoints
from pinakes import AsyncClient, ClientOptions, GenerateCompletion, GenerateDelta, PinakesError, RetryPolicy
from triton_models.preparation import default_cache, prepare
from triton_models.prepared import PreparedModels

FIRST_TOKEN = "first_token"
PER_TOKEN = "per_token"
_OURS = "Pinakes"
_LLAMA = "llama.cpp's server"
_FRESH = "generation, fresh prompt"
_READ = "generation, passages read before"
_ONCE = ClientOptions(retry=RetryPolicy(attempts=1))
_WORDS = (
    "harbour",
    "ferry",
    "island",
    "lighthouse",
    "keeper",
    "winter",
    "storm",
    "captain",
    "letter",
    "garden",
    "market",
    "bridge",
    "river",
    "village",
    "morning",
    "teacher",
    "window",
    "station",
    "engine",
    "summer",
    "mountain",
    "forest",
    "doctor",
    "museum",
    "painter",
    "violin",
    "kitchen",
    "bakery",
    "orchard",
    "tower",
)
_VERBS = ["sees", "follows", "remembers", "repairs", "paints", "carries", "finds", "leaves", "watches", "describes"]


@dataclass(slots=True)
class Prompts:
    """Made from a seed; the n-th is the same for both."""

    plan: GenerationPlan
    seed: int

    def fresh(self, number: int) -> str:
        return f"{self._passages(number)}\n\nWrite a very long story about what happens next."

    def read(self, number: int) -> str:
        """About the passages of `fresh(number)`."""
        return f"{self._passages(number)}\n\nWrite a very long letter about the weather there."

    def _passages(self, number: int) -> str:
        rng = np.random.default_rng((self.seed, number))
        sentences = []
        # "The keeper of the harbour watches the ferry." has nine tokens.
        for _ in range(self.plan.prompt_tokens // 9):
            first, second, third = rng.choice(_WORDS, 3)
            sentences.append(f"The {first} of the {second} {rng.choice(_VERBS)} the {third}.")
        return " ".join(sentences)


@dataclass(slots=True)
class _Seen:
    """Counts of the calls of one series that succeeded, by their number."""

    prompt_tokens: dict[int, int] = field(default_factory=dict)
    cached_tokens: dict[int, int] = field(default_factory=dict)


async def measure_generation(endpoints: Endpoints, plan: GenerationPlan, seed: int) -> Findings:
    """Four series, and the tokens of their prompts. Raises what starting the peer does."""
    weights = PreparedModels.open(await asyncio.to_thread(prepare, default_cache())).paths("generate")["weights"]
    return await _measure(endpoints, plan, seed, weights)


async def _measure(endpoints: Endpoints, plan: GenerationPlan, seed: int, weights: Path) -> Findings:
    prompts = Prompts(plan, seed)
    seen = {f"{kind}: {who}": _Seen() for kind in (_FRESH, _READ) for who in (_OURS, _LLAMA)}

    def ours(client: AsyncClient, kind: str) -> Operation:
        return _ours(client, prompts, kind, plan, seen[f"{kind}: {_OURS}"])

    def llama(client: httpx2.AsyncClient, kind: str) -> Operation:
        return _llama(client, prompts, kind, plan, seen[f"{kind}: {_LLAMA}"])

    async with (
        running_llama(weights, plan) as address,
        AsyncClient(endpoints.server, api_key=endpoints.api_key, options=_ONCE) as client,
        httpx2.AsyncClient(base_url=address, timeout=plan.deadline_s) as peer,
    ):
        taken: dict[str, list[Series]] = {}
        for number in range(plan.warm_up + plan.rounds):
            for kind in (_FRESH, _READ):
                operations = {f"{kind}: {_OURS}": ours(client, kind), f"{kind}: {_LLAMA}": llama(peer, kind)}
                turned = operations if number % 2 == 0 else dict(reversed(operations.items()))
                round_ = await alternating(
                    {name: _at(operation, number) for name, operation in turned.items()}, 1, plan.deadline_s
                )
                for name, samples in round_.items():
                    taken.setdefault(name, []).append(Series(name, "alternating", samples))
    series = tuple(
        Series(
            name,
            "alternating",
            tuple(sample for one in parts[plan.warm_up :] for sample in one.samples),
            warm_up=plan.warm_up,
        )
        for name, parts in sorted(taken.items())
    )
    facts: dict[str, JsonValue] = {
        name: {
            "prompt_tokens": _measured(counts.prompt_tokens, plan),
            "cached_tokens": _measured(counts.cached_tokens, plan),
        }
        for name, counts in seen.items()
    }
    return Findings(series, {"generation": facts})


def _measured(counts: Mapping[int, int], plan: GenerationPlan) -> list[JsonValue]:
    """Those after the rounds that only warm up."""
    return [counts[number] for number in sorted(counts) if number >= plan.warm_up]


def generation_rows(findings: Findings, seed: int) -> list[SummaryRow]:
    series = {one.name: one for one in findings.series}
    if f"{_FRESH}: {_OURS}" not in series:
        return []
    rng = np.random.default_rng(seed)
    facts = TypeAdapter(dict[str, dict[str, list[int]]]).validate_python(findings.facts["generation"])
    ours, llama = (series[f"{_FRESH}: {who}"] for who in (_OURS, _LLAMA))
    ours_read, llama_read = (series[f"{_READ}: {who}"] for who in (_OURS, _LLAMA))

    def ratio(before: Series, after: Series, stage: str) -> Estimate | None:
        """How many times as fast `after` is."""
        return paired_median_ratio(_stage(after, stage), _stage(before, stage), rng)

    return [
        row("generation: prompt tokens p50", "tokens", median(facts[ours.name]["prompt_tokens"])),
        milliseconds("generation: first token p50", median(_stage(ours, FIRST_TOKEN))),
        milliseconds("generation: first token p50, llama.cpp's server", median(_stage(llama, FIRST_TOKEN))),
        row(
            "generation: first token, times as fast as llama.cpp's server",
            "x",
            ratio(llama, ours, FIRST_TOKEN),
            better="higher",
        ),
        row("generation: decode tokens/s p50", "tokens/s", median(_rates(ours)), better="higher"),
        row("generation: decode tokens/s p50, llama.cpp's server", "tokens/s", median(_rates(llama)), better="higher"),
        row(
            "generation: decoding, times as fast as llama.cpp's server",
            "x",
            ratio(llama, ours, PER_TOKEN),
            better="higher",
        ),
        row("generation: tokens read before p50", "tokens", median(facts[ours_read.name]["cached_tokens"])),
        milliseconds("generation: first token after passages read before p50", median(_stage(ours_read, FIRST_TOKEN))),
        milliseconds(
            "generation: first token after passages read before p50, llama.cpp's server",
            median(_stage(llama_read, FIRST_TOKEN)),
        ),
        row(
            "generation: first token, times as fast where passages were read before",
            "x",
            ratio(ours, ours_read, FIRST_TOKEN),
            better="higher",
        ),
        counted(
            "generation failures",
            "calls",
            sum(one.failures() for one in findings.series if one.name.startswith("generation")),
            sum(len(one.samples) for one in findings.series if one.name.startswith("generation")),
        ),
    ]


def _stage(series: Series, stage: str) -> list[float]:
    """One for each call; a failed one is infinitely late."""
    return [sample.stages_s.get(stage, float("inf")) for sample in series.samples]


def _rates(series: Series) -> list[float]:
    return [1.0 / seconds for seconds in _stage(series, PER_TOKEN)]


def _ours(client: AsyncClient, prompts: Prompts, kind: str, plan: GenerationPlan, seen: _Seen) -> Operation:
    async def operation(number: int) -> Mapping[str, float]:
        clock = asyncio.get_running_loop().time
        times: list[float] = []
        end: GenerateCompletion | None = None
        sent = clock()
        try:
            prompt = _prompt(prompts, kind, number)
            async with client.generate(prompt, max_tokens=plan.max_tokens, timeout_s=plan.deadline_s) as events:
                async for event in events:
                    if isinstance(event, GenerateDelta):
                        times.append(clock())
                    else:
                        end = event
        except PinakesError as exc:
            raise OperationFailed(exc.reason or type(exc).__name__) from exc
        if end is None:
            raise OperationFailed("NO_END")
        seen.prompt_tokens[number] = end.prompt_tokens
        seen.cached_tokens[number] = end.cached_prompt_tokens
        return stages_of(sent, times, end.completion_tokens, plan)

    return operation


def _llama(client: httpx2.AsyncClient, prompts: Prompts, kind: str, plan: GenerationPlan, seen: _Seen) -> Operation:
    async def operation(number: int) -> Mapping[str, float]:
        clock = asyncio.get_running_loop().time
        times: list[float] = []
        usage: dict[str, Any] = {}
        body = {
            "messages": [{"role": "user", "content": _prompt(prompts, kind, number)}],
            "max_tokens": plan.max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        sent = clock()
        try:
            async with client.stream("POST", "/v1/chat/completions", json=body) as response:
                response.raise_for_status()
                async for event in httpx2.EventSource(response):
                    if event.data == "[DONE]":
                        break
                    chunk = json.loads(event.data)
                    usage = chunk.get("usage") or usage
                    if any(choice["delta"].get("content") for choice in chunk["choices"]):
                        times.append(clock())
        except httpx2.HTTPError as exc:
            raise OperationFailed(type(exc).__name__) from exc
        if not usage:
            raise OperationFailed("NO_END")
        seen.prompt_tokens[number] = int(usage["prompt_tokens"])
        seen.cached_tokens[number] = int(usage["prompt_tokens_details"]["cached_tokens"])
        return stages_of(sent, times, int(usage["completion_tokens"]), plan)

    return operation


def stages_of(sent: float, times: Sequence[float], tokens: int, plan: GenerationPlan) -> dict[str, float]:
    """Raises OperationFailed for a text that is too short to tell a rate."""
    if tokens < plan.max_tokens or len(times) < 2:
        raise OperationFailed("SHORT_TEXT")
    return {FIRST_TOKEN: times[0] - sent, PER_TOKEN: (times[-1] - times[0]) / (tokens - 1)}


def _prompt(prompts: Prompts, kind: str, number: int) -> str:
    return prompts.fresh(number) if kind == _FRESH else prompts.read(number)


def _at(operation: Operation, number: int) -> Operation:
    async def call(_: int) -> Mapping[str, float]:
        return await operation(number)

    return call
