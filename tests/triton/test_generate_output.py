"""What can be asked of generated text beside the text: constraints, log-probabilities, prompts read before."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import InferInput

from server.adapters.triton_client import TritonConnection
from server.adapters.triton_generator import TritonGenerator
from server.application.model_ports import ChosenToken, GeneratedText, GenerationRequest
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField
from tests.triton.small_catalogue import default_model

CAPITAL = GenerationRequest("What is the capital of France? Answer in one word.", max_tokens=20)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}


async def pieces(generator: TritonGenerator, request: GenerationRequest) -> list[GeneratedText]:
    return [piece async for piece in generator.stream(request, Deadline.after(120))]


async def text(generator: TritonGenerator, request: GenerationRequest) -> str:
    return "".join(piece.text for piece in await pieces(generator, request))


async def tokens(generator: TritonGenerator, request: GenerationRequest) -> list[ChosenToken]:
    made = await pieces(generator, replace(request, log_probabilities=True))
    return [token for piece in made for token in piece.tokens]


async def test_a_grammar_leaves_no_other_words(generator: TritonGenerator) -> None:
    assert await text(generator, replace(CAPITAL, grammar='root ::= "Lyon" | "Nice"')) in ("Lyon", "Nice")


async def test_a_schema_makes_it_json(generator: TritonGenerator) -> None:
    request = replace(CAPITAL, prompt="Describe Paris in JSON.", json_schema=json.dumps(SCHEMA), max_tokens=60)
    made = json.loads(await text(generator, request))
    assert set(made) == {"city", "people"}
    assert isinstance(made["people"], int)


async def test_constraints_of_two_at_once_do_not_mix(generator: TritonGenerator) -> None:
    words = ("Lyon", "Nice", "Brest", "Metz")
    asked = (text(generator, replace(CAPITAL, grammar=f'root ::= "{word}"')) for word in words)
    assert await asyncio.gather(*asked) == list(words)


@pytest.mark.parametrize(
    ("field", "constraint", "says"),
    [
        ("grammar", "root ::= (((", "not in GBNF"),
        ("grammar", 'start ::= "a"', "not in GBNF"),
        ("grammar", 'root ::= root "a"', "not in GBNF"),
        ("grammar", "%llguidance {}\nstart: /a+/", "must be in GBNF"),
        ("grammar", f"root ::= {'(' * 501}", "groups"),
        ("grammar", f'root ::= "{"a" * 16_384}"', "16,384 characters"),
        ("json_schema", "{", "no JSON"),
        ("json_schema", "[]", "no object"),
        ("json_schema", "[" * 9_000, "deep"),
        ("json_schema", '{"not":' * 65 + "{}" + "}" * 65, "deep"),
        ("json_schema", '{"type": "nonsense"}', "unrecognized type"),
        ("json_schema", '{"$ref": "#/nowhere"}', "nowhere"),
    ],
    ids=[
        "open",
        "no root",
        "left-recursive",
        "another language",
        "groups",
        "long",
        "no JSON",
        "no object",
        "deep list",
        "deep object",
        "type",
        "reference",
    ],
)
async def test_a_constraint_that_is_none_says_why(
    generator: TritonGenerator, field: str, constraint: str, says: str
) -> None:
    request = GenerationRequest("x", max_tokens=2, **{field: constraint})  # type: ignore[arg-type]
    with pytest.raises(InvalidField, match=says) as caught:
        await text(generator, request)
    assert caught.value.field == field


async def test_tokens_are_the_text_and_no_likelier_than_certain(generator: TritonGenerator) -> None:
    made = await pieces(generator, replace(CAPITAL, log_probabilities=True, alternatives=3))
    for piece in made:
        assert b"".join(token.chosen.token for token in piece.tokens).decode() == piece.text
    chosen = [token for piece in made for token in piece.tokens]
    assert chosen
    for token in chosen:
        likeliest = token.alternatives
        assert len(likeliest) == 3
        assert likeliest[0] == token.chosen, "a greedy choice is the likeliest token"
        scores = [alternative.log_probability for alternative in likeliest]
        assert scores == sorted(scores, reverse=True)
        assert 0 < sum(math.exp(score) for score in scores) <= 1.0001


async def test_temperature_and_constraint_do_not_change_what_the_model_thought(generator: TritonGenerator) -> None:
    greedy = (await tokens(generator, CAPITAL))[0]
    warm = (await tokens(generator, replace(CAPITAL, temperature=0.01, seed=1)))[0]
    assert warm.chosen.token == greedy.chosen.token
    assert warm.chosen.log_probability == pytest.approx(greedy.chosen.log_probability, abs=0.05)
    [forced] = await tokens(generator, replace(CAPITAL, grammar='root ::= "Nice"', max_tokens=1))
    assert forced.chosen.log_probability < greedy.chosen.log_probability


async def test_tokens_come_only_if_asked_for(generator: TritonGenerator) -> None:
    assert not [piece for piece in await pieces(generator, CAPITAL) if piece.tokens]
    assert {len(token.alternatives) for token in await tokens(generator, CAPITAL)} == {0}


async def test_a_prompt_that_begins_alike_is_not_read_again(generator: TritonGenerator) -> None:
    passages = " ".join(f"Ferry {number} leaves at {number * 7919 % 24} o'clock." for number in range(40))
    first = (await pieces(generator, GenerationRequest(f"{passages}\nWhen does ferry 3 leave?", max_tokens=2)))[-1]
    again = (await pieces(generator, GenerationRequest(f"{passages}\nWhen does ferry 8 leave?", max_tokens=2)))[-1]
    assert first.cached_tokens < 0.2 * first.prompt_tokens
    assert again.cached_tokens > 0.9 * again.prompt_tokens


async def test_the_greatest_seed_repeats_like_any_other(generator: TritonGenerator) -> None:
    """Not drawn at random, which would give six texts. There may be two: a prompt that was read before is computed in
    batches of other sizes, and rounding can turn a choice."""
    request = GenerationRequest("Write a story.", max_tokens=12, temperature=1.5, seed=2**32 - 1)
    assert len({await text(generator, request) for _ in range(6)}) <= 2


async def test_a_million_characters_and_bytes_that_are_no_text_are_refused(
    connection: TritonConnection, generator: TritonGenerator
) -> None:
    with pytest.raises(InvalidField, match="at most 4096 fit"):
        await text(generator, GenerationRequest("ferry " * 170_000))
    prompt = InferInput("PROMPT", [1], "BYTES")
    prompt.set_data_from_numpy(np.array([b"\xff\xfe"], dtype=np.object_))

    async def request() -> AsyncIterator[dict[str, Any]]:
        yield {"model_name": default_model("generate"), "inputs": [prompt]}

    results = [error async for _, error in connection.client.stream_infer(request(), stream_timeout=60)]
    assert results[0].message().startswith("invalid: ")
