"""Ports in memory, for the logic of use cases alone. The real parts are tested in their own folders."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from server.application.answer_ports import ReadSpan
from server.application.generation_chain import ChainOptions, GenerationChain, Provider
from server.application.model_ports import (
    ChosenToken,
    EmbeddingKind,
    Embeddings,
    GeneratedText,
    GenerationRequest,
    Generator,
    ScoredToken,
    Slot,
)
from server.domain.deadline import Deadline
from server.domain.errors import IndexBehind, ModelNotInstalled, PinakesError
from server.domain.generation import BreakerState
from server.domain.passages import (
    BranchScore,
    IndexHit,
    IndexQuery,
    IndexResult,
    LogEntry,
    Passage,
    Snippet,
    TextSpan,
)
from server.domain.principals import Principal

PRINCIPAL = Principal("tenant", "user", frozenset({"everyone"}))


_M = TypeVar("_M")


@dataclass
class OneModel(Generic[_M]):
    """A slot whose model changes when a test says so; None: none is installed."""

    filled: _M | None = None

    def model(self) -> _M:
        if self.filled is None:
            raise ModelNotInstalled("slot")
        return self.filled


@dataclass
class ScriptedReader:
    """Finds `phrases` in the texts that have them, with their scores; nothing in others."""

    phrases: Mapping[str, float]
    fingerprint: str = "reader@1"
    failure: Exception | None = None
    asked: list[tuple[str, list[str]]] = field(default_factory=list)

    async def read(self, question: str, texts: Sequence[str], deadline: Deadline) -> list[tuple[ReadSpan, ...]]:
        self.asked.append((question, list(texts)))
        if self.failure is not None:
            raise self.failure
        return [tuple(self._spans(text)) for text in texts]

    def _spans(self, text: str) -> Iterator[ReadSpan]:
        for phrase, score in self.phrases.items():
            start = text.find(phrase)
            if start >= 0:
                yield ReadSpan(start, start + len(phrase), score)


@dataclass
class ScriptedEmbedder:
    """Embeds every text as the first unit vector."""

    fingerprint: str = "embedder@1"
    dimension: int = 4
    asked: list[tuple[list[str], EmbeddingKind]] = field(default_factory=list)

    async def embed(self, texts: Sequence[str], kind: EmbeddingKind, deadline: Deadline) -> Embeddings:
        self.asked.append((list(texts), kind))
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        vectors[:, 0] = 1.0
        return Embeddings(vectors, np.ones(len(texts), np.int32), np.zeros(len(texts), np.bool_))


@dataclass
class ScriptedReranker:
    """Prefers texts that contain `favourite`."""

    favourite: str
    failure: PinakesError | None = None
    fingerprint: str = "reranker@1"
    score_weight: float = 4.0

    async def rerank(self, query: str, texts: Sequence[str], deadline: Deadline) -> npt.NDArray[np.float32]:
        if self.failure is not None:
            raise self.failure
        return np.array([float(self.favourite in text) for text in texts], np.float32)


@dataclass
class ScriptedIndex:
    """Returns the same hits to every query."""

    hits: tuple[IndexHit, ...] = ()
    position: int = 0
    fingerprint: str = "embedder@1"
    serving: str = "generation-1"
    asked: list[IndexQuery] = field(default_factory=list)

    async def search(
        self, query: IndexQuery, vector: npt.NDArray[np.float32] | None, deadline: Deadline
    ) -> IndexResult:
        self.asked.append(query)
        return IndexResult(self.hits[: query.limit], self.position, (), len(self.hits), self.serving)

    async def apply(self, entries: Sequence[LogEntry]) -> None:
        self.position = max([self.position, *(entry.position for entry in entries)])

    async def commit(self) -> None: ...

    async def compact(self) -> bool:
        return False

    async def wait_for(self, position: int, deadline: Deadline) -> None:
        if self.position < position:
            raise IndexBehind(position, self.position)


@dataclass
class ScriptedHighlighter:
    """Marks the query where a text holds it."""

    failure: PinakesError | None = None
    asked: list[tuple[str, list[str]]] = field(default_factory=list)

    async def snippets(self, query: str, texts: Sequence[str], deadline: Deadline) -> list[Snippet | None]:
        self.asked.append((query, list(texts)))
        if self.failure is not None:
            raise self.failure
        found = [TextSpan(text.find(query), text.find(query) + len(query)) for text in texts]
        return [None if span.start < 0 else Snippet(span, (span,)) for span in found]


@dataclass
class ScriptedStore:
    """Shows what it knows to everybody, but for what a test keeps from a user."""

    known: dict[str, Passage]
    withheld: set[tuple[str, str]] = field(default_factory=set)
    """Users and chunk ids."""

    async def passages(self, principal: Principal, chunk_ids: Sequence[str], position: int) -> dict[str, Passage]:
        return {chunk_id: self.known[chunk_id] for chunk_id in await self.readable(principal, chunk_ids, position)}

    async def readable(self, principal: Principal, chunk_ids: Sequence[str], position: int) -> set[str]:
        hidden = {chunk_id for user, chunk_id in self.withheld if user == principal.user}
        return {chunk_id for chunk_id in chunk_ids if chunk_id in self.known} - hidden

    async def beside(self, principal: Principal, chunk_ids: Sequence[str], reach: int) -> list[str]:
        own = [self.known[chunk_id] for chunk_id in chunk_ids]
        return [
            each.chunk_id
            for each in self.known.values()
            if any(
                (each.document_id, each.revision) == (other.document_id, other.revision)
                and abs(each.ordinal - other.ordinal) <= reach
                for other in own
            )
        ]


@dataclass
class ScriptedNames:
    """Documents by their exact names, for everybody."""

    known: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)

    async def named(self, principal: Principal, names: Sequence[str], most: int) -> dict[str, tuple[str, ...]]:
        self.asked.append(list(names))
        return {name: self.known[name][:most] for name in names if name in self.known}


@dataclass
class ScriptedGenerator:
    """Streams `text` word by word, and counts what it sent and whether it was closed early. With a `failure` it fails
    before the last word."""

    text: str
    finish_reason: str = "stop"
    failure: Exception | None = None
    fingerprint: str = "generator@1"
    requests: list[GenerationRequest] = field(default_factory=list)
    counts: bool = False
    """Whether it counts tokens: a word is one."""
    counted: list[list[str]] = field(default_factory=list)
    sent: int = 0
    closed_early: bool = False
    log_probability: float | None = None
    """What it tells of each word, if it is asked."""

    async def token_counts(self, texts: Sequence[str], deadline: Deadline) -> tuple[int, ...] | None:
        self.counted.append(list(texts))
        return tuple(len(text.split()) for text in texts) if self.counts else None

    async def stream(self, request: GenerationRequest, deadline: Deadline) -> AsyncGenerator[GeneratedText, None]:
        self.requests.append(request)
        try:
            words = self.text.split(" ")
            for number, word in enumerate(words, 1):
                if self.failure is not None and number == len(words):
                    raise self.failure
                self.sent += 1
                tokens: tuple[ChosenToken, ...] = ()
                if request.log_probabilities and self.log_probability is not None:
                    tokens = (ChosenToken(ScoredToken(word.encode(), self.log_probability)),)
                yield GeneratedText(word + " ", tokens=tokens)
            yield GeneratedText("", self.finish_reason, 30, self.sent)
        except GeneratorExit:
            self.closed_early = True
            raise


class Unbroken:
    """A breaker that lets every call through."""

    state = BreakerState.CLOSED

    def admit(self) -> Unbroken:
        return self

    def succeeded(self) -> None: ...

    def failed(self) -> None: ...

    def undecided(self) -> None: ...


def chain_of(*generators: Slot[Generator] | ScriptedGenerator) -> GenerationChain:
    """They are called by their place: 1, 2, ..."""
    slots = (OneModel(each) if isinstance(each, ScriptedGenerator) else each for each in generators)
    providers = [Provider(str(place), slot, Unbroken()) for place, slot in enumerate(slots, 1)]
    return GenerationChain(providers, ChainOptions())


def passage(chunk_id: str, text: str) -> Passage:
    return Passage(chunk_id, "d-" + chunk_id, chunk_id + ".txt", 1, text, (), "en", (), ())


def hit(chunk_id: str, rank: int, cosine: float = 0.9) -> IndexHit:
    return IndexHit(chunk_id, 1.0 / rank, BranchScore(rank, cosine), BranchScore(rank, 5.0))
