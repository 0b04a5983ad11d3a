"""Between the wire and answers that are given, kept and shown again, and conversations: pure functions."""

from __future__ import annotations

from pinakes.v1 import answer_service_pb2, conversation_service_pb2, passage_pb2
from server.application.conversation_ports import ConversationPage
from server.application.look_after_conversations import ShownTurns
from server.domain.answers import Citation
from server.domain.conversations import Conversation
from server.domain.stored_answers import AnswerState, NumberedEvent, ShownAnswer, WithheldCitation
from server.transport.mapping import (
    answer_response,
    citation_to_wire,
    completion_to_wire,
    failure_to_wire,
    sources_to_wire,
    timestamp_to_wire,
)
from server.transport.privacy_mapping import masked_to_wire

_STATES = {
    AnswerState.RUNNING: answer_service_pb2.ANSWER_STATE_RUNNING,
    AnswerState.COMPLETED: answer_service_pb2.ANSWER_STATE_COMPLETED,
    AnswerState.CANCELLED: answer_service_pb2.ANSWER_STATE_CANCELLED,
    AnswerState.FAILED: answer_service_pb2.ANSWER_STATE_FAILED,
}


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
