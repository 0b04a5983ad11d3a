"""What is asked of the index and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from index.filters import Filter


@dataclass(frozen=True, slots=True)
class ConvexFusion:
    """Weighted sum of normalized scores; the lexical branch weighs 1 - dense_weight."""

    dense_weight: float = 0.5


@dataclass(frozen=True, slots=True)
class ReciprocalRankFusion:
    """Sum of weight / (k + rank)."""

    k: int = 60
    dense_weight: float = 0.5


@dataclass(frozen=True, slots=True)
class DistributionFusion:
    """Weighted sum of scores normalized by each branch's mean and standard deviation; the lexical branch weighs
    1 - dense_weight."""

    dense_weight: float = 0.5


Fusion = ConvexFusion | ReciprocalRankFusion | DistributionFusion


@dataclass(frozen=True, slots=True, eq=False)
class SearchRequest:
    """Without `vector` only words are searched, without `text` only vectors; with both, the branches are fused.

    vector: float32[dimension], of length 1. `candidates` (per branch, before fusion) is the index's to choose if None.
    `diversity`, from 0 to 1, chooses among the candidates by maximal marginal relevance: 1 is relevance alone, 0
    difference alone. The hits are then in the order in which they were chosen.
    """

    filter: Filter
    limit: int
    vector: npt.NDArray[np.float32] | None = None
    text: str | None = None
    fusion: Fusion = ConvexFusion()
    candidates: int | None = None
    diversity: float | None = None


@dataclass(frozen=True, slots=True)
class BranchPlace:
    """A chunk's place in one branch: rank from 1; score is the inner product or BM25."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """`score` orders the hits (without diversity): the fused one, or the branch's own if only one branch was asked."""

    chunk_id: str
    score: float
    dense: BranchPlace | None
    lexical: BranchPlace | None


@dataclass(frozen=True, slots=True)
class PartReport:
    """How a part of the index was searched: its plan, rows that the filter allowed, distances computed, and (`visited`)
    rows of the graph whose links were read, or cells that were opened."""

    name: str
    plan: str
    allowed: int
    distances: int
    visited: int = 0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first, of the index as it was at `position` of the log. Fewer than asked for is no error."""

    hits: tuple[Hit, ...]
    position: int
    parts: tuple[PartReport, ...]
    lexical_candidates: int
