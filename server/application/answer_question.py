"""Answers a question from the documents, as a stream of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field

from server.application.answerability import AnswerabilityOptions, answerability
from server.application.attribution import Attribution, AttributionOptions
from server.application.context import ContextOptions, chosen_passages
from server.application.generation_chain import Generation, Writing
from server.application.language import detect_language
from server.application.ports import GeneratedText, GenerationRequest
from server.application.prompting import generation_request, not_in_documents
from server.application.query import bounded, normalized_query
from server.application.search_passages import PassageSearch, SearchCommand, SearchOutcome
from server.application.sentences import split_sentences
from server.application.timing import StageClock
from server.domain.answers import (
    AnswerEvent,
    AnswerStatus,
    Citation,
    Completion,
    Degradation,
    Delta,
    Sources,
    Usage,
)
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField, NoGenerator
from server.domain.generation import PassedOver
from server.domain.passages import SearchFilter, TextSpan
from server.domain.principals import Principal

_BRACKETS = (("「", "」"), ("『", "』"), ("（", "）"), ("(", ")"), ("“", "”"))


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    candidates: int = 20
    """Passages that are searched before the context is chosen."""
    max_tokens: int = 160
    generation_reserve_s: float = 4.0
    """With less than this left of the deadline the answer is extractive: about what two cores need to read the context
    and to begin."""
    context: ContextOptions = field(default_factory=ContextOptions)
    answerability: AnswerabilityOptions = field(default_factory=AnswerabilityOptions)
    attribution: AttributionOptions = field(default_factory=AttributionOptions)


@dataclass(frozen=True, slots=True)
class AnswerCommand:
    """A question as the caller asked it, not yet checked; 0 stands for the default."""

    question: str
    filter: SearchFilter = field(default_factory=SearchFilter)
    max_passages: int = 0
    max_tokens: int = 0
    seed: int = 0
    consistency_token: str = ""
    no_cache: bool = False


class AnswerQuestion:
    def __init__(self, search: PassageSearch, generation: Generation, options: AnswerOptions) -> None:
        self._search = search
        self._generation = generation
        self._options = options

    async def run(
        self, principal: Principal, command: AnswerCommand, deadline: Deadline
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Sources, then text and citations, then one completion. Closing the iterator stops the generation.

        Raises InvalidField, IndexBehind, StageDeadline, DependencyUnavailable, Overloaded. Where no generator begins to
        write, the answer is extractive; what fails afterwards is raised.
        """
        question = normalized_query("question", command.question)
        max_passages = bounded("max_passages", command.max_passages, 1, 10, self._options.context.max_passages)
        max_tokens = bounded("max_tokens", command.max_tokens, 1, 1_024, self._options.max_tokens)
        if not 0 <= command.seed < 2**63:
            raise InvalidField("seed", "must not be negative")
        clock = StageClock()
        search = SearchCommand(
            command.question,
            self._options.candidates,
            command.filter,
            consistency_token=command.consistency_token,
            snippets=False,
            no_cache=command.no_cache,
        )
        found = await self._search.run(principal, search, deadline, clock)
        chosen = chosen_passages(found.passages, max_passages, self._options.context)
        yield Sources(await self._search.highlighted(question, chosen, deadline, clock))
        draft = _Draft(found, clock)
        judged = await asyncio.to_thread(answerability, question, chosen, found.passages, self._options.answerability)
        if judged.probability < self._options.answerability.threshold:
            yield draft.append(not_in_documents(detect_language(question)))
            yield draft.completion(AnswerStatus.NOT_IN_DOCUMENTS)
            return
        passages = [ranked.passage for ranked in chosen]
        attribution = await asyncio.to_thread(Attribution, question, passages, self._options.attribution)
        if deadline.remaining() < self._options.generation_reserve_s:
            for event in _extractive(question, draft, attribution):
                yield event
            return
        request = generation_request(
            question, passages, detect_language(question), max_tokens=max_tokens, seed=command.seed
        )
        try:
            async with aclosing(_generated(self._generation, request, deadline, draft)) as deltas:
                async for delta in deltas:
                    yield delta
                    for citation in await draft.citations(attribution, finished=False):
                        yield citation
        except NoGenerator as error:
            draft.passed_over = error.passed_over
            for event in _extractive(question, draft, attribution):
                yield event
            return
        for citation in await draft.citations(attribution, finished=True):
            yield citation
        yield draft.completion(AnswerStatus.TRUNCATED if draft.finish_reason == "length" else AnswerStatus.ANSWERED)


async def _generated(
    generation: Generation, request: GenerationRequest, deadline: Deadline, draft: _Draft
) -> AsyncGenerator[Delta, None]:
    """Raises NoGenerator before there is any text."""
    async with AsyncExitStack() as opened:
        with draft.clock.stage("generate"), draft.clock.stage("first_token"):
            writing = await opened.enter_async_context(generation.writing(request, deadline))
        draft.written_by(writing)
        while True:
            # Only the waiting for the model counts, not what the caller does with a piece.
            with draft.clock.stage("generate"):
                piece = await anext(writing.pieces, None)
            if piece is None:
                return
            draft.finish(piece)
            # Models like to begin with white space; an answer does not.
            text = piece.text if draft.text else piece.text.lstrip()
            if text:
                yield draft.append(text)


class _Draft:
    """The answer so far: its text, and how much of it has been attributed."""

    def __init__(self, found: SearchOutcome, clock: StageClock) -> None:
        self.text = ""
        self.clock = clock
        self.finish_reason: str | None = None
        self._found = found
        self.passed_over: tuple[PassedOver, ...] = ()
        self._generator = ""
        self._usage: Usage | None = None
        self._attributed_to = 0
        self._unsupported: list[TextSpan] = []
        self._degradations = list(found.degradations)

    def append(self, text: str) -> Delta:
        self.text += text
        return Delta(text)

    def written_by(self, writing: Writing) -> None:
        self._generator, self.passed_over = writing.generator, writing.passed_over
        if writing.passed_over:
            self.degrade(Degradation.OTHER_GENERATOR)

    def finish(self, piece: GeneratedText) -> None:
        if piece.finish_reason is not None:
            self.finish_reason = piece.finish_reason
            self._usage = Usage(piece.prompt_tokens, piece.completion_tokens)

    def degrade(self, degradation: Degradation) -> None:
        self._degradations.append(degradation)

    async def citations(self, attribution: Attribution, *, finished: bool) -> list[Citation]:
        """Citations of the sentences that have closed since the last call; the last sentence closes with the answer.

        Only what is not yet attributed is looked at: a sentence that was closed stays closed, whatever follows, so that
        no part of the answer is told of twice.
        """
        open_text = self.text[self._attributed_to :]
        spans = split_sentences(open_text)
        closed = spans if finished else _surely_closed(open_text, spans)
        cited: list[Citation] = []
        for found in closed:
            started = self.clock.elapsed()
            span = TextSpan(found.start + self._attributed_to, found.end + self._attributed_to)
            support = await asyncio.to_thread(attribution.support, self.text[span.start : span.end])
            self.clock.add("attribute", self.clock.elapsed() - started)
            if support is None:
                self._unsupported.append(span)
            else:
                cited.append(Citation(span, support.passage, support.span, support.score))
        if closed:
            self._attributed_to += closed[-1].end
        return cited

    def completion(self, status: AnswerStatus) -> Completion:
        return Completion(
            status=status,
            usage=self._usage,
            timings=self.clock.timings(),
            degradations=tuple(self._degradations),
            unsupported=tuple(self._unsupported),
            generator=self._generator,
            embedder=self._found.embedder,
            reranker=self._found.reranker,
            index_position=self._found.index.position,
            passed_over=self.passed_over,
        )


def _extractive(question: str, draft: _Draft, attribution: Attribution) -> list[AnswerEvent]:
    """The passages' own best sentence, when no text is generated."""
    best = attribution.best_sentence()
    if best is None:
        return [
            draft.append(not_in_documents(detect_language(question))),
            draft.completion(AnswerStatus.NOT_IN_DOCUMENTS),
        ]
    draft.degrade(Degradation.EXTRACTIVE)
    sentence = best.passage.text[best.span.start : best.span.end]
    delta = draft.append(sentence)
    citation = Citation(TextSpan(0, len(sentence)), best.passage, best.span, 1.0)
    return [delta, citation, draft.completion(AnswerStatus.ANSWERED)]


def _surely_closed(text: str, spans: list[TextSpan]) -> list[TextSpan]:
    """The sentences that stay as they are, whatever is written next."""
    for count in range(len(spans) - 1, 0, -1):
        if not _inside_brackets(text[: spans[count - 1].end]):
            return spans[:count]
    return []


def _inside_brackets(text: str) -> bool:
    """Whether a quotation or a bracket is still open: what looks like a sentence's end may be one within another."""
    return any(text.count(opening) > text.count(closing) for opening, closing in _BRACKETS)
