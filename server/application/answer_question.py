"""Answers a question from the documents, as a stream of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field

import structlog

from server.application.answer_fields import AnswerSchema, FieldsAnswer, grounded
from server.application.answer_kinds import AnswerKind
from server.application.answer_ports import PassageReader, ReadSpan
from server.application.context import ContextOptions, good_enough, place_of, shown, within_budget
from server.application.drafting import HeldText, ModelNames, OpenAnswer
from server.application.extracting import Extract
from server.application.generation_chain import Generation
from server.application.model_ports import GeneratedText, GenerationRequest, Slot
from server.application.prompting import fields_request, not_in_documents, phrase_request, sentences_request
from server.application.query import bounded, normalized_query
from server.application.reading import Reading, ReadingOptions
from server.application.retrieval_profiles import checked_settings
from server.application.search_passages import PassageSearch, SearchCommand, SearchOutcome
from server.application.spoken_rows import SpokenText, spoken
from server.application.timing import StageClock, within
from server.application.token_counts import TokenCountOptions, TokenCounts
from server.domain.answers import AnswerEvent, AnswerStatus, Citation, Degradation, Sources, Unsupported, Usage
from server.domain.deadline import Deadline
from server.domain.errors import (
    DependencyUnavailable,
    InvalidField,
    ModelNotInstalled,
    NoGenerator,
    Overloaded,
    StageDeadline,
)
from server.domain.passages import RankedPassage, SearchFilter
from server.domain.principals import Principal
from server.domain.retrieval import RetrievalSettings

_log = structlog.get_logger()

_LONGEST_DOCUMENT = 65_536
"""Characters after which a model that writes a document is stopped: no engine gives so many for the most tokens."""
_LONGEST_PHRASE = 300
"""Characters after which a model that was asked for a phrase is stopped."""


MOST_TOKENS = 1_024
"""That an answer may be asked to have."""


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    candidates: int = 20
    """Passages that are searched before the context is chosen."""
    max_tokens: int = 160
    fields_max_tokens: int = 400
    """As many for an answer in fields, which is whole or nothing."""
    generation_reserve_s: float = 4.0
    """With less than this left of the deadline the answer is extractive: about what two cores need to read the context
    and to begin."""
    read_reserve_s: float = 0.5
    """The reader is skipped when less than this is left of the deadline, and gets all but half of it."""
    context: ContextOptions = field(default_factory=ContextOptions)
    counting: TokenCountOptions = field(default_factory=TokenCountOptions)
    reading: ReadingOptions = field(default_factory=ReadingOptions)


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
    apply_proposed_filters: bool = False
    profile: str = ""
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    """What goes before the profile's settings."""
    response_schema: str = ""
    """A JSON Schema that the answer keeps to; empty: it is a text."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What of the command is left to be done when the passages are read."""

    max_tokens: int
    seed: int
    deadline: Deadline
    schema: AnswerSchema | None


class AnswerQuestion:
    def __init__(
        self, search: PassageSearch, generation: Generation, reader: Slot[PassageReader], options: AnswerOptions
    ) -> None:
        self._search = search
        self._generation = generation
        self._reader = reader
        self._tokens = TokenCounts(generation, options.counting)
        self._options = options

    @property
    def longest_question(self) -> int:
        return self._search.longest_query

    async def run(
        self, principal: Principal, command: AnswerCommand, deadline: Deadline
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Sources, then text and citations, then one completion. Closing the iterator stops the generation.

        Raises InvalidField, IndexBehind, StageDeadline, DependencyUnavailable, Overloaded. Without a generator, or when
        it fails before any text is out, the answer is extractive.
        """
        question = normalized_query("question", command.question, self.longest_question)
        own = checked_settings("retrieval", command.retrieval)
        retrieval = own.over(self._search.profile(command.profile).settings)
        context = self._context(retrieval)
        max_passages = bounded("max_passages", command.max_passages, 1, 10, context.max_passages)
        schema = await asyncio.to_thread(AnswerSchema, command.response_schema) if command.response_schema else None
        usual = self._options.max_tokens if schema is None else self._options.fields_max_tokens
        max_tokens = bounded("max_tokens", command.max_tokens, 1, MOST_TOKENS, usual)
        if not 0 <= command.seed < 2**63:
            raise InvalidField("seed", "must not be negative")
        clock = StageClock()
        search = SearchCommand(
            command.question,
            retrieval.candidates or self._options.candidates,
            command.filter,
            mode=retrieval.mode,
            fusion=retrieval.fusion,
            rerank=retrieval.rerank,
            rerank_depth=retrieval.rerank_depth,
            diversity=retrieval.diversity,
            profile=command.profile,
            consistency_token=command.consistency_token,
            snippets=False,
            no_cache=command.no_cache,
            apply_proposed_filters=command.apply_proposed_filters,
        )
        found = await self._search.run(principal, search, deadline, clock)
        with clock.stage("context"):
            chosen = await self._chosen(principal, found, max_passages, context, deadline)
        sources = await self._search.highlighted(question, chosen, deadline, clock)
        yield Sources(sources, understanding=found.understanding, narrowed=found.narrowed)
        models = ModelNames(found.embedder, found.reranker, found.index.position)
        answer = OpenAnswer(models, found.degradations, clock)
        spans = await self._read(question, chosen, answer, deadline)
        with clock.stage("read"):
            async with within(deadline, "read"):
                reading = await asyncio.to_thread(
                    Reading, question, chosen, found.passages, self._options.reading, spans
                )
        asked = _Asked(max_tokens, command.seed, deadline, schema)
        async with aclosing(self._answered(reading, answer, asked)) as events:
            async for event in events:
                yield event

    def _context(self, retrieval: RetrievalSettings) -> ContextOptions:
        own = self._options.context
        return ContextOptions(
            retrieval.max_passages or own.max_passages,
            retrieval.context_tokens or own.max_tokens,
            own.relative_score if retrieval.least_share is None else retrieval.least_share,
            own.least_rerank_score if retrieval.least_rerank_score is None else retrieval.least_rerank_score,
            own.neighbours if retrieval.neighbours is None else retrieval.neighbours,
        )

    async def _chosen(
        self,
        principal: Principal,
        found: SearchOutcome,
        max_passages: int,
        context: ContextOptions,
        deadline: Deadline,
    ) -> tuple[RankedPassage, ...]:
        good = good_enough(found.passages, max_passages, context)
        passages = [ranked.passage for ranked in good]
        async with within(deadline, "context"):
            beside = await self._search.beside(principal, passages, context.neighbours, found.index.position)
        if len(good) + len(beside) < 2:
            return good  # the first one is read, however long it is
        passages += beside
        counts = await self._tokens.of([*map(shown, passages)], deadline)
        tokens = {passage.chunk_id: count for passage, count in zip(passages, counts, strict=True)}
        places = {place_of(passage): passage for passage in beside}
        return within_budget(good, places, lambda passage: tokens[passage.chunk_id], context)

    async def _read(
        self, question: str, chosen: Sequence[RankedPassage], answer: OpenAnswer, deadline: Deadline
    ) -> Sequence[tuple[ReadSpan, ...]]:
        """What the reader finds in each of the passages; nothing without one, or when it fails."""
        try:
            reader = self._reader.model()
            if deadline.remaining() < self._options.read_reserve_s:
                raise StageDeadline("reader")
            with answer.clock.stage("reader"):
                texts = [spoken(ranked.passage.text) for ranked in chosen]
                found = await reader.read(
                    question, [said.text for said in texts], deadline.less(self._options.read_reserve_s / 2)
                )
        except ModelNotInstalled:
            answer.degrade(Degradation.NO_READER)
            return ()
        except (DependencyUnavailable, Overloaded, StageDeadline) as error:
            _log.warning("read_skipped", error=type(error).__name__)
            answer.degrade(Degradation.READ_SKIPPED)
            return ()
        answer.reader = reader.fingerprint
        return [tuple(_in_the_passage(own, said)) for own, said in zip(found, texts, strict=True)]

    async def _answered(self, reading: Reading, answer: OpenAnswer, asked: _Asked) -> AsyncGenerator[AnswerEvent, None]:
        if reading.refused:
            for event in _refusal(reading, answer):
                yield event
            return
        if asked.schema is not None:
            async with aclosing(self._in_fields(asked.schema, reading, answer, asked)) as events:
                async for event in events:
                    yield event
            return
        with answer.clock.stage("read"):
            async with within(asked.deadline, "read"):
                phrase = await asyncio.to_thread(reading.phrase)
        if phrase is not None:
            for event in _quotation(phrase, reading, answer):
                yield event
            return
        try:
            if asked.deadline.remaining() < self._options.generation_reserve_s:
                raise StageDeadline("generate")
            in_kind = self._in_sentences if reading.kind is AnswerKind.SENTENCES else self._in_a_phrase
            async with aclosing(in_kind(reading, answer, asked)) as events:
                async for event in events:
                    yield event
        except (DependencyUnavailable, InvalidField, Overloaded, StageDeadline) as error:
            # InvalidField: of an endpoint that withholds what it has begun. What the caller sent is checked before.
            if answer.text or asked.deadline.remaining() <= 0:
                raise
            if isinstance(error, NoGenerator):
                answer.passed_over = error.passed_over
            answer.degrade(Degradation.EXTRACTIVE)
            for event in await _extractive(reading, answer, asked.deadline):
                yield event

    async def _in_a_phrase(
        self, reading: Reading, answer: OpenAnswer, asked: _Asked
    ) -> AsyncGenerator[AnswerEvent, None]:
        """What the generator drafts is looked up; the passages' own words are shown."""
        texts = await asyncio.to_thread(reading.texts_for_phrase)
        request = phrase_request(
            reading.question, texts, reading.language, max_tokens=asked.max_tokens, seed=asked.seed
        )
        draft = ""
        async with aclosing(self._generated(request, answer, asked.deadline)) as pieces:
            async for piece in pieces:
                draft += piece.text
                if "\n" in draft.strip() or len(draft) > _LONGEST_PHRASE:
                    break
        # Endpoints may take no notice of what ends a phrase.
        with answer.clock.stage("attribute"):
            async with within(asked.deadline, "attribute"):
                found = await asyncio.to_thread(reading.found, draft.strip().partition("\n")[0])
        if found is not None:
            for event in _quotation(found, reading, answer):
                yield event
            return
        answer.degrade(Degradation.DRAFT_REPLACED)
        for event in await _extractive(reading, answer, asked.deadline):
            yield event

    async def _in_sentences(
        self, reading: Reading, answer: OpenAnswer, asked: _Asked
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Sentence by sentence, each compared with the passages before it is shown."""
        request = sentences_request(
            reading.question, reading.passages, reading.language, max_tokens=asked.max_tokens, seed=asked.seed
        )
        held = HeldText()
        cut_off = False
        async with aclosing(self._generated(request, answer, asked.deadline)) as pieces:
            async for piece in pieces:
                cut_off = piece.finish_reason == "length"
                for sentence in held.add(piece.text):
                    for event in await _checked(sentence, reading, answer, asked.deadline):
                        yield event
        for sentence in held.rest():
            for event in await _checked(sentence, reading, answer, asked.deadline):
                yield event
        if answer.text:
            yield answer.completion(
                AnswerStatus.TRUNCATED if cut_off else AnswerStatus.ANSWERED, reading.confidence(None)
            )
            return
        answer.degrade(Degradation.DRAFT_REPLACED)
        for event in await _extractive(reading, answer, asked.deadline):
            yield event

    async def _in_fields(
        self, schema: AnswerSchema, reading: Reading, answer: OpenAnswer, asked: _Asked
    ) -> AsyncGenerator[AnswerEvent, None]:
        """A JSON document, whole: no part of one is of use. Where nobody writes one, it is of the best sentence, if the
        schema has a place for a text and asks for nothing else."""
        request = fields_request(
            reading.question,
            reading.passages,
            reading.language,
            schema.text,
            max_tokens=asked.max_tokens,
            seed=asked.seed,
        )
        try:
            if asked.deadline.remaining() < self._options.generation_reserve_s:
                raise StageDeadline("generate")
            document = await self._document(schema, request, answer, asked.deadline)
        except (DependencyUnavailable, Overloaded, StageDeadline) as error:
            if isinstance(error, NoGenerator):
                answer.passed_over = error.passed_over
            async with within(asked.deadline, "read"):
                sentence = await asyncio.to_thread(reading.extract)
            if sentence is None:
                for event in _refusal(reading, answer):
                    yield event
                return
            span = sentence.span
            document = schema.of_a_phrase(reading.passages[sentence.passage].text[span.start : span.end])
            if document is None:
                raise
            answer.degrade(Degradation.EXTRACTIVE)
        with answer.clock.stage("attribute"):
            async with within(asked.deadline, "attribute"):
                found = await asyncio.to_thread(
                    grounded, document, schema, reading.question, reading.passages, reading.attribution
                )
        for event in _fields(found, reading, answer):
            yield event

    async def _document(
        self, schema: AnswerSchema, request: GenerationRequest, answer: OpenAnswer, deadline: Deadline
    ) -> object:
        """Raises InvalidField for one that was cut off, DependencyUnavailable for what does not keep to the schema, and
        what generating raises."""
        written, cut_off = "", False
        try:
            async with aclosing(self._generated(request, answer, deadline)) as pieces:
                async for piece in pieces:
                    written += piece.text
                    cut_off = piece.finish_reason == "length"
                    if len(written) > _LONGEST_DOCUMENT:
                        break
        except InvalidField as error:
            raise DependencyUnavailable("generation", "it withholds what it has begun") from error
        try:
            return await asyncio.to_thread(schema.read, written)
        except ValueError as error:
            if cut_off:
                rule = f"must be larger: {request.max_tokens:,} tokens were not enough for this answer"
                raise InvalidField("max_tokens", rule) from error
            raise DependencyUnavailable("generation", "what was written does not keep to response_schema") from error

    async def _generated(
        self, request: GenerationRequest, answer: OpenAnswer, deadline: Deadline
    ) -> AsyncGenerator[GeneratedText, None]:
        async with AsyncExitStack() as opened:
            with answer.clock.stage("generate"), answer.clock.stage("first_token"):
                writing = await opened.enter_async_context(self._generation.writing(request, deadline))
            answer.written_by(writing)
            while True:
                # Only the waiting for the model counts, not what is done with a piece.
                with answer.clock.stage("generate"):
                    piece = await anext(writing.pieces, None)
                if piece is None:
                    return
                answer.likelihood.add(piece.tokens)
                if piece.finish_reason is not None:
                    answer.usage = Usage(piece.prompt_tokens, piece.completion_tokens)
                yield piece


def _in_the_passage(spans: Sequence[ReadSpan], said: SpokenText) -> Iterator[ReadSpan]:
    for span in spans:
        place = said.place(span.start, span.end)
        if place is not None:
            yield ReadSpan(place.start, place.end, span.score)


async def _checked(sentence: str, reading: Reading, answer: OpenAnswer, deadline: Deadline) -> list[AnswerEvent]:
    """The sentence with its citation; without one where no passage supports it. Nothing for one with a number or a name
    that the passages do not have."""
    told = sentence.strip()
    with answer.clock.stage("attribute"):
        async with within(deadline, "attribute"):
            foreign = await asyncio.to_thread(reading.attribution.is_foreign, told)
            support = None if foreign else await asyncio.to_thread(reading.attribution.support, told)
    if foreign:
        answer.degrade(Degradation.DRAFT_REPLACED)
        return []
    delta = answer.append(sentence)
    if support is None:
        answer.leave_unsupported(len(told))
        return [delta]
    return [delta, answer.cite(len(told), support.passage, support.span, support.score)]


async def _extractive(reading: Reading, answer: OpenAnswer, deadline: Deadline) -> list[AnswerEvent]:
    async with within(deadline, "read"):
        sentence = await asyncio.to_thread(reading.extract)
    return _refusal(reading, answer) if sentence is None else _quotation(sentence, reading, answer)


def _quotation(found: Extract, reading: Reading, answer: OpenAnswer) -> list[AnswerEvent]:
    """The passage's own words, which its sentence supports."""
    passage = reading.passages[found.passage]
    delta = answer.append(passage.text[found.span.start : found.span.end])
    confidence = reading.confidence(found)
    return [
        delta,
        answer.cite(len(delta.text), passage, found.sentence, confidence),
        answer.completion(AnswerStatus.ANSWERED, confidence),
    ]


def _fields(found: FieldsAnswer, reading: Reading, answer: OpenAnswer) -> list[AnswerEvent]:
    """Without any value left, a refusal."""
    if found.dropped:
        answer.degrade(Degradation.DRAFT_REPLACED)
    if not found.values:
        return _refusal(reading, answer)
    events: list[AnswerEvent] = [answer.append(found.text)]
    for value in found.values:
        if value.evidence is None:
            answer.mark_unsupported(Unsupported(value.span.start, value.span.end, value.field))
        else:
            passage = reading.passages[value.evidence.passage]
            events.append(Citation(value.span, passage, value.evidence.span, value.evidence.score, value.field))
    supported = sum(value.evidence is not None for value in found.values) / len(found.values)
    return [*events, answer.completion(AnswerStatus.ANSWERED, supported * reading.confidence(None))]


def _refusal(reading: Reading, answer: OpenAnswer) -> list[AnswerEvent]:
    delta = answer.append(not_in_documents(reading.language))
    confidence = 1.0 - reading.judged.probability
    return [delta, answer.completion(AnswerStatus.NOT_IN_DOCUMENTS, confidence)]
