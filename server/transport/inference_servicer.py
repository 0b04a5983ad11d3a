"""InferenceService on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from grpc.aio import ServicerContext

from pinakes.v1 import inference_service_pb2, inference_service_pb2_grpc
from server.application.direct_inference import DirectInference, longest_text
from server.application.limit_tenants import MeterTokens
from server.application.log_probabilities import MeanLogProbability
from server.application.timing import StageClock
from server.transport import inference_mapping as mapping
from server.transport.deadlines import deadline_of
from server.transport.identity import Identity

LONGEST_INFERENCE_S = 60.0
LONGEST_GENERATION_S = 300.0


class InferenceServicer(inference_service_pb2_grpc.InferenceServiceServicer):
    def __init__(self, inference: DirectInference, identity: Identity, meter: MeterTokens) -> None:
        self._inference = inference
        self._identity = identity
        self._meter = meter

    async def Embed(  # noqa: N802 - named by the contract
        self, request: inference_service_pb2.EmbedRequest, context: ServicerContext[Any, Any]
    ) -> inference_service_pb2.EmbedResponse:
        clock = StageClock()
        kind = mapping.embedding_kind_from_wire(request.kind)
        with clock.stage("embed"):
            embeddings, model = await self._inference.embed(
                request.texts, kind, deadline_of(context, LONGEST_INFERENCE_S)
            )
        return mapping.embed_response(embeddings, model, clock.timings())

    async def Rerank(  # noqa: N802
        self, request: inference_service_pb2.RerankRequest, context: ServicerContext[Any, Any]
    ) -> inference_service_pb2.RerankResponse:
        clock = StageClock()
        with clock.stage("rerank"):
            scores, model = await self._inference.rerank(
                request.query, request.texts, deadline_of(context, LONGEST_INFERENCE_S)
            )
        return mapping.rerank_response(scores.tolist(), model, clock.timings())

    async def RecognizeText(  # noqa: N802
        self, request: inference_service_pb2.RecognizeTextRequest, context: ServicerContext[Any, Any]
    ) -> inference_service_pb2.RecognizeTextResponse:
        clock = StageClock()
        with clock.stage("recognize"):
            image, model = await self._inference.recognize(request.image, deadline_of(context, LONGEST_INFERENCE_S))
        return mapping.recognize_text_response(image, model, clock.timings())

    async def Generate(  # noqa: N802
        self, request: inference_service_pb2.GenerateRequest, context: ServicerContext[Any, Any]
    ) -> AsyncIterator[inference_service_pb2.GenerateResponse]:
        clock = StageClock()
        deadline = deadline_of(context, LONGEST_GENERATION_S)
        wanted = mapping.generation_request(request)
        pieces, model = self._inference.generate(wanted, deadline)
        sureness = MeanLogProbability()
        tenant = self._identity.principal(context).tenant
        async with self._meter.spending(tenant, longest_text(wanted)) as spending, aclosing(pieces):
            async for piece in pieces:
                sureness.add(piece.tokens)
                if piece.text or piece.tokens:
                    yield mapping.generate_delta(piece)
                if piece.finish_reason is not None:
                    spending.tokens = piece.completion_tokens
                    yield mapping.generate_completion(piece, sureness.value, model, clock.timings())
