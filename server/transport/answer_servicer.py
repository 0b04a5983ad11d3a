# ruff: noqa: N802 - methods are named by the contract
"""AnswerService on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from grpc.aio import ServicerContext

from pinakes.v1 import answer_service_pb2, answer_service_pb2_grpc
from server.application.give_answers import GiveAnswers
from server.transport.answer_mapping import (
    answer_command,
    get_answer_response,
    numbered_to_wire,
    resume_window_s,
    resumed_to_wire,
)
from server.transport.deadlines import deadline_of
from server.transport.identity import Identity

LONGEST_ANSWER_S = 180.0
LONGEST_LOOK_S = 30.0


class AnswerServicer(answer_service_pb2_grpc.AnswerServiceServicer):
    def __init__(self, identity: Identity, answers: GiveAnswers) -> None:
        self._identity = identity
        self._answers = answers

    async def Answer(
        self, request: answer_service_pb2.AnswerRequest, context: ServicerContext[Any, Any]
    ) -> AsyncIterator[answer_service_pb2.AnswerResponse]:
        principal, deadline = self._identity.principal(context), deadline_of(context, LONGEST_ANSWER_S)
        events = self._answers.run(
            principal,
            answer_command(request),
            deadline,
            window_s=resume_window_s(request),
            conversation_id=request.conversation_id,
        )
        async with aclosing(events):
            async for answer_id, event in events:
                yield numbered_to_wire(answer_id, event)

    async def ResumeAnswer(
        self, request: answer_service_pb2.ResumeAnswerRequest, context: ServicerContext[Any, Any]
    ) -> AsyncIterator[answer_service_pb2.ResumeAnswerResponse]:
        principal, answer_id = self._identity.principal(context), request.answer_id
        events = self._answers.resume(principal, answer_id, request.after_sequence)
        async with aclosing(events):
            async for event in events:
                yield resumed_to_wire(answer_id, event)

    async def GetAnswer(
        self, request: answer_service_pb2.GetAnswerRequest, context: ServicerContext[Any, Any]
    ) -> answer_service_pb2.GetAnswerResponse:
        principal, deadline = self._identity.principal(context), deadline_of(context, LONGEST_LOOK_S)
        return get_answer_response(await self._answers.get(principal, request.answer_id, deadline))

    async def CancelAnswer(
        self, request: answer_service_pb2.CancelAnswerRequest, context: ServicerContext[Any, Any]
    ) -> answer_service_pb2.CancelAnswerResponse:
        principal, deadline = self._identity.principal(context), deadline_of(context, LONGEST_LOOK_S)
        await self._answers.cancel(principal, request.answer_id, deadline)
        return answer_service_pb2.CancelAnswerResponse()
