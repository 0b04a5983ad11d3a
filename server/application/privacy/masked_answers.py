"""Answers as callers of a tenant may see them: while they are made, and when they are shown again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from server.application.answer_question import AnswerCommand
from server.application.privacy.masked_fields import FieldsMasker, mask_kept
from server.application.privacy.masked_passages import masked_passage
from server.application.privacy.masking import MaskedText, TextMasker, joined_spans, mask_pii
from server.application.privacy_ports import Policies
from server.application.reuse_answers import Answering
from server.domain.answers import AnswerEvent, Citation, Completion, Delta, Sources, Unsupported
from server.domain.deadline import Deadline
from server.domain.principals import Principal
from server.domain.privacy import PiiKind
from server.domain.stored_answers import NumberedEvent, ShownAnswer, WithheldCitation


class MaskAnswers:
    """An Answering before another one, whose passages are masked already: it masks what the generator has from the
    question, or from nowhere. Text is held back only as far as what it ends with may go on; a citation waits for its
    sentence."""

    def __init__(self, answering: Answering, policies: Policies) -> None:
        self._answering = answering
        self._policies = policies

    @property
    def longest_question(self) -> int:
        return self._answering.longest_question

    async def run(
        self, principal: Principal, command: AnswerCommand, deadline: Deadline
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Raises as AnswerQuestion.run does, and DependencyUnavailable when it is not known what is to be masked."""
        kinds = (await self._policies.of(principal.tenant)).masked
        async with aclosing(self._answering.run(principal, command, deadline)) as events:
            if not kinds:
                async for event in events:
                    yield event
                return
            masking = _Masking(FieldsMasker(kinds) if command.response_schema else TextMasker(kinds))
            async for event in events:
                for shown in await asyncio.to_thread(masking.add, event):
                    yield shown
            for shown in await asyncio.to_thread(masking.rest):
                yield shown


class _Masking:
    """The events of one answer. In deltas is its text, and all other offsets count in it."""

    def __init__(self, masker: TextMasker | FieldsMasker) -> None:
        self._masker = masker
        self._waiting: deque[Citation] = deque()

    def add(self, event: AnswerEvent) -> list[AnswerEvent]:
        match event:
            case Delta():
                return [*_delta(self._masker.add(event.text)), *self._cited()]
            case Citation():
                self._waiting.append(event)
                return self._cited()
            case Completion():
                return [*self.rest(), moved_completion(event, self._masker.whole, self._masker.kinds)]
            case Sources():
                return [_masked_sources(event, self._masker.kinds)]

    def rest(self) -> list[AnswerEvent]:
        return [*_delta(self._masker.rest()), *self._cited()]

    def _cited(self) -> list[AnswerEvent]:
        told: list[AnswerEvent] = []
        while self._waiting and self._waiting[0].sentence.end <= self._masker.settled:
            citation = self._waiting.popleft()
            sentence = self._masker.whole.span(citation.sentence)
            told.append(replace(citation, sentence=sentence, field=mask_pii(citation.field, self._masker.kinds).text))
        return told


def moved_completion(completion: Completion, moved: MaskedText, kinds: Collection[PiiKind]) -> Completion:
    return replace(
        completion,
        unsupported=tuple(
            Unsupported(moved.start(span.start), moved.end(span.end), mask_pii(span.field, kinds).text)
            for span in completion.unsupported
        ),
        masked=joined_spans(completion.masked, moved),
    )


def masked_answer(answer: ShownAnswer, kinds: Collection[PiiKind]) -> ShownAnswer:
    """An answer that was kept, by the policy of now. Its layout is no longer that of its text: see `masked_events`."""
    if not kinds:
        return answer
    moved = mask_kept(answer.text, kinds)
    completion = answer.completion
    return replace(
        answer,
        question=mask_pii(answer.question, kinds).text,
        text=moved.text,
        withheld=tuple(map(moved.span, answer.withheld)),
        sources=_masked_sources(answer.sources, kinds),
        citations=tuple(_moved_citation(citation, moved, kinds) for citation in answer.citations),
        completion=None if completion is None else moved_completion(completion, moved, kinds),
        masked=joined_spans(answer.masked, moved),
    )


def masked_events(events: Sequence[NumberedEvent], kinds: Collection[PiiKind]) -> Iterator[NumberedEvent]:
    """All events of an answer, under the same numbers: what was parted between two deltas is masked in the first of
    them, and the other is empty if it has nothing else."""
    if not kinds:
        yield from events
        return
    moved = mask_kept("".join(each.event.text for each in events if isinstance(each.event, Delta)), kinds)
    told = 0
    for numbered in events:
        event = numbered.event
        match event:
            case Delta():
                start, told = told, told + len(event.text)
                event = Delta(moved.text[moved.end(start) : moved.end(told)])
            case Sources():
                event = _masked_sources(event, kinds)
            case Completion():
                event = moved_completion(event, moved, kinds)
            case _:
                event = _moved_citation(event, moved, kinds)
        yield replace(numbered, event=event)


def _masked_sources(sources: Sources, kinds: Collection[PiiKind]) -> Sources:
    """What they repeat of the question; their passages are masked where they are read."""
    understood = sources.understanding
    if understood is not None:
        moved = mask_pii(understood.query, kinds)
        understood = replace(
            understood,
            query=moved.text,
            proposed=tuple(replace(each, span=moved.span(each.span)) for each in understood.proposed),
            names=tuple(
                replace(each, span=moved.span(each.span), name=mask_pii(each.name, kinds).text)
                for each in understood.names
            ),
        )
    return replace(sources, searched=mask_pii(sources.searched, kinds).text, understanding=understood)


def _moved_citation(
    citation: Citation | WithheldCitation, moved: MaskedText, kinds: Collection[PiiKind]
) -> Citation | WithheldCitation:
    """The passage of a kept citation is its quote."""
    if isinstance(citation, WithheldCitation):
        return WithheldCitation(moved.span(citation.sentence))
    passage = masked_passage(citation.passage, kinds)
    return replace(
        citation,
        sentence=moved.span(citation.sentence),
        passage=passage,
        support=mask_pii(citation.passage.text, kinds).span(citation.support),
        field=mask_pii(citation.field, kinds).text,
    )


def _delta(text: str) -> list[Delta]:
    return [Delta(text)] if text else []
