"""AnswerService on the wire."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from grpc.aio import ServicerContext

from pinakes.v1 import answer_service_pb2, answer_service_pb2_grpc
from server.application.reuse_answers import Answering
from server.transport.deadlines import deadline_of
from server.transport.identity import Identity
from server.transport.mapping import answer_command, answer_response

LONGEST_ANSWER_S = 180.0


class AnswerServicer(answer_service_pb2_grpc.AnswerServiceServicer):
    def __init__(self, identity: Identity, answer: Answering) -> None:
        self._identity = identity
        self._answer = answer

    async def Answer(  # noqa: N802 - named by the contract
        self, request: answer_service_pb2.AnswerRequest, context: ServicerContext[Any, Any]
    ) -> AsyncIterator[answer_service_pb2.AnswerResponse]:
        answer_id = uuid.uuid4().hex
        sequence = 0
        deadline = deadline_of(context, LONGEST_ANSWER_S)
        events = self._answer.run(self._identity.principal(context), answer_command(request), deadline)
        async with aclosing(events):
            async for event in events:
                sequence += 1
                yield answer_response(answer_id, sequence, event)
