"""Finds the passages that fit a query best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import structlog

from server.application.consistency import position_of
from server.application.ports import Embedder, EmbeddingKind, Highlighter, PassageIndex, PassageStore, Reranker, Slot
from server.application.query import (
    MAX_LIMIT,
    bounded,
    checked_diversity,
    checked_filter,
    checked_fusion,
    normalized_query,
)
from server.application.timing import StageClock
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
    RankedPassage,
    SearchFilter,
    SearchMode,
)
from server.domain.principals import Principal

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Defaults of a search. Of the fusions and weights that the bench compares (part `fusion`), the convex one with
    this weight ranks best in the mean over ten retrieval sets."""

    default_limit: int = 10
    dense_weight: float = 0.5
    rerank_depth: int = 20
    """How many fused candidates the reranker reorders."""
    rerank_depth_reduced: int = 8
    """As many when less than `rerank_full_s` is left of the deadline."""
    rerank_full_s: float = 1.0
    rerank_weight: float = 4.0
    """What a reranker's score weighs beside the fused score, as a share of the best fused score: both know something
    that the other does not."""
    fetch_surplus: int = 8
    """Candidates fetched beyond the limit, since some may have been deleted a moment ago."""
    rerank_reserve_s: float = 0.5
    """The reranker is skipped when less than this is left of the deadline, and gets all but half of it."""
    highlight_reserve_s: float = 0.05
    """What highlighting leaves of the deadline; with less there are no snippets."""
    reply_reserve_s: float = 0.2
    """What waiting for the index leaves of the deadline, so that the caller hears why it waited in vain."""


@dataclass(frozen=True, slots=True)
class SearchCommand:
    """A search as the caller asked for it, not yet checked. `fusion` None takes the default. With `diversity`, which
    the reranker would undo, it is not asked."""

    query: str
    limit: int = 0
    filter: SearchFilter = field(default_factory=SearchFilter)
    mode: SearchMode = SearchMode.HYBRID
    fusion: Fusion | None = None
    consistency_token: str = ""
    rerank: bool = True
    diversity: float | None = None
    snippets: bool = True


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """`embedder` and `reranker` are the fingerprints of the models that were asked; empty for one that was not."""

    passages: tuple[RankedPassage, ...]
    index: IndexResult
    degradations: tuple[Degradation, ...]
    embedder: str = ""
    reranker: str = ""


class SearchPassages:
    def __init__(
        self,
        embedder: Slot[Embedder],
        reranker: Slot[Reranker],
        index: PassageIndex,
        store: PassageStore,
        highlighter: Highlighter,
        options: SearchOptions,
    ) -> None:
        self._embedder = embedder
        self._reranker = reranker
        self._index = index
        self._store = store
        self._highlighter = highlighter
        self._options = options

    async def run(
        self, principal: Principal, command: SearchCommand, deadline: Deadline, clock: StageClock
    ) -> SearchOutcome:
        """Checks, embeds, searches, fetches, reranks and highlights; each stage is timed on `clock`.

        Raises InvalidField, IndexBehind, StageDeadline, DependencyUnavailable, Overloaded, EmbeddingMismatch.
        """
        query = normalized_query("query", command.query)
        limit = bounded("limit", command.limit, 1, MAX_LIMIT, self._options.default_limit)
        conditions = checked_filter("filter", command.filter)
        fusion = checked_fusion(command.fusion or ConvexFusion(self._options.dense_weight))
        diversity = checked_diversity(command.diversity)
        await self._catch_up(command.consistency_token, deadline, clock)
        vector, embedder = await self._vector(query, command.mode, deadline, clock)
        wants_reranking = command.rerank and diversity is None
        reranker, degradations = self._available_reranker() if wants_reranking else (None, ())
        depth = max(limit, self._options.rerank_depth) if reranker else limit + self._options.fetch_surplus
        # Nothing is awaited between this and the index's choice of what it searches.
        if embedder and embedder != self._index.fingerprint:
            raise EmbeddingMismatch(embedder, self._index.fingerprint)
        with clock.stage("search"):
            found = await self._index.search(
                IndexQuery(principal, query, command.mode, fusion, conditions, depth, diversity), vector, deadline
            )
        with clock.stage("fetch"):
            candidates = await self._fetch(principal, found)
        reranked_by = ""
        if reranker is not None:
            candidates, degradations = await self._reranked(reranker, query, candidates, deadline, clock)
            ran = any(candidate.rerank_score is not None for candidate in candidates)
            reranked_by = reranker.fingerprint if ran else ""
        passages = candidates[:limit]
        if command.snippets and command.mode is not SearchMode.DENSE:
            passages = await self.highlighted(query, passages, deadline, clock)
        return SearchOutcome(passages, found, degradations, embedder, reranked_by)

    async def highlighted(
        self, query: str, passages: tuple[RankedPassage, ...], deadline: Deadline, clock: StageClock
    ) -> tuple[RankedPassage, ...]:
        """The passages with their snippets; without, if there is no time or no room for it. query: normalized."""
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

    async def _catch_up(self, token: str, deadline: Deadline, clock: StageClock) -> None:
        position = position_of(token)
        if position > self._index.position:
            with clock.stage("queue"):
                await self._index.wait_for(position, deadline.less(self._options.reply_reserve_s))

    async def _vector(
        self, query: str, mode: SearchMode, deadline: Deadline, clock: StageClock
    ) -> tuple[npt.NDArray[np.float32] | None, str]:
        """With the fingerprint of the model that made it."""
        if mode is SearchMode.LEXICAL:
            return None, ""
        embedder = self._embedder.model()
        with clock.stage("embed"):
            embeddings = await embedder.embed([query], EmbeddingKind.QUERY, deadline)
        vector: npt.NDArray[np.float32] = embeddings.vectors[0]
        if not np.isfinite(vector).all():
            raise DependencyUnavailable("the model embed", "its vectors are not finite")
        return vector, embedder.fingerprint

    async def _fetch(self, principal: Principal, found: IndexResult) -> tuple[RankedPassage, ...]:
        """The store has the last word on what exists and what the principal may read."""
        passages = await self._store.passages(principal, [hit.chunk_id for hit in found.hits], found.position)
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
        deadline: Deadline,
        clock: StageClock,
    ) -> tuple[tuple[RankedPassage, ...], tuple[Degradation, ...]]:
        if not candidates:
            return candidates, ()
        left = deadline.remaining()
        if left < self._options.rerank_reserve_s:
            return candidates, (Degradation.RERANK_SKIPPED,)
        reduced = left < self._options.rerank_full_s and len(candidates) > self._options.rerank_depth_reduced
        depth = self._options.rerank_depth_reduced if reduced else self._options.rerank_depth
        try:
            with clock.stage("rerank"):
                texts = [candidate.passage.text for candidate in candidates[:depth]]
                scores = await reranker.rerank(query, texts, deadline.less(self._options.rerank_reserve_s / 2))
        except (DependencyUnavailable, Overloaded, StageDeadline) as error:
            _log.warning("rerank_skipped", error=type(error).__name__)
            return candidates, (Degradation.RERANK_SKIPPED,)
        degradations = (Degradation.RERANK_REDUCED,) if reduced else ()
        return _reordered(candidates, scores, self._options.rerank_weight), degradations


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
