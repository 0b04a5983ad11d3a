"""What models tell directly."""

from __future__ import annotations

from pinakes import results
from pinakes.mapping.passages import box
from pinakes.mapping.wire_values import enum_of, timings
from pinakes.v1 import inference_service_pb2


def finish_reason(number: int) -> results.FinishReason:
    return enum_of(results.FinishReason, inference_service_pb2.FinishReason.DESCRIPTOR, number)


def embeddings(wire: inference_service_pb2.EmbedResponse) -> results.Embeddings:
    return results.Embeddings(
        embeddings=tuple(results.Embedding(tuple(e.values), e.token_count, e.truncated) for e in wire.embeddings),
        model=wire.model,
        timings=timings(wire.timings),
    )


def rerank_scores(wire: inference_service_pb2.RerankResponse) -> results.RerankScores:
    return results.RerankScores(tuple(wire.scores), wire.model, timings(wire.timings))


def recognized_line(wire: inference_service_pb2.RecognizedLine) -> results.RecognizedLine:
    characters = (results.RecognizedCharacter(c.text, c.confidence, box(c.box)) for c in wire.characters)
    return results.RecognizedLine(wire.text, wire.confidence, box(wire.box), tuple(characters))


def recognized_text(wire: inference_service_pb2.RecognizeTextResponse) -> results.RecognizedText:
    return results.RecognizedText(
        lines=tuple(recognized_line(line) for line in wire.lines),
        width=wire.width,
        height=wire.height,
        model=wire.model,
        timings=timings(wire.timings),
    )


def generate_event(wire: inference_service_pb2.GenerateResponse) -> results.GenerateEvent | None:
    """None for a kind of event that this client is too old to know."""
    match wire.WhichOneof("event"):
        case "delta":
            return results.GenerateDelta(wire.delta.text, tuple(map(chosen_token, wire.delta.tokens)))
        case "completion":
            end = wire.completion
            return results.GenerateCompletion(
                finish_reason=finish_reason(end.finish_reason),
                prompt_tokens=end.prompt_tokens,
                completion_tokens=end.completion_tokens,
                model=end.model,
                timings=timings(end.timings),
                mean_log_probability=end.mean_log_probability if end.HasField("mean_log_probability") else None,
                cached_prompt_tokens=end.cached_prompt_tokens,
            )
        case _:
            return None


def chosen_token(wire: inference_service_pb2.ChosenToken) -> results.ChosenToken:
    return results.ChosenToken(scored_token(wire.chosen), tuple(map(scored_token, wire.alternatives)))


def scored_token(wire: inference_service_pb2.ScoredToken) -> results.ScoredToken:
    return results.ScoredToken(wire.token, wire.log_probability)
