"""Between the wire and answers that are given, kept and shown again, and conversations: pure functions."""

from __future__ import annotations

from pinakes.v1 import answer_service_pb2, conversation_service_pb2, passage_pb2
from server.application.answer_question import AnswerCommand
from server.application.consistency import token_of
from server.application.conversation_ports import ConversationPage
from server.application.keeping import masked_within
from server.application.look_after_conversations import ShownTurns
from server.domain.answers import (
    AnswerEvent,
    AnswerStatus,
    Citation,
    Completion,
    Degradation,
    Delta,
    Sources,
    Unsupported,
)
from server.domain.conversations import Conversation
from server.domain.generation import PassedOver, PassedOverReason
from server.domain.stored_answers import AnswerState, NumberedEvent, ShownAnswer, WithheldCitation
from server.transport.document_mapping import failure_to_wire
from server.transport.mapping import (
    filter_from_wire,
    ranked_to_wire,
    regions_to_wire,
    timestamp_to_wire,
    timings_to_wire,
)
from server.transport.privacy_mapping import masked_to_wire
from server.transport.search_mapping import retrieval_settings, understood_to_wire
from server.transport.wire_forms import made_once

_ANSWER_STATUSES = {
    AnswerStatus.ANSWERED: answer_service_pb2.ANSWER_STATUS_ANSWERED,
    AnswerStatus.NOT_IN_DOCUMENTS: answer_service_pb2.ANSWER_STATUS_NOT_IN_DOCUMENTS,
    AnswerStatus.TRUNCATED: answer_service_pb2.ANSWER_STATUS_TRUNCATED,
}
_DEGRADATIONS = {
    Degradation.NO_RERANKER: answer_service_pb2.DEGRADATION_NO_RERANKER,
    Degradation.RERANK_SKIPPED: answer_service_pb2.DEGRADATION_RERANK_SKIPPED,
    Degradation.RERANK_REDUCED: answer_service_pb2.DEGRADATION_RERANK_REDUCED,
    Degradation.EXTRACTIVE: answer_service_pb2.DEGRADATION_EXTRACTIVE,
    Degradation.OTHER_GENERATOR: answer_service_pb2.DEGRADATION_OTHER_GENERATOR,
    Degradation.DRAFT_REPLACED: answer_service_pb2.DEGRADATION_DRAFT_REPLACED,
    Degradation.REWRITE_SKIPPED: answer_service_pb2.DEGRADATION_REWRITE_SKIPPED,
    Degradation.NO_READER: answer_service_pb2.DEGRADATION_NO_READER,
    Degradation.READ_SKIPPED: answer_service_pb2.DEGRADATION_READ_SKIPPED,
}
_PASSED_OVER = {
    PassedOverReason.UNAVAILABLE: answer_service_pb2.PASSED_OVER_REASON_UNAVAILABLE,
    PassedOverReason.OVERLOADED: answer_service_pb2.PASSED_OVER_REASON_OVERLOADED,
    PassedOverReason.TOO_SLOW: answer_service_pb2.PASSED_OVER_REASON_TOO_SLOW,
    PassedOverReason.RESTING: answer_service_pb2.PASSED_OVER_REASON_RESTING,
    PassedOverReason.REFUSED: answer_service_pb2.PASSED_OVER_REASON_REFUSED,
    PassedOverReason.NOT_SET_UP: answer_service_pb2.PASSED_OVER_REASON_NOT_SET_UP,
}
_STATES = {
    AnswerState.RUNNING: answer_service_pb2.ANSWER_STATE_RUNNING,
    AnswerState.COMPLETED: answer_service_pb2.ANSWER_STATE_COMPLETED,
    AnswerState.CANCELLED: answer_service_pb2.ANSWER_STATE_CANCELLED,
    AnswerState.FAILED: answer_service_pb2.ANSWER_STATE_FAILED,
}


def answer_command(request: answer_service_pb2.AnswerRequest) -> AnswerCommand:
    return AnswerCommand(
        question=request.question,
        filter=filter_from_wire(request.filter),
        max_passages=request.max_passages,
        max_tokens=request.max_tokens,
        seed=request.seed if request.HasField("seed") else 0,
        consistency_token=request.consistency_token,
        no_cache=request.no_cache,
        apply_proposed_filters=request.apply_proposed_filters,
        profile=request.profile,
        retrieval=retrieval_settings(request.retrieval),
        response_schema=request.response_schema,
    )


def answer_response(answer_id: str, sequence: int, event: AnswerEvent) -> answer_service_pb2.AnswerResponse:
    response = answer_service_pb2.AnswerResponse(answer_id=answer_id, sequence=sequence)
    match event:
        case Sources():
            response.sources.CopyFrom(sources_to_wire(event))
            response.sources.SetInParent()
        case Delta():
            response.delta.text = event.text
        case Citation():
            response.citation.CopyFrom(citation_to_wire(event))
        case Completion():
            response.completion.CopyFrom(completion_to_wire(event))
    return response


@made_once
def sources_to_wire(sources: Sources) -> answer_service_pb2.Sources:
    return answer_service_pb2.Sources(
        passages=[ranked_to_wire(ranked) for ranked in sources.passages],
        searched_question=sources.searched,
        understanding=understood_to_wire(sources.understanding, applied=sources.narrowed),
    )


@made_once
def citation_to_wire(citation: Citation) -> answer_service_pb2.Citation:
    passage = citation.passage
    support = citation.support
    lines = [span for span in passage.line_spans if span.start < support.end and span.end > support.start]
    return answer_service_pb2.Citation(
        start=citation.sentence.start,
        end=citation.sentence.end,
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        document_name=passage.document_name,
        revision=passage.revision,
        regions=regions_to_wire(passage, lines),
        quote=passage.text[support.start : support.end],
        score=citation.score,
        field=citation.field,
        masked=masked_to_wire(masked_within(passage, support)),
    )


def completion_to_wire(completion: Completion) -> answer_service_pb2.Completion:
    usage = completion.usage
    return answer_service_pb2.Completion(
        status=_ANSWER_STATUSES[completion.status],
        usage=None
        if usage is None
        else answer_service_pb2.Usage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens),
        timings=timings_to_wire(completion.timings),
        degradations=[_DEGRADATIONS[degradation] for degradation in completion.degradations],
        unsupported=[_unsupported(span) for span in completion.unsupported],
        generator=completion.generator,
        embedder=completion.embedder,
        reranker=completion.reranker,
        index_position=token_of(completion.index_position),
        cached=completion.cached,
        passed_over=[_passed_over(each) for each in completion.passed_over],
        confidence=completion.confidence,
        masked=masked_to_wire(completion.masked),
        reader=completion.reader,
        mean_log_probability=completion.mean_log_probability,
    )


def _passed_over(generator: PassedOver) -> answer_service_pb2.PassedOverGenerator:
    return answer_service_pb2.PassedOverGenerator(name=generator.provider, reason=_PASSED_OVER[generator.reason])


def _unsupported(span: Unsupported) -> answer_service_pb2.UnsupportedSentence:
    return answer_service_pb2.UnsupportedSentence(start=span.start, end=span.end, field=span.field)


def resume_window_s(request: answer_service_pb2.AnswerRequest) -> float:
    window: float = request.resume_window.ToNanoseconds() / 1e9
    return window


def numbered_to_wire(answer_id: str, numbered: NumberedEvent) -> answer_service_pb2.AnswerResponse:
    event = numbered.event
    if isinstance(event, WithheldCitation):
        citation = withheld_to_wire(event)
        return answer_service_pb2.AnswerResponse(answer_id=answer_id, sequence=numbered.sequence, citation=citation)
    return answer_response(answer_id, numbered.sequence, event)


def resumed_to_wire(answer_id: str, numbered: NumberedEvent) -> answer_service_pb2.ResumeAnswerResponse:
    return answer_service_pb2.ResumeAnswerResponse(event=numbered_to_wire(answer_id, numbered))


def get_answer_response(answer: ShownAnswer) -> answer_service_pb2.GetAnswerResponse:
    return answer_service_pb2.GetAnswerResponse(answer=stored_answer_to_wire(answer))


def stored_answer_to_wire(answer: ShownAnswer) -> answer_service_pb2.StoredAnswer:
    return answer_service_pb2.StoredAnswer(
        answer_id=answer.answer_id,
        question=answer.question,
        state=_STATES[answer.state],
        text=answer.text,
        withheld=[passage_pb2.TextRange(start=span.start, end=span.end) for span in answer.withheld],
        sources=sources_to_wire(answer.sources),
        citations=[
            citation_to_wire(citation) if isinstance(citation, Citation) else withheld_to_wire(citation)
            for citation in answer.citations
        ],
        completion=None if answer.completion is None else completion_to_wire(answer.completion),
        failure=None if answer.failure is None else failure_to_wire(answer.failure),
        create_time=timestamp_to_wire(answer.create_time),
        end_time=None if answer.end_time is None else timestamp_to_wire(answer.end_time),
        conversation_id=answer.conversation_id,
        turn=answer.turn,
        masked=masked_to_wire(answer.masked),
    )


def conversation_to_wire(conversation: Conversation) -> conversation_service_pb2.Conversation:
    return conversation_service_pb2.Conversation(
        conversation_id=conversation.conversation_id,
        title=conversation.title,
        turn_count=conversation.turns,
        create_time=timestamp_to_wire(conversation.create_time),
        update_time=timestamp_to_wire(conversation.update_time),
        summary=conversation.summary,
    )


def conversations_response(page: ConversationPage) -> conversation_service_pb2.ListConversationsResponse:
    return conversation_service_pb2.ListConversationsResponse(
        conversations=map(conversation_to_wire, page.conversations), next_page_token=page.next_page_token
    )


def turns_response(turns: ShownTurns) -> conversation_service_pb2.ListTurnsResponse:
    return conversation_service_pb2.ListTurnsResponse(
        answers=map(stored_answer_to_wire, turns.answers), next_page_token=turns.next_page_token
    )


def withheld_to_wire(citation: WithheldCitation) -> answer_service_pb2.Citation:
    return answer_service_pb2.Citation(start=citation.sentence.start, end=citation.sentence.end, withheld=True)
