"""What searches return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pinakes.results.passages import Passage, TextSpan
from pinakes.results.timings import StageTiming
from pinakes.results.wire_enum import WireEnum
from pinakes.where import Condition


class QueryIntent(WireEnum):
    """What a query wants, by its wording."""

    UNSPECIFIED = "unspecified"
    FACTUAL = "factual"
    KEYWORD = "keyword"
    SUMMARY = "summary"
    COMPARISON = "comparison"
    CHAT = "chat"
    ACTION = "action"


class SearchMode(WireEnum):
    """Which branches of the index are asked."""

    UNSPECIFIED = "unspecified"
    HYBRID = "hybrid"
    DENSE = "dense"
    LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class BranchScore:
    """A passage's place in one branch of a search; `rank` counts from 1."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Snippet:
    """The part `range` of a passage's text that fits the query's words best. `highlights`: where they stand in it, in
    order, without overlaps. All offsets count from the start of the passage's text."""

    range: TextSpan
    highlights: tuple[TextSpan, ...]

    def pieces(self, text: str) -> Iterator[tuple[str, bool]]:
        """The snippet, cut out of the passage's `text`, in pieces: each with whether it is a word of the query."""
        at = self.range.start
        for mark in self.highlights:
            if at < mark.start:
                yield text[at : mark.start], False
            yield text[mark.start : mark.end], True
            at = mark.end
        if at < self.range.end:
            yield text[at : self.range.end], False


@dataclass(frozen=True, slots=True)
class RankedPassage:
    """A passage with the reasons for its place. A branch is None when it did not return the passage; the snippet when
    no word of the query occurs, or words were not asked for."""

    passage: Passage
    score: float
    dense: BranchScore | None
    lexical: BranchScore | None
    rerank_score: float | None
    snippet: Snippet | None


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """How one part of the index was searched."""

    segment: str
    plan: str
    allowed: int
    distances: int
    visited: int


@dataclass(frozen=True, slots=True)
class SearchDebug:
    """How the index searched."""

    segments: tuple[SegmentPlan, ...]
    lexical_candidates: int
    generation: str


@dataclass(frozen=True, slots=True)
class ProposedFilter:
    """A filter that the words at `span` of the query say."""

    span: TextSpan
    condition: Condition


@dataclass(frozen=True, slots=True)
class QueryUnderstanding:
    """What the server read in a query: every span is one of `query`. `applied` says
    whether the proposed filters narrowed the search."""

    query: str
    language: str
    intent: QueryIntent
    proposed_filters: tuple[ProposedFilter, ...]
    applied: bool


@dataclass(frozen=True, slots=True)
class SearchResults:
    """The passages found, best first. `debug` is there when it was asked for. `cached`: nothing was searched for this
    call, since the same was asked before and nothing has changed."""

    passages: tuple[RankedPassage, ...]
    timings: tuple[StageTiming, ...]
    index_position: str
    debug: SearchDebug | None
    cached: bool = False
    understanding: QueryUnderstanding | None = None
