"""Has the questions of a conversation answered one at a time, each as it is meant after those before it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from server.application.conversation_ports import FollowUps, TurnStore
from server.domain.errors import DependencyUnavailable, Overloaded
from server.domain.principals import Principal

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """`lease_s`: how long a conversation stays busy when the process that was making its answer has died; it is renewed
    every `renew_s`. `past`: how many of the last turns a follow-up question may refer to."""

    lease_s: float = 30.0
    renew_s: float = 10.0
    past: int = 4


class TakeTurns:
    def __init__(self, turns: TurnStore, follow_ups: FollowUps, options: TurnOptions) -> None:
        self._turns = turns
        self._follow_ups = follow_ups
        self._options = options

    async def begin(self, principal: Principal, conversation_id: str, answer_id: str, question: str) -> str:
        """Takes the turn; returns what is to be searched and asked for the question, which is normalized. Raises
        ConversationNotFound, ConversationBusy, DependencyUnavailable, Overloaded."""
        options = self._options
        try:
            past = await self._turns.begin(principal, conversation_id, answer_id, options.lease_s, options.past)
        except asyncio.CancelledError:
            # It may have been taken all the same.
            await asyncio.shield(self.abandon(conversation_id, answer_id))
            raise
        return await self._follow_ups.rewritten(question, past)

    async def hold(self, conversation_id: str, answer_id: str) -> None:
        """Renews the turn until it is cancelled."""
        while True:
            await asyncio.sleep(self._options.renew_s)
            try:
                await self._turns.renew(conversation_id, answer_id, self._options.lease_s)
            except (DependencyUnavailable, Overloaded) as error:
                _log.warning("turn_not_renewed", answer_id=answer_id, problem=str(error))

    async def abandon(self, conversation_id: str, answer_id: str) -> None:
        """For an answer that is not kept."""
        try:
            await self._turns.abandon(conversation_id, answer_id)
        except (DependencyUnavailable, Overloaded) as error:
            _log.warning("turn_not_ended", answer_id=answer_id, problem=str(error))
