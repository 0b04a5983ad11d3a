"""Finds the passages that fit a query best."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import structlog

from server.application.caching import CacheOptions
from server.application.consistency import catch_up
from server.application.model_ports import Embedder, Reranker, Slot
from server.application.query import (
    MAX_LIMIT,
    MAX_QUERY_CHARACTERS,
    bounded,
    checked_filter,
    normalized_query,
)
from server.application.query_vectors import QueryVectors, Vector
from server.application.retrieval_profiles import ProfileOptions, RetrievalProfiles, checked_settings
from server.application.search_ports import DocumentNames, Highlighter, PassageIndex, PassageStore
from server.application.timing import StageClock, today, within
from server.application.understanding import understand
from server.application.understanding.narrowing import MOST_NAMESAKES, narrowed, with_documents, without_tags
from server.domain.answers import Degradation
from server.domain.deadline import Deadline
from server.domain.errors import (
    DependencyUnavailable,
    EmbeddingMismatch,
    ModelNotInstalled,
    Overloaded,
    StageDeadline,
)
from server.domain.passages import (
    ConvexFusion,
    Fusion,
    IndexQuery,
    IndexResult,
    Passage,
    RankedPassage,
    SearchFilter,
    SearchMode,
)
from server.domain.principals import Principal
from server.domain.retrieval import RetrievalProfile, RetrievalSettings
from server.domain.understanding import Understanding

_log = structlog.get_logger()


LASTING = frozenset({Degradation.NO_RERANKER})
"""What waiting does not mend."""


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Defaults of a search. Of the fusions and weights that the bench compares (part `fusion`), the convex one with
    this weight ranks best in the mean over ten retrieval sets."""

    default_limit: int = 10
    longest_query: int = MAX_QUERY_CHARACTERS
    """Characters of a query, or of a question, as it is sent; 500 to 10,000."""
    dense_weight: float = 0.5
    rerank_depth: int = 20
    """How many fused candidates the reranker reorders."""
    rerank_depth_reduced: int = 8
    """As many when less than `rerank_full_s` is left of the deadline."""
    rerank_full_s: float = 1.0
    rerank_weight: float | None = None
    """What a reranker's score weighs beside the fused score, as a share of the best fused score: both know something
    that the other does not. None: what the model says."""
    fetch_surplus: int = 8
    """Candidates beyond the limit, fetched where some before them were deleted a moment ago."""
    rerank_reserve_s: float = 0.5
    """The reranker is skipped when less than this is left of the deadline, and gets all but half of it."""
    highlight_reserve_s: float = 0.05
    """What highlighting leaves of the deadline; with less there are no snippets."""
    profiles: dict[str, ProfileOptions] = field(default_factory=dict)
    """Beside those that are built in (`retrieval_profiles`), or in their place."""
    vectors: CacheOptions = field(
        default_factory=lambda: CacheOptions(16_384, 64 * 2**20, keep_s=86_400.0, share_from_s=1.0)
    )
    """Of the embeddings of queries."""


@dataclass(frozen=True, slots=True)
class SearchCommand:
    """A search as the caller asked for it, not yet checked. What is None is the `profile`'s, or the default. With
    `diversity`, which the reranker would undo, it is not asked. With `no_cache` everything is worked out anew."""

    query: str
    limit: int = 0
    filter: SearchFilter = field(default_factory=SearchFilter)
    mode: SearchMode | None = None
    fusion: Fusion | None = None
    consistency_token: str = ""
    rerank: bool | None = None
    rerank_depth: int | None = None
    diversity: float | None = None
    profile: str = ""
    snippets: bool = True
    no_cache: bool = False
    apply_proposed_filters: bool = False
    """Narrows the search by what the query says of documents."""


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """`embedder` and `reranker` are the fingerprints of the models that were asked; empty for one that was not.
    `cached`: an earlier call's, or another one's at the same time."""

    passages: tuple[RankedPassage, ...]
    index: IndexResult
    degradations: tuple[Degradation, ...]
    embedder: str = ""
    reranker: str = ""
    cached: bool = False
    without_snippets: bool = False
    """There was no time or no room for them."""
    understanding: Understanding | None = None
    """What was read in the query."""
    narrowed: bool = False
    """Whether the filters that it proposes were applied."""

    @property
    def lasting(self) -> bool:
        """Whether nothing was left out that a little later would not have been."""
        return not self.without_snippets and LASTING.issuperset(self.degradations)


class PassageSearch(Protocol):
    """What answers are made from."""

    @property
    def longest_query(self) -> int:
        """Characters."""

    def profile(self, name: str) -> RetrievalProfile:
        """Empty: `default`. Raises InvalidField for a name that none has."""

    async def run(
        self, principal: Principal, command: SearchCommand, deadline: Deadline, clock: StageClock
    ) -> SearchOutcome:
        """As SearchPassages.run."""

    async def highlighted(
        self, query: str, passages: tuple[RankedPassage, ...], deadline: Deadline, clock: StageClock
    ) -> tuple[RankedPassage, ...]:
        """As SearchPassages.highlighted."""

    async def beside(
        self, principal: Principal, passages: Sequence[Passage], reach: int, position: int
    ) -> tuple[Passage, ...]:
        """As SearchPassages.beside."""


class SearchPassages:
    def __init__(
        self,
        embedder: Slot[Embedder],
        reranker: Slot[Reranker],
        index: PassageIndex,
        store: PassageStore,
        names: DocumentNames,
        highlighter: Highlighter,
        options: SearchOptions,
    ) -> None:
        self.vectors = QueryVectors(embedder, options.vectors)
        self._reranker = reranker
        self._index = index
        self._store = store
        self._names = names
        self._highlighter = highlighter
        self._options = options
        self.profiles = RetrievalProfiles(options.profiles)

    @property
    def longest_query(self) -> int:
        return self._options.longest_query

    def profile(self, name: str) -> RetrievalProfile:
        return self.profiles.get(name)

    async def run(
        self, principal: Principal, command: SearchCommand, deadline: Deadline, clock: StageClock
    ) -> SearchOutcome:
        """Checks, embeds, searches, fetches, reranks and highlights; each stage is timed on `clock`.

        Raises InvalidField, IndexBehind, StageDeadline, DependencyUnavailable, Overloaded, EmbeddingMismatch.
        """
        query = normalized_query("query", command.query, self._options.longest_query)
        limit = bounded("limit", command.limit, 1, MAX_LIMIT, self._options.default_limit)
        conditions = checked_filter("filter", command.filter)
        own = RetrievalSettings(command.mode, command.fusion, command.rerank, command.rerank_depth, command.diversity)
        wanted = checked_settings("", own).over(self.profile(command.profile).settings)
        mode = wanted.mode or SearchMode.HYBRID
        fusion = wanted.fusion or ConvexFusion(self._options.dense_weight)
        rerank_depth = wanted.rerank_depth or self._options.rerank_depth
        await catch_up(self._index, command.consistency_token, deadline, clock)
        understanding = asyncio.create_task(self._understood(principal, query))
        understanding.add_done_callback(_retrieved)
        try:
            if command.apply_proposed_filters:
                with clock.stage("understand"):
                    async with within(deadline, "understand"):
                        understood = await understanding
                query, conditions = without_tags(understood), narrowed(understood, conditions)
            vector, embedder = await self._vector(principal, query, mode, deadline, clock, fresh=command.no_cache)
            # Beside the embedding, unless it decides what is searched.
            with clock.stage("understand"):
                async with within(deadline, "understand"):
                    understood = await understanding
        finally:
            understanding.cancel()
        wants_reranking = wanted.rerank is not False and wanted.diversity is None
        reranker, degradations = self._available_reranker() if wants_reranking else (None, ())
        depth = max(limit, rerank_depth) if reranker else limit + self._options.fetch_surplus
        # Nothing is awaited between this and the index's choice of what it searches.
        if embedder and embedder != self._index.fingerprint:
            raise EmbeddingMismatch(embedder, self._index.fingerprint)
        with clock.stage("search"):
            found = await self._index.search(
                IndexQuery(principal, query, mode, fusion, conditions, depth, wanted.diversity), vector, deadline
            )
        with clock.stage("fetch"):
            async with within(deadline, "fetch"):
                candidates = await self._fetch(principal, found, depth if reranker else limit)
        reranked_by = ""
        if reranker is not None:
            candidates, degradations = await self._reranked(reranker, query, candidates, rerank_depth, deadline, clock)
            ran = any(candidate.rerank_score is not None for candidate in candidates)
            reranked_by = reranker.fingerprint if ran else ""
        chosen = passages = candidates[:limit]
        without_snippets = False
        if command.snippets and mode is not SearchMode.DENSE:
            passages = await self.highlighted(query, chosen, deadline, clock)
            without_snippets = chosen != () and passages is chosen
        return SearchOutcome(
            passages,
            found,
            degradations,
            embedder,
            reranked_by,
            without_snippets=without_snippets,
            understanding=understood,
            narrowed=command.apply_proposed_filters and understood.proposed != (),
        )

    async def _understood(self, principal: Principal, query: str) -> Understanding:
        understood = await asyncio.to_thread(understand, query, today())
        if not understood.names:
            return understood
        names = [mention.name for mention in understood.names]
        return with_documents(understood, await self._names.named(principal, names, MOST_NAMESAKES + 1))

    async def highlighted(
        self, query: str, passages: tuple[RankedPassage, ...], deadline: Deadline, clock: StageClock
    ) -> tuple[RankedPassage, ...]:
        """The passages with their snippets; themselves, if there is no time or no room for it. query: normalized."""
        if not passages:
            return passages
        try:
            with clock.stage("highlight"):
                texts = [ranked.passage.text for ranked in passages]
                snippets = await self._highlighter.snippets(
                    query, texts, deadline.less(self._options.highlight_reserve_s)
                )
        except (Overloaded, StageDeadline) as error:
            _log.warning("highlight_skipped", error=type(error).__name__)
            return passages
        return tuple(replace(ranked, snippet=snippet) for ranked, snippet in zip(passages, snippets, strict=True))

    async def beside(
        self, principal: Principal, passages: Sequence[Passage], reach: int, position: int
    ) -> tuple[Passage, ...]:
        """The chunks up to `reach` places before and behind the passages that the principal may read, without these,
        as they were at `position` of the change log; none for a reach of 0. Raises DependencyUnavailable."""
        if not passages or not reach:
            return ()
        own = [passage.chunk_id for passage in passages]
        beside = await self._store.beside(principal, own, reach)
        readable = await self._store.passages(principal, [each for each in beside if each not in own], position)
        return tuple(readable.values())

    async def _vector(
        self, principal: Principal, query: str, mode: SearchMode, deadline: Deadline, clock: StageClock, *, fresh: bool
    ) -> tuple[Vector | None, str]:
        """With the fingerprint of the model that made it."""
        if mode is SearchMode.LEXICAL:
            return None, ""
        with clock.stage("embed"):
            return await self.vectors.vector(principal.tenant, query, deadline, fresh=fresh)

    async def _fetch(self, principal: Principal, found: IndexResult, wanted: int) -> tuple[RankedPassage, ...]:
        """At least as many as are wanted, if there are. The store has the last word on what exists and what the
        principal may read."""
        chunk_ids = [hit.chunk_id for hit in found.hits]
        first, others = chunk_ids[:wanted], chunk_ids[wanted:]
        passages = await self._store.passages(principal, first, found.position)
        if others and len(passages) < len(first):
            passages = passages | await self._store.passages(principal, others, found.position)
        return tuple(
            RankedPassage(passages[hit.chunk_id], hit.score, hit.dense, hit.lexical)
            for hit in found.hits
            if hit.chunk_id in passages
        )

    def _available_reranker(self) -> tuple[Reranker | None, tuple[Degradation, ...]]:
        try:
            return self._reranker.model(), ()
        except ModelNotInstalled:
            return None, (Degradation.NO_RERANKER,)
        except DependencyUnavailable as error:
            _log.warning("rerank_skipped", error=type(error).__name__)
            return None, (Degradation.RERANK_SKIPPED,)

    async def _reranked(
        self,
        reranker: Reranker,
        query: str,
        candidates: tuple[RankedPassage, ...],
        depth: int,
        deadline: Deadline,
        clock: StageClock,
    ) -> tuple[tuple[RankedPassage, ...], tuple[Degradation, ...]]:
        if not candidates:
            return candidates, ()
        left = deadline.remaining()
        if left < self._options.rerank_reserve_s:
            return candidates, (Degradation.RERANK_SKIPPED,)
        reduced = left < self._options.rerank_full_s and len(candidates) > self._options.rerank_depth_reduced
        depth = min(depth, self._options.rerank_depth_reduced) if reduced else depth
        try:
            with clock.stage("rerank"):
                texts = [candidate.passage.text for candidate in candidates[:depth]]
                scores = await reranker.rerank(query, texts, deadline.less(self._options.rerank_reserve_s / 2))
        except (DependencyUnavailable, Overloaded, StageDeadline) as error:
            _log.warning("rerank_skipped", error=type(error).__name__)
            return candidates, (Degradation.RERANK_SKIPPED,)
        degradations = (Degradation.RERANK_REDUCED,) if reduced else ()
        weight = self._options.rerank_weight
        return _reordered(candidates, scores, reranker.score_weight if weight is None else weight), degradations


def _retrieved(task: asyncio.Task[Understanding]) -> None:
    """Whoever awaits it hears of its failure; it is no news when something else has failed before."""
    if not task.cancelled():
        task.exception()


def _reordered(
    candidates: Sequence[RankedPassage], scores: npt.NDArray[np.float32], weight: float
) -> tuple[RankedPassage, ...]:
    """The first candidates, which have scores, by fused and reranker's score; the others behind them, as they were."""
    best = candidates[0].score if candidates[0].score > 0 else 1.0
    shares = np.array([candidate.score / best for candidate in candidates])
    combined = shares[: len(scores)] + weight * scores
    first = tuple(
        replace(candidates[i], score=float(combined[i]), rerank_score=float(scores[i]))
        for i in np.argsort(-combined, kind="stable")
    )
    last = first[-1].score
    others = zip(candidates[len(scores) :], shares[len(scores) :].tolist(), strict=True)
    return first + tuple(replace(candidate, score=min(share, last)) for candidate, share in others)
