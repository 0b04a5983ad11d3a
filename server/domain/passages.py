"""Passages, and how they are searched."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from server.domain.conditions import Condition
from server.domain.documents import LineSpan, PageSize
from server.domain.principals import Principal
from server.domain.privacy import PiiSpan


@dataclass(frozen=True, slots=True)
class TextSpan:
    """Code points `start` to `end` (exclusive) of a text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk as a search result. `pages` holds the size of every page that `line_spans` names. `ordinal` is its place
    among the chunks of the revision, from 0; -1: not known. `joined` are chunks beside it whose text is part of this
    one's. `masked`: where in the text words stand in the place of personal data, in order."""

    chunk_id: str
    document_id: str
    document_name: str
    revision: int
    text: str
    heading_path: tuple[str, ...]
    language: str
    line_spans: tuple[LineSpan, ...]
    pages: tuple[PageSize, ...]
    ordinal: int = -1
    joined: tuple[str, ...] = ()
    masked: tuple[PiiSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class BranchScore:
    """A passage's place in one branch; `rank` counts from 1."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Snippet:
    """The part `span` of a passage's text that fits the query's words best. `highlights`: where they stand in it, in
    order, without overlaps. Offsets count from the start of the passage's text."""

    span: TextSpan
    highlights: tuple[TextSpan, ...]


@dataclass(frozen=True, slots=True)
class RankedPassage:
    """`snippet` is None when the passage holds no word of the query, or words were not asked for."""

    passage: Passage
    score: float
    dense: BranchScore | None
    lexical: BranchScore | None
    rerank_score: float | None = None
    snippet: Snippet | None = None


class SearchMode(enum.Enum):
    HYBRID = "hybrid"
    DENSE = "dense"
    LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class ConvexFusion:
    """Weighted sum of normalized scores; the lexical branch weighs `1 - dense_weight`."""

    dense_weight: float = 0.5


@dataclass(frozen=True, slots=True)
class ReciprocalRankFusion:
    """Sum of weight / (k + rank)."""

    k: int = 60
    dense_weight: float = 0.5


@dataclass(frozen=True, slots=True)
class DistributionFusion:
    """Weighted sum of scores, normalized by the mean and the standard deviation of their branch; the lexical branch
    weighs `1 - dense_weight`."""

    dense_weight: float


Fusion = ConvexFusion | ReciprocalRankFusion | DistributionFusion


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """The caller's conditions, all of which must hold; empty means no condition."""

    document_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """What the index is asked. `principal` restricts both branches before anything is ranked.

    `text` is needed for HYBRID and LEXICAL, `vector` travels beside (see PassageIndex.search). `diversity` is the
    weight of relevance against difference, 0 to 1; None asks for relevance alone.
    """

    principal: Principal
    text: str
    mode: SearchMode
    fusion: Fusion
    filter: SearchFilter
    limit: int
    diversity: float | None = None


@dataclass(frozen=True, slots=True)
class IndexHit:
    chunk_id: str
    score: float
    dense: BranchScore | None
    lexical: BranchScore | None


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """How a part of the index was searched: its plan, rows that the filter allowed, distances computed, nodes of the
    graph visited."""

    segment: str
    plan: str
    allowed: int
    distances: int
    visited: int


@dataclass(frozen=True, slots=True)
class IndexResult:
    """Hits, best first, from one snapshot of the index's `generation` at `position` of the change log."""

    hits: tuple[IndexHit, ...]
    position: int
    plans: tuple[SegmentPlan, ...]
    lexical_candidates: int
    generation: str


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """A chunk with all that the index needs of it."""

    chunk_id: str
    document_id: str
    tenant: str
    owner: str
    groups: tuple[str, ...]
    users: tuple[str, ...]
    tenant_wide: bool
    tags: tuple[str, ...]
    language: str
    text: str
    heading_path: tuple[str, ...]
    first_page: int
    last_page: int
    created_unix_s: int
    embedding: bytes
    """float32, little-endian, of the index's dimension, of length 1."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One change. `chunk` is None for a removal."""

    position: int
    chunk_id: str
    chunk: IndexedChunk | None
