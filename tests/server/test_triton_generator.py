"""What the adapter makes of a model that answers in another form than it should."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from server.adapters.triton_client import TritonConnection
from server.adapters.triton_generator import TritonGenerator, TritonGeneratorOptions
from server.application.model_ports import GeneratedText, GenerationRequest
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable


def text(value: bytes, **others: list[int]) -> dict[str, Any]:
    named = {"TEXT": np.array([value], np.object_)}
    return named | {name: np.array(values, np.int32) for name, values in others.items()}


COUNTS = {"PROMPT_TOKENS": [3], "COMPLETION_TOKENS": [2], "CACHED_TOKENS": [0]}
LAST = text(b"", **COUNTS) | {"FINISH_REASON": np.array([b"stop"], np.object_)}


@dataclass
class Result:
    outputs: dict[str, Any]

    def as_numpy(self, name: str) -> Any:
        return self.outputs.get(name)


@dataclass
class Call:
    """What `stream_infer` returns."""

    results: list[Result]
    cancelled: int = 0

    async def __aiter__(self) -> AsyncIterator[tuple[Result, None]]:
        for result in self.results:
            yield result, None

    def cancel(self) -> None:
        self.cancelled += 1


@dataclass
class Connection:
    outputs: list[dict[str, Any]]
    calls: list[Call] = field(default_factory=list)

    @property
    def client(self) -> Connection:
        return self

    def stream_infer(self, requests: object, stream_timeout: float) -> Call:
        self.calls.append(Call([Result(each) for each in self.outputs]))
        return self.calls[-1]


def generator(connection: Connection) -> TritonGenerator:
    return TritonGenerator(cast(TritonConnection, connection), "m@1", "f", TritonGeneratorOptions())


async def pieces(connection: Connection) -> list[GeneratedText]:
    stream = generator(connection).stream(GenerationRequest("p"), Deadline.after(60))
    return [piece async for piece in stream]


async def test_a_text_ends_with_its_reason_and_counts() -> None:
    connection = Connection([text(b"It is "), text("晴れ".encode()), LAST, text(b"more")])
    assert [piece.text for piece in await pieces(connection)] == ["It is ", "晴れ", ""]
    assert connection.calls[0].cancelled == 1


@pytest.mark.parametrize(
    "outputs",
    [
        [text(b"\xff\xfe")],
        [text(b"It"), {"TEXT": np.array([], np.object_)}],
        [{"FINISH_REASON": np.array([b"stop"], np.object_)}],
        [text(b"It", PROMPT_TOKENS=[]) | {"FINISH_REASON": np.array([b"stop"], np.object_)}],
        [text(b"It")],
        [],
    ],
    ids=["no UTF-8", "no text", "no counts", "empty counts", "no end", "nothing"],
)
async def test_what_is_no_text_is_a_failure_of_the_model_and_ends_the_call(outputs: list[dict[str, Any]]) -> None:
    connection = Connection(outputs)
    with pytest.raises(DependencyUnavailable):
        await pieces(connection)
    assert connection.calls[0].cancelled == 1


@pytest.mark.parametrize("outputs", [[], [{}], [{"TOKEN_COUNTS": np.array([1], np.int32)}]])
async def test_counts_of_other_texts_are_no_counts(outputs: list[dict[str, Any]]) -> None:
    with pytest.raises(DependencyUnavailable):
        await generator(Connection(outputs)).token_counts(["a", "b"], Deadline.after(60))


async def test_counts_come_in_the_order_of_the_texts() -> None:
    connection = Connection([{"TOKEN_COUNTS": np.array([4, 2], np.int32)}])
    assert await generator(connection).token_counts(["a", "b"], Deadline.after(60)) == (4, 2)
    assert await generator(connection).token_counts([], Deadline.after(60)) == ()
