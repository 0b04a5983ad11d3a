"""Gives answers to callers as streams of events, keeps them, and shows them again.

An answer is made by a task of its own, apart from the call that reads it: so it can outlive a connection that broke,
and be kept when it has ended without its reader waiting for that.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from server.application.answer_feed import AnswerFeed
from server.application.answer_ports import AnswerStore, OwnAnswer
from server.application.answer_question import AnswerCommand
from server.application.background import trace_of
from server.application.ingestion_failures import DEFECT
from server.application.keep_answers import KeepAnswers
from server.application.keeping import kept_answer, replayed, shown_answer
from server.application.privacy.masked_answers import masked_answer, masked_events
from server.application.privacy.masking import mask_pii
from server.application.privacy_ports import Policies
from server.application.query import normalized_query
from server.application.reuse_answers import Answering
from server.application.take_turns import TakeTurns
from server.domain.answers import Completion, Degradation, Sources
from server.domain.deadline import Deadline
from server.domain.documents import Failure
from server.domain.errors import (
    AnswerInterrupted,
    InvalidField,
    Overloaded,
    PinakesError,
    StageDeadline,
)
from server.domain.principals import Principal
from server.domain.privacy import PiiKind
from server.domain.stored_answers import AnswerState, NumberedEvent, ShownAnswer

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class GiveOptions:
    delta_pause_s: float = 0.02
    """A reader gets at most one piece of text in this time."""
    unread_characters: int = 4_096
    """How far a reader may fall behind before the model waits for it. Answers of the default length fit, so that a slow
    reader does not hold a place of the model."""
    longest_window_s: float = 120.0
    """For how long, at most, an answer goes on without a reader."""
    unattended: int = 64
    """How many answers may go on without a reader."""
    live: int = 1_024
    """How many answers may be in the making, or waiting to be kept."""
    keep: bool = True
    """Whether answers are kept when they have ended."""
    closing_s: float = 10.0
    """How long a server that stops waits until they are."""


@dataclass(eq=False, slots=True)
class _LiveAnswer:
    """`making` ends with the last event, `ending` when the answer has been kept."""

    answer_id: str
    principal: Principal
    question: str
    window_s: float
    conversation_id: str
    feed: AnswerFeed
    making: asyncio.Task[None]
    create_time: datetime = field(default_factory=lambda: datetime.now(UTC))
    ending: asyncio.Task[None] | None = None
    giving_up: asyncio.TimerHandle | None = None

    def belongs_to(self, principal: Principal) -> bool:
        return (self.principal.tenant, self.principal.user) == (principal.tenant, principal.user)


class GiveAnswers:
    def __init__(
        self, maker: Answering, store: AnswerStore, turns: TakeTurns, policies: Policies, options: GiveOptions
    ) -> None:
        self._maker = maker
        self._store = store
        self._keep = KeepAnswers(store)
        self._turns = turns
        self._policies = policies
        self._options = options
        self._live: dict[str, _LiveAnswer] = {}

    async def run(
        self,
        principal: Principal,
        command: AnswerCommand,
        deadline: Deadline,
        *,
        window_s: float = 0.0,
        conversation_id: str = "",
    ) -> AsyncGenerator[tuple[str, NumberedEvent], None]:
        """The answer's id with each of its events. When the iterator is closed, the answer is cancelled: at once, or
        after `window_s` without a reader. In a conversation the answer becomes the next turn.

        Raises InvalidField, Overloaded, ConversationNotFound, ConversationBusy, and what making the answer raises.
        """
        question = normalized_query("question", command.question, self._maker.longest_question)
        if not 0 <= window_s <= self._options.longest_window_s:
            raise InvalidField("resume_window", f"must lie between 0 and {self._options.longest_window_s:g} seconds")
        if len(self._live) >= self._options.live:
            raise Overloaded("answers", retry_after_s=1.0)
        answer_id, asked, rewrite_skipped = str(uuid.uuid4()), question, False
        if conversation_id:
            await self.until_kept(principal, conversation_id, deadline)
            meant = await self._turns.begin(
                principal,
                conversation_id,
                answer_id,
                question,
                deadline,
                profile=command.profile,
                rewrite=command.retrieval.rewrite,
            )
            asked, rewrite_skipped = meant.text, meant.rewrite_skipped
        feed = AnswerFeed(self._options.delta_pause_s, self._options.unread_characters)
        # As the caller sent it, where it is not another one: normalized it may be longer than one may be.
        searched = "" if asked == question else asked
        command = replace(command, question=searched or command.question)
        making = asyncio.create_task(self._make(feed, principal, command, searched, deadline, rewrite_skipped))
        live = _LiveAnswer(answer_id, principal, question, window_s, conversation_id, feed, making)
        self._live[answer_id] = live
        live.ending = asyncio.create_task(self._end(live))
        async with aclosing(self._read(live, 0)) as events:
            async for event in events:
                yield live.answer_id, event

    async def resume(self, principal: Principal, answer_id: str, after: int) -> AsyncGenerator[NumberedEvent, None]:
        """The events behind number `after`, as `run` would have given them; those of a kept answer without the text of
        its sources, and without what the caller may not see any more. One that is being made of what the caller may
        not see any more is cancelled, and told as far as it was kept.

        Raises AnswerNotFound, InvalidField, AnswerInterrupted behind the last event of an answer that was not
        completed, and what making the answer raises.
        """
        live = self._found(principal, answer_id)
        if live is not None and await self._may_go_on(principal, live):
            async with aclosing(self._read(live, after)) as events:
                async for event in events:
                    yield event
            return
        answer = shown_answer(await self._store.get(principal, answer_id))
        if not 0 <= after <= len(answer.layout):
            raise InvalidField("after_sequence", f"must lie between 0 and {len(answer.layout):,}, the last event")
        kinds = await self._masked_for(principal)
        for event in await asyncio.to_thread(_masked_replay, answer, kinds):
            if event.sequence > after:
                yield event
        if answer.state is not AnswerState.COMPLETED:
            raise AnswerInterrupted(answer_id, answer.state.value)

    async def get(self, principal: Principal, answer_id: str, deadline: Deadline) -> ShownAnswer:
        """The answer as the caller may see it now; of one that is still being made only the question. One that has just
        ended is waited for until it is kept. Raises AnswerNotFound, StageDeadline."""
        live = self._found(principal, answer_id)
        if live is not None:
            if not live.feed.ended:
                return await asyncio.to_thread(masked_answer, _running(live), await self._masked_for(principal))
            await _ended(live, deadline)
        kept, kinds = await self._store.get(principal, answer_id), await self._masked_for(principal)
        return await asyncio.to_thread(lambda: masked_answer(shown_answer(kept), kinds))

    async def cancel(self, principal: Principal, answer_id: str, deadline: Deadline) -> None:
        """Stops an answer that is being made; its readers get AnswerInterrupted. Does nothing to one that has ended.
        Raises AnswerNotFound, StageDeadline."""
        live = self._found(principal, answer_id)
        if live is None:
            await self._store.get(principal, answer_id)
            return
        live.making.cancel()
        await _ended(live, deadline)

    async def close(self) -> None:
        """Cancels what is being made, and keeps what there is of it, as far as that is done in time."""
        endings = [live.ending for live in self._live.values() if live.ending is not None]
        for live in self._live.values():
            live.making.cancel()
        if endings:
            _, late = await asyncio.wait(endings, timeout=self._options.closing_s)
            for ending in late:
                ending.cancel()
            if late:
                _log.warning("answers_not_kept", answers=len(late), problem="the server stops")
                await asyncio.wait(late)
        await self._keep.close()

    async def _make(
        self,
        feed: AnswerFeed,
        principal: Principal,
        command: AnswerCommand,
        searched: str,
        deadline: Deadline,
        rewrite_skipped: bool,
    ) -> None:
        if searched:
            searched = mask_pii(searched, await self._masked_for(principal)).text
        async with aclosing(self._maker.run(principal, command, deadline)) as events:
            async for event in events:
                if isinstance(event, Sources) and searched:
                    event = replace(event, searched=searched)
                elif isinstance(event, Completion) and rewrite_skipped:
                    event = replace(event, degradations=(*event.degradations, Degradation.REWRITE_SKIPPED))
                await feed.put(event, deadline)

    async def _masked_for(self, principal: Principal) -> frozenset[PiiKind]:
        return (await self._policies.of(principal.tenant)).masked

    async def until_kept(self, principal: Principal, conversation_id: str, deadline: Deadline) -> None:
        """Waits until turns of the conversation whose last event was told are kept: their callers may go on. Raises
        StageDeadline."""
        for live in list(self._live.values()):
            if live.conversation_id == conversation_id and live.belongs_to(principal) and live.feed.ended:
                await _ended(live, deadline)

    async def _read(self, live: _LiveAnswer, after: int) -> AsyncGenerator[NumberedEvent, None]:
        if live.giving_up is not None:
            live.giving_up.cancel()
            live.giving_up = None
        try:
            async with aclosing(live.feed.read(after)) as events:
                async for event in events:
                    yield event
        finally:
            if not live.feed.readers and not live.feed.ended:
                self._leave(live)

    async def _may_go_on(self, principal: Principal, live: _LiveAnswer) -> bool:
        """Whether the caller may read all sources of an answer that is told from memory; else it is stopped."""
        sources = [event for event in live.feed.events if isinstance(event, Sources)]
        named = {ranked.passage.document_id for event in sources for ranked in event.passages}
        if not named or await self._store.readable(principal, named):
            return True
        live.making.cancel()
        await _ended(live, Deadline.after(self._options.closing_s))
        return False

    def _leave(self, live: _LiveAnswer) -> None:
        """When the last reader has gone before the end."""
        unattended = sum(each.giving_up is not None for each in self._live.values())
        if live.window_s and unattended < self._options.unattended:
            live.giving_up = asyncio.get_running_loop().call_later(live.window_s, live.making.cancel)
        else:
            live.making.cancel()

    async def _end(self, live: _LiveAnswer) -> None:
        """Waits for the last event, tells the readers, and keeps the answer."""
        async with self._held(live):
            await asyncio.wait({live.making})
            state, failure, error = _outcome(live)
            if live.giving_up is not None:
                live.giving_up.cancel()
                live.giving_up = None
            live.feed.end(error)
        # Of one that ended before its sources nobody knows the id.
        known = any(isinstance(event, Sources) for event in live.feed.events)
        kept = known and self._options.keep and await self._kept(live, state, failure)
        if live.conversation_id and not kept:
            await self._turns.abandon(live.conversation_id, live.answer_id)
        if known and not kept and live.window_s:
            asyncio.get_running_loop().call_later(live.window_s, self._live.pop, live.answer_id, None)
        else:
            del self._live[live.answer_id]

    @asynccontextmanager
    async def _held(self, live: _LiveAnswer) -> AsyncIterator[None]:
        """The turn of the conversation, if it has one. What is done meanwhile does not wait for its store."""
        if not live.conversation_id:
            yield
            return
        holding = asyncio.create_task(self._turns.hold(live.conversation_id, live.answer_id))
        try:
            yield
        finally:
            holding.cancel()
            await asyncio.wait({holding})

    async def _kept(self, live: _LiveAnswer, state: AnswerState, failure: Failure | None) -> bool:
        answer = kept_answer(
            live.answer_id,
            live.question,
            state,
            failure,
            live.feed.events,
            live.create_time,
            datetime.now(UTC),
            live.conversation_id,
        )
        return await self._keep.run(OwnAnswer(live.principal, answer))

    def _found(self, principal: Principal, answer_id: str) -> _LiveAnswer | None:
        """None for answers that nobody is making, and for those of others: the store knows neither."""
        live = self._live.get(answer_id)
        return live if live is not None and live.belongs_to(principal) else None


def _masked_replay(answer: ShownAnswer, kinds: frozenset[PiiKind]) -> list[NumberedEvent]:
    return list(masked_events(tuple(replayed(answer, 0)), kinds))


def _outcome(live: _LiveAnswer) -> tuple[AnswerState, Failure | None, Exception | None]:
    """Of what has ended: the state, what is kept of a failure, and what readers are told."""
    if live.making.cancelled():
        return AnswerState.CANCELLED, None, AnswerInterrupted(live.answer_id, AnswerState.CANCELLED.value)
    error = live.making.exception()
    if error is None:
        return AnswerState.COMPLETED, None, None
    if isinstance(error, PinakesError):
        return AnswerState.FAILED, Failure(type(error).__name__, error.told), error
    if not isinstance(error, Exception):
        raise error
    if not live.feed.readers:
        # Otherwise the call that reads it logs it.
        _log.error("answer_broke", answer_id=live.answer_id, error=type(error).__name__, trace=trace_of(error))
    return AnswerState.FAILED, Failure(DEFECT, "an internal error; the server's log holds it"), error


async def _ended(live: _LiveAnswer, deadline: Deadline) -> None:
    assert live.ending is not None, "set where the answer begins"
    done, _ = await asyncio.wait({live.ending}, timeout=deadline.budget("keep"))
    if not done:
        raise StageDeadline("keep")


def _running(live: _LiveAnswer) -> ShownAnswer:
    return ShownAnswer(
        answer_id=live.answer_id,
        question=live.question,
        state=AnswerState.RUNNING,
        failure=None,
        text="",
        withheld=(),
        sources=Sources(()),
        citations=(),
        completion=None,
        layout=(),
        create_time=live.create_time,
        end_time=None,
        conversation_id=live.conversation_id,
    )
