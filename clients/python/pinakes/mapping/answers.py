"""Answers, as they come and as they are kept."""

from __future__ import annotations

from pinakes import results
from pinakes.mapping.documents import failure
from pinakes.mapping.passages import masked_spans, page_region, ranked_passage, text_range
from pinakes.mapping.search import understanding
from pinakes.mapping.wire_values import enum_of, time, timings
from pinakes.v1 import answer_service_pb2


def answer_status(number: int) -> results.AnswerStatus:
    return enum_of(results.AnswerStatus, answer_service_pb2.AnswerStatus.DESCRIPTOR, number)


def answer_state(number: int) -> results.AnswerState:
    return enum_of(results.AnswerState, answer_service_pb2.AnswerState.DESCRIPTOR, number)


def degradation(number: int) -> results.Degradation:
    return enum_of(results.Degradation, answer_service_pb2.Degradation.DESCRIPTOR, number)


def passed_over_reason(number: int) -> results.PassedOverReason:
    return enum_of(results.PassedOverReason, answer_service_pb2.PassedOverReason.DESCRIPTOR, number)


def answer_event(wire: answer_service_pb2.AnswerResponse) -> results.AnswerEvent | None:
    """None for a kind of event that this client is too old to know."""
    match wire.WhichOneof("event"):
        case "sources":
            ranked = tuple(ranked_passage(p) for p in wire.sources.passages)
            return results.Sources(
                wire.answer_id, wire.sequence, ranked, wire.sources.searched_question, understanding(wire.sources)
            )
        case "delta":
            return results.Delta(wire.answer_id, wire.sequence, wire.delta.text)
        case "citation":
            return _citation(wire.answer_id, wire.sequence, wire.citation)
        case "completion":
            return _completion(wire.answer_id, wire.sequence, wire.completion)
        case _:
            return None


def resumed_event(wire: answer_service_pb2.ResumeAnswerResponse) -> results.AnswerEvent | None:
    return answer_event(wire.event)


def streamed_event(
    wire: answer_service_pb2.AnswerResponse | answer_service_pb2.ResumeAnswerResponse,
) -> results.AnswerEvent | None:
    """Of a stream that may have been resumed."""
    return resumed_event(wire) if isinstance(wire, answer_service_pb2.ResumeAnswerResponse) else answer_event(wire)


def found_answer(wire: answer_service_pb2.GetAnswerResponse) -> results.StoredAnswer:
    return stored_answer(wire.answer)


def cancelled_answer(wire: answer_service_pb2.CancelAnswerResponse) -> None:
    return None


def stored_answer(wire: answer_service_pb2.StoredAnswer) -> results.StoredAnswer:
    return results.StoredAnswer(
        answer_id=wire.answer_id,
        question=wire.question,
        state=answer_state(wire.state),
        text=wire.text,
        withheld=tuple(text_range(span) for span in wire.withheld),
        sources=tuple(ranked_passage(p) for p in wire.sources.passages),
        citations=tuple(_citation(wire.answer_id, 0, c) for c in wire.citations),
        completion=_completion(wire.answer_id, 0, wire.completion) if wire.HasField("completion") else None,
        failure=failure(wire.failure) if wire.HasField("failure") else None,
        create_time=time(wire.create_time),
        end_time=time(wire.end_time) if wire.HasField("end_time") else None,
        searched_question=wire.sources.searched_question,
        understanding=understanding(wire.sources),
        conversation_id=wire.conversation_id,
        turn=wire.turn,
        masked=masked_spans(wire.masked),
    )


def _citation(answer_id: str, sequence: int, wire: answer_service_pb2.Citation) -> results.Citation:
    return results.Citation(
        answer_id=answer_id,
        sequence=sequence,
        start=wire.start,
        end=wire.end,
        chunk_id=wire.chunk_id,
        document_id=wire.document_id,
        document_name=wire.document_name,
        revision=wire.revision,
        regions=tuple(page_region(r) for r in wire.regions),
        quote=wire.quote,
        score=wire.score,
        withheld=wire.withheld,
        field=wire.field,
        masked=masked_spans(wire.masked),
    )


def _completion(answer_id: str, sequence: int, wire: answer_service_pb2.Completion) -> results.Completion:
    usage = results.Usage(wire.usage.prompt_tokens, wire.usage.completion_tokens)
    return results.Completion(
        answer_id=answer_id,
        sequence=sequence,
        status=answer_status(wire.status),
        usage=usage if wire.HasField("usage") else None,
        timings=timings(wire.timings),
        degradations=tuple(degradation(d) for d in wire.degradations),
        unsupported=tuple(results.Unsupported(s.start, s.end, s.field) for s in wire.unsupported),
        generator=wire.generator,
        index_position=wire.index_position,
        embedder=wire.embedder,
        reranker=wire.reranker,
        cached=wire.cached,
        passed_over=tuple(
            results.PassedOverGenerator(each.name, passed_over_reason(each.reason)) for each in wire.passed_over
        ),
        confidence=wire.confidence,
        masked=masked_spans(wire.masked),
        reader=wire.reader,
        mean_log_probability=wire.mean_log_probability if wire.HasField("mean_log_probability") else None,
    )
