"""What an OpenAI-compatible endpoint does wrong, and what callers are told of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from server.adapters.endpoint_slot import EndpointSlot
from server.adapters.openai_embedder import OpenAiEmbedder, OpenAiEmbedderOptions
from server.adapters.openai_endpoint import OpenAiEndpoint, OpenAiEndpointOptions
from server.adapters.openai_generator import OpenAiGenerator, OpenAiGeneratorOptions
from server.application.model_ports import EmbeddingKind, GeneratedText, GenerationRequest
from server.domain.deadline import Deadline
from server.domain.errors import (
    DependencyUnavailable,
    InvalidField,
    Overloaded,
    PinakesError,
    SlotMisconfigured,
    StageDeadline,
)
from server.embedded.process import free_port
from tests.server.openai.scripted_endpoint import Endpoint, Reply, endpoint

KEY = "sk-secret-1234567890"
ASKED = GenerationRequest("Where is the ferry?")


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with endpoint() as scripted:
        yield scripted


def options(url: str) -> OpenAiEndpointOptions:
    return OpenAiEndpointOptions(url=url, model="some/model", concurrent=2, retry_after_s=3.0)


@pytest.fixture
async def connection(server: Endpoint) -> AsyncIterator[OpenAiEndpoint]:
    async with OpenAiEndpoint(options(server.url), KEY, "generation") as opened:
        yield opened


@pytest.fixture
def generator(connection: OpenAiEndpoint) -> OpenAiGenerator:
    return OpenAiGenerator(connection)


async def pieces(
    generator: OpenAiGenerator, request: GenerationRequest = ASKED, seconds: float = 30.0
) -> list[GeneratedText]:
    return [piece async for piece in generator.stream(request, Deadline.after(seconds))]


def delta(text: str, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]}


async def failure(generator: OpenAiGenerator) -> PinakesError:
    with pytest.raises(PinakesError) as caught:
        await pieces(generator)
    return caught.value


async def test_an_endpoint_that_refuses_to_tell_probabilities_is_not_asked_again(
    server: Endpoint, generator: OpenAiGenerator
) -> None:
    server.tells(delta("In port.", "stop"), "[DONE]")
    server.refuses = lambda asked: "logprobs" in asked
    sure = replace(ASKED, log_probabilities=True)
    for _ in range(2):
        assert await pieces(generator, sure) == [GeneratedText("In port."), GeneratedText("", "stop")]
    assert ["logprobs" in asked for _, _, asked in server.seen] == [True, False, False]


async def test_what_is_refused_for_another_reason_is_refused(server: Endpoint, generator: OpenAiGenerator) -> None:
    server.tells(delta("In port.", "stop"), "[DONE]")
    server.refuses = lambda asked: asked["max_tokens"] > 100
    with pytest.raises(InvalidField):
        await pieces(generator, replace(ASKED, log_probabilities=True, max_tokens=200))
    await pieces(generator, replace(ASKED, log_probabilities=True, max_tokens=10))
    assert "logprobs" in server.last[2], "it may tell them"


async def test_a_stream_becomes_pieces_and_an_end_with_counts(server: Endpoint, generator: OpenAiGenerator) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    server.tells(delta("In "), delta("port.", "stop"), {"choices": [], "usage": usage}, "[DONE]")
    request = replace(ASKED, system="Be brief.", max_tokens=5, temperature=0.5, seed=7, stop=("x",))
    assert await pieces(generator, request) == [
        GeneratedText("In "),
        GeneratedText("port."),
        GeneratedText("", "stop", 9, 2, 4),
    ]
    path, headers, body = server.last
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body == {
        "model": "some/model",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is the ferry?"}],
        "max_tokens": 5,
        "temperature": 0.5,
        "seed": 7,
        "stop": ["x"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_too_many_requests_say_when_to_come_again(server: Endpoint, generator: OpenAiGenerator) -> None:
    for headers, seconds in (({"Retry-After": "7"}, 7.0), ({}, 3.0), ({"Retry-After": "Sun, 1 Nov 2026"}, 3.0)):
        server.reply = Reply(429, headers=headers)
        error = await failure(generator)
        assert isinstance(error, Overloaded)
        assert error.retry_after_s == seconds


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_a_mistake_in_the_settings(
    server: Endpoint, connection: OpenAiEndpoint, generator: OpenAiGenerator, status: int
) -> None:
    server.reply = Reply(status, {"error": {"message": f"Incorrect API key provided: {KEY}"}})
    error = await failure(generator)
    assert isinstance(error, SlotMisconfigured)
    assert KEY not in str(error)
    with pytest.raises(SlotMisconfigured):
        await connection.check(Deadline.after(5))
    assert not await connection.ready(Deadline.after(5))


async def test_an_endpoint_that_lists_no_models_is_ready(server: Endpoint, connection: OpenAiEndpoint) -> None:
    server.reply = Reply(404, {"error": {"message": "no such path"}})
    await connection.check(Deadline.after(5))
    assert server.last[0] == "/v1/models"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ({"message": "8,000 tokens", "code": "context_length_exceeded"}, "does not fit: 8,000 tokens"),
        ({"message": "too long", "code": 400, "type": "exceed_context_size_error"}, "does not fit: too long"),
        ({"message": f"at most 4 stops, {KEY}"}, "refuses the request: at most 4 stops, ***"),
        ({"message": "x" * 290 + KEY}, f"refuses the request: {'x' * 290}***"),
    ],
    ids=["OpenAI", "llama.cpp", "other", "a key where it is cut"],
)
async def test_a_bad_request_says_what_is_bad(
    server: Endpoint, generator: OpenAiGenerator, error: dict[str, Any], says: str
) -> None:
    server.reply = Reply(400, {"error": error})
    told = await failure(generator)
    assert isinstance(told, InvalidField)
    assert told.field == "prompt"
    assert told.rule.endswith(says)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "text"}'], ids=["none", "HTML", "list", "text"])
async def test_a_refusal_without_words_is_one_nevertheless(
    server: Endpoint, generator: OpenAiGenerator, body: bytes
) -> None:
    server.reply = Reply(422, body)
    assert isinstance(await failure(generator), InvalidField)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500, b"boom"),
        Reply(503, {"error": {"message": "loading"}}),
        Reply(302, headers={"Location": "http://127.0.0.1:1/"}),
        Reply(200, {"choices": []}),
        Reply(events=("not JSON",)),
        Reply(events=("[]",)),
        Reply(events=({"choices": ["text"]},)),
        Reply(events=(delta("x", "stop"), {"usage": {"prompt_tokens": "many"}})),
        Reply(events=(delta("cut "),)),
        Reply(events=(delta("cut "), "[DONE]")),
        Reply(events=(delta("cut "), {"error": {"message": "out of memory", "code": 500}})),
    ],
    ids=[
        "500",
        "503",
        "elsewhere",
        "no stream",
        "no JSON",
        "no object",
        "no choice",
        "no count",
        "cut off",
        "no reason",
        "error within",
    ],
)
async def test_what_the_endpoint_cannot_do_is_unavailable(
    server: Endpoint, generator: OpenAiGenerator, reply: Reply
) -> None:
    server.reply = reply
    assert isinstance(await failure(generator), DependencyUnavailable)


async def test_an_endpoint_that_is_not_there_is_unavailable() -> None:
    async with OpenAiEndpoint(options(f"http://127.0.0.1:{free_port()}/v1"), KEY, "generation") as nowhere:
        assert isinstance(await failure(OpenAiGenerator(nowhere)), DependencyUnavailable)
        assert not await nowhere.ready(Deadline.after(5))


async def test_a_withheld_text_is_no_answer(server: Endpoint, generator: OpenAiGenerator) -> None:
    server.tells(delta("So ", "content_filter"), "[DONE]")
    assert isinstance(await failure(generator), InvalidField)


async def test_the_deadline_bounds_every_wait(server: Endpoint, generator: OpenAiGenerator) -> None:
    server.tells(delta("So "), hold=threading.Event())
    with pytest.raises(StageDeadline):
        await pieces(generator, seconds=0.3)
    assert await asyncio.to_thread(server.hung_up.wait, 10)


async def test_closing_the_stream_hangs_up(server: Endpoint, generator: OpenAiGenerator) -> None:
    server.tells(delta("So "), hold=threading.Event())
    async with aclosing(generator.stream(ASKED, Deadline.after(30))) as stream:
        assert await anext(stream) == GeneratedText("So ")
        assert not server.hung_up.is_set()
    assert await asyncio.to_thread(server.hung_up.wait, 10)


async def test_no_more_calls_than_agreed_are_on_their_way(server: Endpoint, generator: OpenAiGenerator) -> None:
    free = threading.Event()
    server.tells(delta("So ", "stop"), hold=free)
    streams = [generator.stream(ASKED, Deadline.after(30)) for _ in range(2)]
    for stream in streams:
        await anext(stream)
    error = await failure(generator)
    assert isinstance(error, Overloaded)
    assert len(server.seen) == 2
    free.set()
    for stream in streams:
        await stream.aclose()
    assert (await pieces(generator))[-1].finish_reason == "stop"


async def test_an_endpoint_that_is_busy_is_ready(
    server: Endpoint, connection: OpenAiEndpoint, generator: OpenAiGenerator
) -> None:
    free = threading.Event()
    server.tells(delta("So ", "stop"), hold=free)
    streams = [generator.stream(ASKED, Deadline.after(30)) for _ in range(2)]
    for stream in streams:
        await anext(stream)
    assert await connection.ready(Deadline.after(5)), "all its calls are under way"
    free.set()
    for stream in streams:
        await stream.aclose()
    server.reply = Reply(429)
    assert await connection.ready(Deadline.after(5)), "it says so itself"


async def test_constraints_are_asked_for_as_the_endpoint_reads_them(
    server: Endpoint, connection: OpenAiEndpoint, generator: OpenAiGenerator
) -> None:
    server.tells(delta("{}", "stop"), "[DONE]")
    await pieces(generator, replace(ASKED, json_schema='{"type": "object"}'))
    assert server.last[2]["response_format"]["json_schema"]["schema"] == {"type": "object"}
    for request in (replace(ASKED, grammar='root ::= "x"'), replace(ASKED, json_schema="[" * 9_000)):
        with pytest.raises(InvalidField):
            await pieces(generator, request)
    llama = OpenAiGenerator(connection, OpenAiGeneratorOptions(token_limit="max_completion_tokens", grammar="grammar"))
    await pieces(llama, replace(ASKED, grammar='root ::= "x"', max_tokens=3))
    assert server.last[2]["grammar"] == 'root ::= "x"'
    assert server.last[2]["max_completion_tokens"] == 3


async def test_a_key_is_only_sent_where_there_is_one(server: Endpoint) -> None:
    server.tells(delta("x", "stop"), "[DONE]")
    async with OpenAiEndpoint(options(server.url), "", "generation") as open_to_all:
        await pieces(OpenAiGenerator(open_to_all))
    assert "Authorization" not in server.last[1]


@pytest.mark.parametrize(
    ("url", "model"),
    [
        ("ftp://host/v1", "m"),
        ("host/v1", "m"),
        ("https://user:word@host/v1", "m"),
        ("https://host/v1?key=1", "m"),
        ("https://host/v1", ""),
    ],
)
def test_a_url_that_is_none_or_holds_a_secret_is_refused(url: str, model: str) -> None:
    with pytest.raises(ValueError, match=r"must|needs") as caught:
        OpenAiEndpointOptions(url=url, model=model)
    assert "word" not in str(caught.value).replace("password", "")


# --- embeddings ---------------------------------------------------------------------------------------------------


def rows(*vectors: list[float]) -> Reply:
    """In the wrong order, as the API allows."""
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return Reply(200, {"data": data[::-1]})


async def embedder(
    server: Endpoint, connection: OpenAiEndpoint, options: OpenAiEmbedderOptions | None = None
) -> OpenAiEmbedder:
    server.reply = rows([3.0, 4.0])
    return await OpenAiEmbedder.connect(connection, Deadline.after(10), options)


async def test_vectors_come_in_order_and_of_length_1(server: Endpoint, connection: OpenAiEndpoint) -> None:
    model = await embedder(server, connection)
    assert model.dimension == 2
    server.reply = rows([3.0, 4.0], [0.0, -2.0])
    made = await model.embed(["a", "b"], EmbeddingKind.PASSAGE, Deadline.after(10))
    np.testing.assert_allclose(made.vectors, [[0.6, 0.8], [0.0, -1.0]])
    assert made.vectors.dtype == np.float32
    assert len(made.token_counts) == len(made.truncated) == 2
    assert (await model.embed([], EmbeddingKind.QUERY, Deadline.after(10))).vectors.shape == (0, 2)


async def test_prefixes_and_dimensions_are_part_of_the_fingerprint(
    server: Endpoint, connection: OpenAiEndpoint
) -> None:
    plain = await embedder(server, connection)
    prefixed = await embedder(
        server, connection, OpenAiEmbedderOptions(query_prefix="query: ", passage_prefix="passage: ", dimensions=2)
    )
    assert plain.fingerprint == f"{server.url}#some/model"
    assert prefixed.fingerprint.startswith(f"{plain.fingerprint}+")
    for kind, text in ((EmbeddingKind.QUERY, "query: a"), (EmbeddingKind.PASSAGE, "passage: a")):
        await prefixed.embed(["a"], kind, Deadline.after(10))
        assert server.last[2] == {
            "model": "some/model",
            "input": [text],
            "encoding_format": "float",
            "dimensions": 2,
        }


@pytest.mark.parametrize(
    "reply",
    [
        rows([1.0, 0.0], [0.0, 1.0]),
        rows([1.0, 0.0, 0.0]),
        rows([0.0, 0.0]),
        rows([float("nan"), 0.0]),
        Reply(200, {"data": [{"index": 0}]}),
        Reply(200, {}),
    ],
    ids=["two for one", "other dimension", "no length", "not a number", "no vector", "nothing"],
)
async def test_vectors_that_are_none_are_never_used(server: Endpoint, connection: OpenAiEndpoint, reply: Reply) -> None:
    model = await embedder(server, connection)
    server.reply = reply
    with pytest.raises(DependencyUnavailable):
        await model.embed(["a"], EmbeddingKind.QUERY, Deadline.after(10))


async def test_a_refused_text_is_named(server: Endpoint, connection: OpenAiEndpoint) -> None:
    model = await embedder(server, connection)
    server.reply = Reply(400, {"error": {"message": "input is too long"}})
    with pytest.raises(InvalidField, match="too long") as caught:
        await model.embed(["a"], EmbeddingKind.QUERY, Deadline.after(10))
    assert caught.value.field == "texts"


# --- the slot -----------------------------------------------------------------------------------------------------


async def test_others_endpoints_are_not_asked_every_second(
    server: Endpoint, connection: OpenAiEndpoint, generator: OpenAiGenerator
) -> None:
    now = 0.0
    slot = EndpointSlot(connection, generator, lambda: now)
    server.reply = Reply(200, {"data": []})
    answers = []
    for now, status in ((0.0, 200), (14.9, 500), (15.0, 500), (16.9, 200), (17.0, 200)):  # noqa: B007 - the slot's clock
        server.reply = Reply(status, {"data": []})
        answers.append((await slot.ready(Deadline.after(5)), len(server.seen)))
    assert answers == [(True, 1), (True, 1), (False, 2), (False, 2), (True, 3)]
    assert slot.model() is generator
    assert slot.serving == f"{server.url}#some/model"
