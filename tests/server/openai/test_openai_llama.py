"""The adapters with a real server of OpenAI's API: llama.cpp's own."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import numpy as np
import pytest

from server.adapters.openai_embedder import OpenAiEmbedder
from server.adapters.openai_endpoint import OpenAiEndpoint, OpenAiEndpointOptions
from server.adapters.openai_generator import OpenAiGenerator, OpenAiGeneratorOptions
from server.application.model_ports import EmbeddingKind, GeneratedText, GenerationRequest
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, InvalidField, SlotMisconfigured
from tests.server.application.test_look_after_index import eventually
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels

pytestmark = [pytest.mark.stack, pytest.mark.models]

KEY = "sk-local-1234567890"
CAPITAL = GenerationRequest("What is the capital of France? Answer in one word.", max_tokens=20)


@contextmanager
def llama(model_cache: Path, environment: dict[str, str], task: str) -> Iterator[str]:
    """The URL of a server that runs while the context lasts."""
    weights = PreparedModels.open(prepare(model_cache)).paths("generate")["weights"]
    command = [sys.executable, "-m", "tests.server.openai.llama_endpoint", str(weights), KEY, task]
    own = environment | {"GOMP_SPINCOUNT": "1000"}
    process = subprocess.Popen(
        command, env=own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip() + "/v1"
    finally:
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def url(model_cache: Path, environment: dict[str, str]) -> Iterator[str]:
    with llama(model_cache, environment, "generate") as address:
        yield address


def options(url: str) -> OpenAiEndpointOptions:
    return OpenAiEndpointOptions(url=url, model="some/model")


@pytest.fixture
async def connection(url: str) -> AsyncIterator[OpenAiEndpoint]:
    async with OpenAiEndpoint(options(url), KEY, "generation") as opened:
        yield opened


@pytest.fixture
def generator(connection: OpenAiEndpoint) -> OpenAiGenerator:
    return OpenAiGenerator(connection, OpenAiGeneratorOptions(grammar="grammar"))


async def pieces(generator: OpenAiGenerator, request: GenerationRequest) -> list[GeneratedText]:
    return [piece async for piece in generator.stream(request, Deadline.after(120))]


async def text(generator: OpenAiGenerator, request: GenerationRequest) -> str:
    return "".join(piece.text for piece in await pieces(generator, request))


async def test_it_is_ready_for_those_who_have_the_key(url: str, connection: OpenAiEndpoint) -> None:
    assert await connection.ready(Deadline.after(30))
    async with OpenAiEndpoint(options(url), "sk-wrong", "generation") as stranger:
        with pytest.raises(SlotMisconfigured):
            await pieces(OpenAiGenerator(stranger), CAPITAL)


async def test_it_writes_and_counts(generator: OpenAiGenerator) -> None:
    made = await pieces(generator, CAPITAL)
    assert "Paris" in "".join(piece.text for piece in made)
    assert [piece.finish_reason for piece in made] == [None] * (len(made) - 1) + ["stop"]
    assert made[-1].prompt_tokens > 10
    assert made[-1].completion_tokens >= 1
    last = (await pieces(generator, replace(CAPITAL, prompt="Count to 100.", max_tokens=3)))[-1]
    assert (last.finish_reason, last.completion_tokens) == ("length", 3)


async def test_it_stops_where_it_is_told(generator: OpenAiGenerator) -> None:
    counting = GenerationRequest("Count from 1 to 9, with commas between the numbers.", max_tokens=40)
    assert "5" in await text(generator, counting)
    assert "5" not in await text(generator, replace(counting, stop=("5", "five")))


async def test_it_keeps_to_grammars_and_schemas(generator: OpenAiGenerator) -> None:
    assert await text(generator, replace(CAPITAL, grammar='root ::= "Lyon" | "Nice"')) in ("Lyon", "Nice")
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 9}}, "required": ["city"]}
    made = json.loads(await text(generator, replace(CAPITAL, json_schema=json.dumps(schema))))
    assert isinstance(made["city"], str)


async def test_it_tells_how_likely_tokens_were(generator: OpenAiGenerator) -> None:
    made = await pieces(generator, replace(CAPITAL, log_probabilities=True, alternatives=2))
    chosen = [token for piece in made for token in piece.tokens]
    assert b"".join(token.chosen.token for token in chosen).decode() == "".join(piece.text for piece in made)
    assert all(0 < math.exp(token.chosen.log_probability) <= 1.0001 for token in chosen)
    assert all(len(token.alternatives) == 2 for token in chosen)


async def test_a_prompt_that_does_not_fit_is_told(generator: OpenAiGenerator) -> None:
    with pytest.raises(InvalidField, match="does not fit"):
        await pieces(generator, replace(CAPITAL, prompt="word " * 2_000))


async def test_closing_the_stream_frees_its_slot(url: str, generator: OpenAiGenerator) -> None:
    """It has one slot: a call after one that was left can only be answered if that one has ended."""
    endless = GenerationRequest("Write a very long story about a lighthouse.", max_tokens=900)
    async with aclosing(generator.stream(endless, Deadline.after(120))) as stream:
        await anext(stream)
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as client:

        async def metrics() -> str:
            return (await client.get(url.removesuffix("/v1") + "/metrics")).text

        async def idle() -> bool:
            return "requests_processing 0" in await metrics()

        await eventually(idle)
        written = await metrics()
    [predicted] = [line for line in written.splitlines() if line.startswith("llamacpp:tokens_predicted_total ")]
    assert float(predicted.split()[1]) < 900
    assert await text(generator, CAPITAL)


async def test_embeddings_tell_texts_apart(model_cache: Path, environment: dict[str, str]) -> None:
    with llama(model_cache, environment, "embed") as address:
        async with OpenAiEndpoint(options(address), KEY, "embedding") as endpoint:
            model = await OpenAiEmbedder.connect(endpoint, Deadline.after(60))
            texts = ["The ferry leaves at noon.", "The ferry departs at 12 o'clock.", "Mushrooms grow in forests."]
            made = await model.embed(texts, EmbeddingKind.PASSAGE, Deadline.after(60))
            # One that is too long is an error, never a truncated embedding (llama.cpp: 500, most others: 400).
            with pytest.raises((InvalidField, DependencyUnavailable)):
                await model.embed(["word " * 2_000], EmbeddingKind.PASSAGE, Deadline.after(60))
    assert made.vectors.shape == (3, model.dimension)
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1.0, rtol=1e-5)
    assert made.vectors[0] @ made.vectors[1] > made.vectors[0] @ made.vectors[2]
