"""`client.answers`."""

from __future__ import annotations

import grpc

from pinakes import mapping, requests
from pinakes.calls import AsyncCalls, SyncCalls
from pinakes.options import Deadlines
from pinakes.results import AnswerEvent, StoredAnswer
from pinakes.streams import AsyncStream, Stream
from pinakes.v1.answer_service_pb2_grpc import AnswerServiceStub


class AsyncAnswers:
    """`client.answers`: shows answers that were given, goes on with their streams, and stops them."""

    def __init__(self, channel: grpc.aio.Channel, calls: AsyncCalls, deadlines: Deadlines) -> None:
        self._stub = AnswerServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    async def get(self, answer_id: str, *, timeout_s: float | None = None) -> StoredAnswer:
        """An answer that the server has kept, with the same text and citations, except for what may not be seen any
        more. Raises AnswerNotFound."""
        return await self._calls.unary(
            self._stub.GetAnswer,
            requests.get_answer(answer_id),
            timeout_s or self._deadlines.unary_s,
            mapping.found_answer,
        )

    def resume(
        self, answer_id: str, *, after_sequence: int = 0, timeout_s: float | None = None
    ) -> AsyncStream[AnswerEvent]:
        """The events of an answer behind one that was received: as they come, or of the kept answer. Raises
        AnswerNotFound; AnswerInterrupted at the end of an answer that was not completed."""
        return self._calls.stream(
            self._stub.ResumeAnswer,
            requests.resume_answer(answer_id, after_sequence),
            timeout_s or self._deadlines.answer_s,
            mapping.resumed_event,
        )

    async def cancel(self, answer_id: str, *, timeout_s: float | None = None) -> None:
        """Stops an answer that is being made, also one with a `resume_window_s`. Raises AnswerNotFound."""
        await self._calls.unary(
            self._stub.CancelAnswer,
            requests.cancel_answer(answer_id),
            timeout_s or self._deadlines.unary_s,
            mapping.cancelled_answer,
        )


class Answers:
    """`client.answers`: shows answers that were given, goes on with their streams, and stops them."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = AnswerServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def get(self, answer_id: str, *, timeout_s: float | None = None) -> StoredAnswer:
        """An answer that the server has kept, with the same text and citations, except for what may not be seen any
        more. Raises AnswerNotFound."""
        return self._calls.unary(
            self._stub.GetAnswer,
            requests.get_answer(answer_id),
            timeout_s or self._deadlines.unary_s,
            mapping.found_answer,
        )

    def resume(self, answer_id: str, *, after_sequence: int = 0, timeout_s: float | None = None) -> Stream[AnswerEvent]:
        """The events of an answer behind one that was received: as they come, or of the kept answer. Raises
        AnswerNotFound; AnswerInterrupted at the end of an answer that was not completed."""
        return self._calls.stream(
            self._stub.ResumeAnswer,
            requests.resume_answer(answer_id, after_sequence),
            timeout_s or self._deadlines.answer_s,
            mapping.resumed_event,
        )

    def cancel(self, answer_id: str, *, timeout_s: float | None = None) -> None:
        """Stops an answer that is being made, also one with a `resume_window_s`. Raises AnswerNotFound."""
        self._calls.unary(
            self._stub.CancelAnswer,
            requests.cancel_answer(answer_id),
            timeout_s or self._deadlines.unary_s,
            mapping.cancelled_answer,
        )
