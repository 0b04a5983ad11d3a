"""Answers a question as it was answered before, while nothing has changed that could change the answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol

from server.application.answer_ports import PassageReader
from server.application.answer_question import AnswerCommand
from server.application.caching import BoundedCache, CacheOptions, held_bytes
from server.application.consistency import catch_up
from server.application.model_ports import Generator, Reranker, Slot
from server.application.privacy_ports import Policies
from server.application.query import normalized_query
from server.application.reuse_searches import IndexVersion, all_readable, passages_size, slot_version
from server.application.search_passages import LASTING
from server.application.search_ports import PassageIndex, PassageStore
from server.application.timing import StageClock, today, within
from server.domain.answers import AnswerEvent, AnswerStatus, Completion, Degradation, Delta, Sources
from server.domain.deadline import Deadline
from server.domain.passages import RankedPassage
from server.domain.principals import Principal

_EVENT_BYTES = 400
_LASTING = LASTING | {Degradation.DRAFT_REPLACED, Degradation.NO_READER}
"""What the same question would meet again: also what is wrong with the model's draft."""
_KEPT_STATUSES = frozenset({AnswerStatus.ANSWERED, AnswerStatus.NOT_IN_DOCUMENTS})

Events = tuple[AnswerEvent, ...]


class Answering(Protocol):
    @property
    def longest_question(self) -> int:
        """Characters."""

    def run(
        self, principal: Principal, command: AnswerCommand, deadline: Deadline
    ) -> AsyncGenerator[AnswerEvent, None]:
        """As AnswerQuestion.run."""


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """All that an answer depends on, beside the index: see SearchKey. The models are named by their fingerprints."""

    principal: Principal
    command: AnswerCommand
    reranker: str
    generator: str
    reader: str
    policy: int
    day: date


class ReuseAnswers:
    """Answering before another one. An answer is told again, event by event (its text in fewer pieces), to a caller
    with the same rights, while the index stands where it stood, and as long as the caller may read all of its sources.
    Only whole answers are kept: nothing may have been left out of them.

    Callers that ask the same at the same time hear one answer as it comes. It goes on as long as one of them listens.
    """

    def __init__(
        self,
        answering: Answering,
        generator: Slot[Generator],
        reranker: Slot[Reranker],
        reader: Slot[PassageReader],
        index: PassageIndex,
        store: PassageStore,
        policies: Policies,
        options: CacheOptions,
    ) -> None:
        self.kept: BoundedCache[AnswerKey, Events] = BoundedCache(options, _size_of)
        self._answering = answering
        self._generator = generator
        self._reranker = reranker
        self._reader = reader
        self._index = index
        self._store = store
        self._policies = policies
        self._share_from_s = options.share_from_s
        self._told: dict[tuple[AnswerKey, IndexVersion], _ToldToAll] = {}

    @property
    def longest_question(self) -> int:
        return self._answering.longest_question

    async def run(
        self, principal: Principal, command: AnswerCommand, deadline: Deadline
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Raises as AnswerQuestion.run does."""
        clock = StageClock()
        question = normalized_query("question", command.question, self.longest_question)
        await catch_up(self._index, command.consistency_token, deadline, clock)
        use = self.kept.use
        if command.no_cache or not self.kept.on:
            use.bypassed += 1
            async with aclosing(self._answering.run(principal, command, deadline)) as events:
                async for event in events:
                    yield event
            return
        wanted = replace(command, question=question, consistency_token="")
        policy = await self._policies.of(principal.tenant)
        models = slot_version(self._reranker), slot_version(self._generator), slot_version(self._reader)
        key = AnswerKey(principal, wanted, *models, policy.version, today())
        version = IndexVersion.of(self._index)
        found = self.kept.find(key, version)
        if found is not None:
            with clock.stage("cache"):
                async with within(deadline, "cache"):
                    usable = await all_readable(self._store, principal, _sources(found), version.position)
            if usable:
                for event in found:
                    yield _told_again(event, clock)
                return
            self.kept.refuse(key)
        told = self._told.get((key, version))
        if told is None or not self._can_be_shared(told.deadline, deadline):
            use.misses += 1
            told = self._begin(principal, command, deadline, key, version)
            async with aclosing(told.listen()) as events:
                async for event in events:
                    yield event
            return
        use.shared += 1
        async with aclosing(told.listen()) as events:
            async for event in events:
                # They were found for somebody else, maybe seconds ago.
                if isinstance(event, Sources) and not await all_readable(
                    self._store, principal, event.passages, version.position
                ):
                    break
                yield _told_again(event, clock)
            else:
                return
        async with aclosing(self._answering.run(principal, command, deadline)) as events:
            async for event in events:
                yield event

    def _can_be_shared(self, of: Deadline, by: Deadline) -> bool:
        """Whether an answer that is made for one deadline is as good for another caller: it ends with the first one's
        time, and with little time is made with less."""
        left = by.remaining()
        return left >= self._share_from_s and of.remaining() >= max(self._share_from_s, left / 2)

    def _begin(
        self, principal: Principal, command: AnswerCommand, deadline: Deadline, key: AnswerKey, version: IndexVersion
    ) -> _ToldToAll:
        shared = key, version

        def ended(events: Events) -> None:
            if self._told.get(shared) is told:
                del self._told[shared]
            if events:
                self._keep(key, version, events)

        told = self._told[shared] = _ToldToAll(self._answering.run(principal, command, deadline), deadline, ended)
        return told

    def _keep(self, key: AnswerKey, version: IndexVersion, events: Events) -> None:
        end = events[-1]
        assert isinstance(end, Completion)
        whole = end.status in _KEPT_STATUSES and _LASTING.issuperset(end.degradations)
        # A model may have been changed since the key was made.
        by_these = all(
            made in ("", expected)
            for made, expected in (
                (end.reranker, key.reranker),
                (end.generator, key.generator),
                (end.reader, key.reader),
            )
        )
        still = version == IndexVersion.of(self._index)
        if whole and by_these and still and end.index_position == version.position:
            self.kept.keep(key, version, _joined(events))


class _ToldToAll:
    """One answer and those who listen to it. Who comes later hears it from its beginning. `ended` is called once, with
    all events, or with none when it failed or nobody listened to its end: nobody may begin to listen from then on."""

    def __init__(
        self, events: AsyncGenerator[AnswerEvent, None], deadline: Deadline, ended: Callable[[Events], None]
    ) -> None:
        self.deadline = deadline
        self._ended: Callable[[Events], None] | None = ended
        self._events: list[AnswerEvent] = []
        self._failure: BaseException | None = None
        self._over = False
        self._more = asyncio.Event()
        self._listeners = 0
        self._task = asyncio.create_task(self._hear(events))

    async def listen(self) -> AsyncGenerator[AnswerEvent, None]:
        """Closing this ends the answer if nobody else listens. Raises what making it raises."""
        self._listeners += 1
        heard = 0
        try:
            while True:
                more = self._more
                while heard < len(self._events):
                    heard += 1
                    yield self._events[heard - 1]
                if self._over:
                    if self._failure is not None:
                        raise self._failure
                    return
                if more is self._more:
                    await more.wait()
        finally:
            self._listeners -= 1
            if not self._listeners and not self._task.done():
                self._end(())
                self._task.cancel()
                await asyncio.wait((self._task,))

    async def _hear(self, events: AsyncGenerator[AnswerEvent, None]) -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    self._events.append(event)
                    self._tell()
            self._end(tuple(self._events))
        except Exception as error:  # noqa: BLE001 - raised to every listener
            self._failure = error
        except asyncio.CancelledError as error:
            self._failure = error
            raise
        finally:
            self._end(())
            self._over = True
            self._tell()

    def _end(self, events: Events) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(events)

    def _tell(self) -> None:
        self._more.set()
        self._more = asyncio.Event()


def _told_again(event: AnswerEvent, clock: StageClock) -> AnswerEvent:
    """A completion tells of this call's time, and that nothing was made for it."""
    return replace(event, timings=clock.timings(), cached=True) if isinstance(event, Completion) else event


def _sources(events: Events) -> tuple[RankedPassage, ...]:
    return next(event.passages for event in events if isinstance(event, Sources))


def _joined(events: Events) -> Events:
    """The same events, with the text between two others as one."""
    joined: list[AnswerEvent] = []
    for event in events:
        last = joined[-1] if joined else None
        if isinstance(event, Delta) and isinstance(last, Delta):
            joined[-1] = Delta(last.text + event.text)
        else:
            joined.append(event)
    return tuple(joined)


def _size_of(key: AnswerKey, events: Events) -> int:
    texts = sum(sys.getsizeof(event.text) for event in events if isinstance(event, Delta))
    return held_bytes(key) + passages_size(_sources(events)) + texts + _EVENT_BYTES * len(events)
