"""What callers who use the generator directly may ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import pytest

from server.application.direct_inference import DirectInference
from server.application.log_probabilities import MeanLogProbability
from server.application.model_ports import ChosenToken, GenerationRequest, Generator, ScoredToken, Slot
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField
from tests.server.application.doubles import ScriptedGenerator


@dataclass
class Held:
    """A slot whose model never changes."""

    held: Generator

    def model(self) -> Generator:
        return self.held


def inference(generator: Generator) -> DirectInference:
    unused = cast(Slot[Any], None)
    return DirectInference(unused, unused, unused, Held(generator))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (GenerationRequest(" "), "prompt"),
        (GenerationRequest("x" * 1_000_000), "prompt"),
        (GenerationRequest("x", system="x" * 1_000_000), "system"),
        (GenerationRequest("x", temperature=-0.1), "temperature"),
        (GenerationRequest("x", temperature=2.1), "temperature"),
        (GenerationRequest("x", temperature=math.nan), "temperature"),
        (GenerationRequest("x", seed=-1), "seed"),
        (GenerationRequest("x", max_tokens=-1), "max_tokens"),
        (GenerationRequest("x", max_tokens=2_049), "max_tokens"),
        (GenerationRequest("x", stop=("a",) * 9), "stop"),
        (GenerationRequest("x", stop=("",)), "stop"),
        (GenerationRequest("x", stop=("a" * 65,)), "stop"),
        (GenerationRequest("x", grammar="x" * 16_385), "grammar"),
        (GenerationRequest("x", json_schema="x" * 16_385), "json_schema"),
        (GenerationRequest("x", log_probabilities=True, alternatives=11), "alternatives"),
        (GenerationRequest("x", log_probabilities=True, alternatives=-1), "alternatives"),
        (GenerationRequest("x", alternatives=1), "alternatives"),
    ],
)
def test_a_request_that_breaks_a_rule_never_reaches_the_model(request_: GenerationRequest, field: str) -> None:
    generator = ScriptedGenerator("words")
    with pytest.raises(InvalidField) as caught:
        inference(generator).generate(request_, Deadline.after(5))
    assert caught.value.field == field
    assert not generator.requests


async def test_a_request_within_the_rules_does() -> None:
    generator = ScriptedGenerator("two words")
    request = GenerationRequest(
        "x" * 32_768, stop=("a" * 64,) * 8, temperature=2.0, max_tokens=2_048, log_probabilities=True, alternatives=10
    )
    pieces, model = inference(generator).generate(request, Deadline.after(5))
    assert [piece.text async for piece in pieces] == ["two ", "words ", ""]
    assert model == "generator@1"
    assert generator.requests == [request]


def test_the_mean_is_over_all_tokens_and_none_without_any() -> None:
    mean = MeanLogProbability()
    mean.add(())
    assert mean.value is None
    for scores in ((-1.0, -2.0), (), (-6.0,)):
        mean.add([ChosenToken(ScoredToken(b"x", score)) for score in scores])
    assert mean.value == pytest.approx(-3.0)
