"""Between InferenceService's messages and the domain: pure functions, one per message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pinakes.v1 import inference_service_pb2
from server.application.model_ports import (
    ChosenToken,
    EmbeddingKind,
    Embeddings,
    GeneratedText,
    GenerationRequest,
    RecognizedImage,
    ScoredToken,
)
from server.domain import errors
from server.domain.answers import StageTiming
from server.transport.mapping import box_to_wire, timings_to_wire

_EMBEDDING_KINDS = {
    inference_service_pb2.EMBEDDING_KIND_QUERY: EmbeddingKind.QUERY,
    inference_service_pb2.EMBEDDING_KIND_PASSAGE: EmbeddingKind.PASSAGE,
}
_FINISH_REASONS = {
    "stop": inference_service_pb2.FINISH_REASON_STOP,
    "length": inference_service_pb2.FINISH_REASON_LENGTH,
}


def embedding_kind_from_wire(kind: inference_service_pb2.EmbeddingKind.ValueType) -> EmbeddingKind:
    """Raises InvalidField for UNSPECIFIED: a query and a passage are embedded differently, and a default would be
    wrong for one of them."""
    if kind not in _EMBEDDING_KINDS:
        raise errors.InvalidField("kind", "must be EMBEDDING_KIND_QUERY or EMBEDDING_KIND_PASSAGE")
    return _EMBEDDING_KINDS[kind]


def embed_response(
    embeddings: Embeddings, model: str, timings: Iterable[StageTiming]
) -> inference_service_pb2.EmbedResponse:
    rows = zip(embeddings.vectors, embeddings.token_counts, embeddings.truncated, strict=True)
    return inference_service_pb2.EmbedResponse(
        embeddings=[
            inference_service_pb2.Embedding(values=vector.tolist(), token_count=int(count), truncated=bool(cut))
            for vector, count, cut in rows
        ],
        model=model,
        timings=timings_to_wire(timings),
    )


def rerank_response(
    scores: Sequence[float], model: str, timings: Iterable[StageTiming]
) -> inference_service_pb2.RerankResponse:
    return inference_service_pb2.RerankResponse(scores=scores, model=model, timings=timings_to_wire(timings))


def recognize_text_response(
    image: RecognizedImage, model: str, timings: Iterable[StageTiming]
) -> inference_service_pb2.RecognizeTextResponse:
    return inference_service_pb2.RecognizeTextResponse(
        lines=[
            inference_service_pb2.RecognizedLine(
                text=line.text,
                confidence=line.confidence,
                box=box_to_wire(line.box),
                characters=[
                    inference_service_pb2.RecognizedCharacter(
                        text=character.text, confidence=character.confidence, box=box_to_wire(character.box)
                    )
                    for character in line.characters
                ],
            )
            for line in image.lines
        ],
        width=image.width,
        height=image.height,
        model=model,
        timings=timings_to_wire(timings),
    )


def generation_request(request: inference_service_pb2.GenerateRequest) -> GenerationRequest:
    """The request as it came: `max_tokens` 0 still stands for the default."""
    return GenerationRequest(
        prompt=request.prompt,
        system=request.system,
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        seed=request.seed if request.HasField("seed") else 0,
        stop=tuple(request.stop),
        grammar=request.grammar,
        json_schema=request.json_schema,
        log_probabilities=request.log_probabilities,
        alternatives=request.alternatives,
    )


def generate_delta(piece: GeneratedText) -> inference_service_pb2.GenerateResponse:
    delta = inference_service_pb2.GenerateDelta(text=piece.text, tokens=map(_chosen_token, piece.tokens))
    return inference_service_pb2.GenerateResponse(delta=delta)


def _chosen_token(token: ChosenToken) -> inference_service_pb2.ChosenToken:
    return inference_service_pb2.ChosenToken(
        chosen=_scored_token(token.chosen), alternatives=map(_scored_token, token.alternatives)
    )


def _scored_token(token: ScoredToken) -> inference_service_pb2.ScoredToken:
    return inference_service_pb2.ScoredToken(token=token.token, log_probability=token.log_probability)


def generate_completion(
    last: GeneratedText, mean_log_probability: float | None, model: str, timings: Iterable[StageTiming]
) -> inference_service_pb2.GenerateResponse:
    return inference_service_pb2.GenerateResponse(
        completion=inference_service_pb2.GenerateCompletion(
            mean_log_probability=mean_log_probability,
            cached_prompt_tokens=last.cached_tokens,
            finish_reason=_FINISH_REASONS[last.finish_reason or "stop"],
            prompt_tokens=last.prompt_tokens,
            completion_tokens=last.completion_tokens,
            model=model,
            timings=timings_to_wire(timings),
        )
    )
