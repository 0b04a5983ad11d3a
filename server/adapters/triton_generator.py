"""Text generation by a model of the slot `generate` in Triton, streamed."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Self

import grpc
import numpy as np
from tritonclient.grpc import InferInput, InferResult
from tritonclient.utils import InferenceServerException

from server.adapters.triton_client import TritonConnection
from server.adapters.triton_failures import translated
from server.application.model_ports import ChosenToken, GeneratedText, GenerationRequest, ScoredToken
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, InvalidField, Overloaded, PinakesError

SLOT = "generate"


@dataclass(frozen=True, slots=True)
class TritonGeneratorOptions:
    """`retry_after_s` is what callers are told when all slots and the queue are taken."""

    retry_after_s: float = 2.0


@dataclass(frozen=True, slots=True)
class GeneratorStatistics:
    """Since the model was loaded. `ended` counts jobs by outcome; `decodes` counts the engine's own network calls."""

    running: int
    waiting: int
    ended: dict[str, int]
    prompt_tokens: int
    completion_tokens: int
    decodes: int
    busy_slots: int


class TritonGenerator:
    def __init__(
        self, connection: TritonConnection, model: str, fingerprint: str, options: TritonGeneratorOptions
    ) -> None:
        self._connection = connection
        self._model = model
        self._fingerprint = fingerprint
        self._options = options

    @classmethod
    async def connect(
        cls,
        connection: TritonConnection,
        model: str,
        deadline: Deadline,
        options: TritonGeneratorOptions | None = None,
    ) -> Self:
        """Asks Triton for `model`'s fingerprint. Raises DependencyUnavailable, StageDeadline."""
        fingerprint = await connection.fingerprint(model, deadline)
        return cls(connection, model, fingerprint, options or TritonGeneratorOptions())

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    async def stream(self, request: GenerationRequest, deadline: Deadline) -> AsyncGenerator[GeneratedText, None]:
        """Pieces as they are made. Closing it cancels the call, which stops the model after the batch under way
        and the next.

        Raises InvalidField for a prompt that does not fit, Overloaded, StageDeadline, DependencyUnavailable.
        """
        constraint = "grammar" if request.grammar else "json_schema"
        async with aclosing(self._results(_inputs(request), deadline, constraint)) as results:
            async for result in results:
                try:
                    piece = _piece(result, request)
                except (IndexError, TypeError, ValueError) as error:
                    raise DependencyUnavailable(f"the model {SLOT}", "it streams what is no text") from error
                yield piece
                if piece.finish_reason:
                    return

    async def token_counts(self, texts: Sequence[str], deadline: Deadline) -> tuple[int, ...]:
        """See the port."""
        if not texts:
            return ()
        question = [_input("COUNTED", "BYTES", [text.encode() for text in texts], np.object_)]
        async with aclosing(self._results(question, deadline)) as results:
            counts = (await anext(results)).as_numpy("TOKEN_COUNTS")
        if counts is None or len(counts) != len(texts):
            raise DependencyUnavailable(f"the model {SLOT}", "it counted other texts")
        return tuple(counts.tolist())

    async def statistics(self, deadline: Deadline) -> GeneratorStatistics:
        """What the model has done and is doing."""
        question = [_input("STATISTICS", "BOOL", [True], np.bool_)]
        async with aclosing(self._results(question, deadline)) as results:
            found = json.loads(_text(await anext(results), "STATISTICS"))
        return GeneratorStatistics(**found.pop("engine"), **found)

    async def _results(
        self, inputs: list[InferInput], deadline: Deadline, constraint: str = ""
    ) -> AsyncGenerator[InferResult, None]:
        """One after the other; the one that makes the answer whole comes before the end."""
        timeout = deadline.budget(SLOT)
        call = self._connection.client.stream_infer(
            _one({"model_name": self._model, "inputs": inputs}), stream_timeout=timeout
        )
        try:
            async for result, error in call:
                if error is not None:
                    raise self._refusal(error, constraint) from error
                yield result
        except grpc.RpcError as error:
            raise translated(error, SLOT) from error
        finally:
            call.cancel()
        raise DependencyUnavailable(f"the model {SLOT}", "it ended before the text did")

    def _refusal(self, error: InferenceServerException, constraint: str) -> PinakesError:
        """The model's errors begin with a code. `constraint` is the field that it was in, if there was one."""
        code, _, problem = error.message().partition(": ")
        if code == "overloaded":
            return Overloaded("text generation", self._options.retry_after_s)
        if code in ("prompt_too_long", "invalid"):
            return InvalidField("prompt", problem)
        if code == "invalid_constraint":
            return InvalidField(constraint, problem)
        return translated(error, SLOT)


def _piece(result: InferResult, request: GenerationRequest) -> GeneratedText:
    """Raises IndexError, TypeError or ValueError for outputs of another form."""
    text = _text(result, "TEXT")
    tokens = _chosen(result) if request.log_probabilities else ()
    reason = _text(result, "FINISH_REASON")
    if not reason:
        return GeneratedText(text, tokens=tokens)
    return GeneratedText(
        text,
        reason,
        prompt_tokens=_count(result, "PROMPT_TOKENS"),
        completion_tokens=_count(result, "COMPLETION_TOKENS"),
        cached_tokens=_count(result, "CACHED_TOKENS"),
        tokens=tokens,
    )


async def _one(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    yield request


def _inputs(request: GenerationRequest) -> list[InferInput]:
    inputs = [
        _input("PROMPT", "BYTES", [request.prompt.encode()], np.object_),
        _input("MAX_TOKENS", "INT32", [request.max_tokens], np.int32),
        _input("TEMPERATURE", "FP32", [request.temperature], np.float32),
        _input("SEED", "INT64", [request.seed], np.int64),
    ]
    if request.system:
        inputs.append(_input("SYSTEM", "BYTES", [request.system.encode()], np.object_))
    if request.stop:
        inputs.append(_input("STOP", "BYTES", [text.encode() for text in request.stop], np.object_))
    for name, constraint in (("GRAMMAR", request.grammar), ("JSON_SCHEMA", request.json_schema)):
        if constraint:
            inputs.append(_input(name, "BYTES", [constraint.encode()], np.object_))
    if request.log_probabilities:
        inputs.append(_input("LOG_PROBABILITIES", "BOOL", [True], np.bool_))
        inputs.append(_input("ALTERNATIVES", "INT32", [request.alternatives], np.int32))
    return inputs


def _input(name: str, datatype: str, values: list[Any], dtype: type[np.generic]) -> InferInput:
    tensor = InferInput(name, [len(values)], datatype)
    tensor.set_data_from_numpy(np.array(values, dtype=dtype))
    return tensor


def _chosen(result: InferResult) -> tuple[ChosenToken, ...]:
    chosen = _scored(result, "TOKEN")
    likeliest = _scored(result, "ALTERNATIVE")
    count = len(likeliest) // len(chosen) if chosen else 0
    return tuple(
        ChosenToken(token, likeliest[index * count : (index + 1) * count]) for index, token in enumerate(chosen)
    )


def _scored(result: InferResult, name: str) -> tuple[ScoredToken, ...]:
    """Row by row; empty if the result has no such output."""
    tokens = result.as_numpy(name)
    if tokens is None:
        return ()
    scores = result.as_numpy(f"{name}_LOG_PROBABILITY").reshape(-1).tolist()
    return tuple(ScoredToken(bytes(token), score) for token, score in zip(tokens.reshape(-1), scores, strict=True))


def _count(result: InferResult, name: str) -> int:
    return int(result.as_numpy(name)[0])


def _text(result: InferResult, name: str) -> str:
    """Empty if the result has no such output."""
    values = result.as_numpy(name)
    return "" if values is None else bytes(values[0]).decode()
