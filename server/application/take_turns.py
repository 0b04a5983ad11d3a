"""Has the questions of a conversation answered one at a time, each as it is meant after those before it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog

from server.application.conversation_history import summarized
from server.application.conversation_ports import FollowUps, HistoryStore, TurnStore
from server.application.retrieval_profiles import RetrievalProfiles
from server.application.rewrite_follow_ups import RewriteFollowUps, RewriteOptions
from server.application.timing import within
from server.domain.conversations import History, PastTurn
from server.domain.deadline import Deadline
from server.domain.errors import (
    ConversationBusy,
    ConversationNotFound,
    DependencyUnavailable,
    Overloaded,
    StageDeadline,
)
from server.domain.principals import Principal

_log = structlog.get_logger()
_STAGE = "turn"
_ABANDON_S = 1.0


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """`lease_s`: how long a conversation stays busy when the process that was making its answer has died; it is renewed
    every `renew_s`. `past`: how many of the last turns a follow-up question may refer to. What was asked before them is
    summarized in `summary_tokens`, whenever there are `summarize_from` more of such questions."""

    lease_s: float = 30.0
    renew_s: float = 10.0
    past: int = 4
    summary_tokens: int = 160
    summarize_from: int = 4
    rewriting: RewriteOptions = field(default_factory=RewriteOptions)


@dataclass(frozen=True, slots=True)
class MeantQuestion:
    """`text` is to be searched and asked. `rewrite_skipped`: a generator was to rewrite it, and rules did."""

    text: str
    rewrite_skipped: bool = False


class TakeTurns:
    def __init__(
        self,
        turns: TurnStore,
        histories: HistoryStore,
        follow_ups: FollowUps,
        rewriting: RewriteFollowUps,
        profiles: RetrievalProfiles,
        options: TurnOptions,
    ) -> None:
        self._turns = turns
        self._histories = histories
        self._follow_ups = follow_ups
        self._rewriting = rewriting
        self._profiles = profiles
        self._options = options

    async def begin(
        self,
        principal: Principal,
        conversation_id: str,
        answer_id: str,
        question: str,
        deadline: Deadline,
        *,
        profile: str = "",
        rewrite: bool | None = None,
    ) -> MeantQuestion:
        """Takes the turn; returns what is meant by the question, which is normalized. `rewrite` goes before what the
        profile says. Raises InvalidField, ConversationNotFound, ConversationBusy, StageDeadline, DependencyUnavailable,
        Overloaded."""
        settings = self._profiles.get(profile).settings
        rewrite = settings.rewrite if rewrite is None else rewrite
        try:
            async with within(deadline, _STAGE):
                past, history = await self._past(principal, conversation_id, answer_id)
            if rewrite:
                earlier = "\n".join([history.summary, *history.questions])
                text = await self._rewriting.run(question, earlier, past, deadline)
                if text is not None:
                    return MeantQuestion(text)
            return MeantQuestion(await self._follow_ups.rewritten(question, past), rewrite_skipped=bool(rewrite))
        except (ConversationBusy, ConversationNotFound):
            raise
        except BaseException:
            # It may have been taken all the same.
            await asyncio.shield(self.abandon(conversation_id, answer_id))
            raise

    async def _past(
        self, principal: Principal, conversation_id: str, answer_id: str
    ) -> tuple[tuple[PastTurn, ...], History]:
        options = self._options
        past = await self._turns.begin(principal, conversation_id, answer_id, options.lease_s, options.past)
        earlier = len(past) == options.past
        return past, await self._history(principal, conversation_id) if earlier else History()

    async def _history(self, principal: Principal, conversation_id: str) -> History:
        """Summarizes what has come to it. Empty where it cannot be read: a question can be asked without."""
        options = self._options
        try:
            history = await self._histories.read(principal, conversation_id, options.past)
            if len(history.questions) < options.summarize_from:
                return history
            summary = await asyncio.to_thread(summarized, history.summary, history.questions, options.summary_tokens)
            known = history.summarized + len(history.questions)
            await self._histories.keep(principal, conversation_id, summary, known)
            return History(summary, known)
        except (DependencyUnavailable, Overloaded) as error:
            _log.warning("history_not_read", conversation_id=conversation_id, problem=str(error))
            return History()

    async def hold(self, conversation_id: str, answer_id: str) -> None:
        """Renews the turn until it is cancelled."""
        while True:
            await asyncio.sleep(self._options.renew_s)
            try:
                await self._turns.renew(conversation_id, answer_id, self._options.lease_s)
            except (DependencyUnavailable, Overloaded) as error:
                _log.warning("turn_not_renewed", answer_id=answer_id, problem=str(error))

    async def abandon(self, conversation_id: str, answer_id: str) -> None:
        """For an answer that is not kept. Waits a second at most: a turn that nobody renews ends by itself."""
        try:
            async with within(Deadline.after(_ABANDON_S), _STAGE):
                await self._turns.abandon(conversation_id, answer_id)
        except (DependencyUnavailable, Overloaded, StageDeadline) as error:
            _log.warning("turn_not_ended", answer_id=answer_id, problem=str(error))
