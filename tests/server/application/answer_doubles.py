"""Who makes answers and who keeps them, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass, field, replace

from server.application.answer_ports import OwnAnswer
from server.application.answer_question import AnswerCommand
from server.application.follow_ups import WordsOfTheLastQuestion
from server.application.give_answers import GiveAnswers, GiveOptions
from server.application.retrieval_profiles import ProfileOptions, RetrievalProfiles
from server.application.reuse_answers import Answering
from server.application.rewrite_follow_ups import RewriteFollowUps, RewriteOptions
from server.application.take_turns import TakeTurns, TurnOptions
from server.domain.answers import AnswerEvent, AnswerStatus, Citation, Completion, Delta, Sources
from server.domain.conversations import History, PastTurn
from server.domain.deadline import Deadline
from server.domain.errors import AnswerNotFound, ConversationBusy, ConversationNotFound, PinakesError
from server.domain.passages import RankedPassage, TextSpan
from server.domain.principals import Principal
from server.domain.stored_answers import KeptAnswer
from tests.server.application.doubles import ScriptedGenerator, chain_of, passage
from tests.server.application.policy_doubles import FixedPolicies

PASSAGE = passage("ferry", "The ferry carries 610 passengers.")
SOURCES = Sources((RankedPassage(PASSAGE, 0.5, None, None),))
COMPLETION = Completion(AnswerStatus.ANSWERED, None, (), (), (), "generator@1", 7)
SENTENCE = "It carries 610 passengers."
CITATION = Citation(TextSpan(0, len(SENTENCE)), PASSAGE, TextSpan(0, 33), 0.75)


@dataclass
class SteppedMaker:
    """Makes `events`, one for each `step`; `stopped` counts answers that were closed before their end."""

    events: Sequence[AnswerEvent] = (SOURCES, Delta(SENTENCE), CITATION, COMPLETION)
    failure: Exception | None = None
    asked: list[AnswerCommand] = field(default_factory=list)
    made: int = 0
    stopped: int = 0
    _steps: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def begin_apart(self) -> None:
        """Answers that begin from now on have steps of their own; those before get no more."""
        self._steps = asyncio.Semaphore(0)

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self._steps.release()

    @property
    def longest_question(self) -> int:
        return 500

    async def run(
        self, principal: Principal, command: AnswerCommand, deadline: Deadline
    ) -> AsyncGenerator[AnswerEvent, None]:
        self.asked.append(command)
        steps = self._steps
        try:
            for event in self.events:
                await steps.acquire()
                self.made += 1
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped += 1
            raise
        if self.failure is not None:
            raise self.failure


@dataclass
class MemoryStore:
    """Fails with `failures` first, and whenever the answer to `poison` is among those to be kept. `unreadable` are
    documents that nobody may read now. `batches` counts the answers of each attempt. One that `hangs` never answers."""

    kept: dict[tuple[str, str, str], KeptAnswer] = field(default_factory=dict)
    failures: list[PinakesError] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)
    poison: str = ""
    hangs: bool = False
    batches: list[int] = field(default_factory=list)

    async def keep(self, answers: Sequence[OwnAnswer]) -> None:
        self.batches.append(len(answers))
        await (asyncio.Event().wait() if self.hangs else asyncio.sleep(0))
        if self.failures:
            raise self.failures.pop(0)
        if any(own.answer.question == self.poison for own in answers):
            raise ZeroDivisionError
        for own in answers:
            self.kept[own.principal.tenant, own.principal.user, own.answer.answer_id] = own.answer

    async def get(self, principal: Principal, answer_id: str) -> KeptAnswer:
        try:
            answer = self.kept[principal.tenant, principal.user, answer_id]
        except KeyError:
            raise AnswerNotFound(answer_id) from None
        return replace(
            answer,
            sources=tuple(replace(s, readable=s.document_id not in self.unreadable) for s in answer.sources),
            citations=tuple(replace(c, readable=c.document_id not in self.unreadable) for c in answer.citations),
        )

    async def readable(self, principal: Principal, document_ids: Collection[str]) -> bool:
        return self.unreadable.isdisjoint(document_ids)

    async def forget(self, age_s: float, limit: int) -> int:
        return 0


@dataclass
class MemoryTurns:
    """Conversations by their ids: the questions that were asked, and the answer that has the turn."""

    store: MemoryStore
    known: set[str] = field(default_factory=set)
    live: dict[str, str] = field(default_factory=dict)
    renewed: int = 0
    hangs: bool = False

    async def begin(
        self, principal: Principal, conversation_id: str, answer_id: str, lease_s: float, past: int
    ) -> tuple[PastTurn, ...]:
        if conversation_id not in self.known:
            raise ConversationNotFound(conversation_id)
        kept = [each for each in self.store.kept.values() if each.conversation_id == conversation_id]
        if any(each.answer_id == self.live.get(conversation_id) for each in kept):
            del self.live[conversation_id]
        if conversation_id in self.live:
            raise ConversationBusy(conversation_id, self.live[conversation_id])
        self.live[conversation_id] = answer_id
        if self.hangs:
            await asyncio.Event().wait()
        return tuple(PastTurn(each.question, each.searched) for each in kept[-past:])

    async def renew(self, conversation_id: str, answer_id: str, lease_s: float) -> None:
        self.renewed += 1
        if self.hangs:
            await asyncio.Event().wait()

    async def abandon(self, conversation_id: str, answer_id: str) -> None:
        if self.live.get(conversation_id) == answer_id:
            del self.live[conversation_id]


@dataclass
class MemoryHistories:
    """Summaries of conversations, over the questions that a store has kept; `made` counts them."""

    store: MemoryStore
    summaries: dict[str, tuple[str, int]] = field(default_factory=dict)
    made: int = 0
    failure: PinakesError | None = None

    async def read(self, principal: Principal, conversation_id: str, past: int) -> History:
        if self.failure is not None:
            raise self.failure
        asked = [
            each.searched or each.question
            for each in self.store.kept.values()
            if each.conversation_id == conversation_id
        ]
        summary, known = self.summaries.get(conversation_id, ("", 0))
        return History(summary, known, tuple(asked[known : max(known, len(asked) - past)]))

    async def keep(self, principal: Principal, conversation_id: str, summary: str, summarized: int) -> None:
        self.made += 1
        self.summaries[conversation_id] = summary, summarized


def taking(
    turns: MemoryTurns,
    *generators: ScriptedGenerator,
    histories: MemoryHistories | None = None,
    options: TurnOptions | None = None,
) -> TakeTurns:
    """With follow-ups told by rules, and by the generators where it is asked for."""
    return TakeTurns(
        turns,
        histories or MemoryHistories(turns.store),
        WordsOfTheLastQuestion(),
        RewriteFollowUps(chain_of(*generators), RewriteOptions()),
        RetrievalProfiles({"rewriting": ProfileOptions(rewrite=True)}),
        options or TurnOptions(renew_s=0.02),
    )


def giving(
    maker: Answering, store: MemoryStore, options: GiveOptions | None = None, turns: MemoryTurns | None = None
) -> GiveAnswers:
    """GiveAnswers over these, with follow-ups told by rules."""
    taken = taking(turns or MemoryTurns(store))
    return GiveAnswers(maker, store, taken, FixedPolicies(), options or GiveOptions(delta_pause_s=0.0))


def text_of(events: Sequence[AnswerEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def completion(events: Sequence[AnswerEvent]) -> Completion:
    end = events[-1]
    assert isinstance(end, Completion)
    return end
