"""What our server adds to an embedding: the same text through it and straight to Triton, in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from bench.loadgen import Operation, OperationFailed, alternating
from bench.record import Series
from bench.suites.serving.workload import EmbedPlan, Question
from pinakes import AsyncClient, EmbeddingKind, PinakesError

SERVER = "embed through the server"
DIRECT = "embed directly at Triton"
_ALIAS = "embed.default"


def server_embed(client: AsyncClient, questions: Sequence[Question], plan: EmbedPlan) -> Operation:
    async def operation(number: int) -> Mapping[str, float]:
        try:
            reply = await client.embed([_text(questions, number)], kind=EmbeddingKind.QUERY, timeout_s=plan.deadline_s)
        except PinakesError as exc:
            raise OperationFailed(exc.reason or type(exc).__name__) from exc
        return {timing.stage: timing.seconds for timing in reply.timings}

    return operation


def direct_embed(
    client: triton.InferenceServerClient, model: str, questions: Sequence[Question], plan: EmbedPlan
) -> Operation:
    async def operation(number: int) -> Mapping[str, float]:
        texts = triton.InferInput("TEXT", [1, 1], "BYTES")
        texts.set_data_from_numpy(np.array([[_text(questions, number).encode()]], dtype=np.object_))
        kinds = triton.InferInput("KIND", [1, 1], "BYTES")
        kinds.set_data_from_numpy(np.array([[b"query"]], dtype=np.object_))
        try:
            reply = await client.infer(model, [texts, kinds], client_timeout=plan.deadline_s)
        except InferenceServerException as exc:
            raise OperationFailed(str(exc.status() or type(exc).__name__)) from exc
        if reply.as_numpy("EMBEDDING") is None:
            raise OperationFailed("NO_EMBEDDING")
        return {}

    return operation


async def measure_embeds(
    client: AsyncClient, triton_address: str, questions: Sequence[Question], plan: EmbedPlan
) -> list[Series]:
    """Two series whose n-th calls embed the same text, which neither has seen before."""
    model = next(alias.serving for alias in await client.models.aliases() if alias.name == _ALIAS)
    direct = triton.InferenceServerClient(triton_address)
    try:
        operations = {
            SERVER: server_embed(client, questions, plan),
            DIRECT: direct_embed(direct, model, questions, plan),
        }
        await alternating(operations, plan.warm_up, plan.limit_s)
        later = {name: _from(operation, plan.warm_up) for name, operation in operations.items()}
        samples = await alternating(later, plan.rounds, plan.limit_s)
    finally:
        await direct.close()
    return [Series(name, "alternating", taken, warm_up=plan.warm_up) for name, taken in samples.items()]


def _from(operation: Operation, first: int) -> Operation:
    async def shifted(number: int) -> Mapping[str, float]:
        return await operation(first + number)

    return shifted


def _text(questions: Sequence[Question], number: int) -> str:
    # The searches have asked the questions with smaller numbers.
    return questions[number % len(questions)].numbered(1_000_000 + number)
