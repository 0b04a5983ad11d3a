"""How passages are retrieved: settings, and profiles that have them under names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pinakes.results import SearchMode

if TYPE_CHECKING:
    from pinakes.options import ConvexFusion, DistributionFusion, ReciprocalRankFusion


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """What is None (or UNSPECIFIED) is the profile's, or the server's default. All but `mode`, `fusion`, `rerank`,
    `rerank_depth` and `diversity` matter to answers alone."""

    mode: SearchMode = SearchMode.UNSPECIFIED
    fusion: ConvexFusion | ReciprocalRankFusion | DistributionFusion | None = None
    rerank: bool | None = None
    rerank_depth: int | None = None
    diversity: float | None = None
    """The weight of relevance against difference, 0 to 1."""
    candidates: int | None = None
    """How many passages are found, 1 to 100."""
    least_share: float | None = None
    """Without a reranker: passages whose score is below this share of the best one's are not read."""
    max_passages: int | None = None
    """At most this many passages are read, 1 to 10."""
    context_tokens: int | None = None
    """At most this many tokens of passages are read."""
    neighbours: int | None = None
    """Up to this many chunks before and behind each passage are read with it, 0 to 4."""
    least_rerank_score: float | None = None
    """Passages that the reranker gave a lower score are not read."""
    rewrite: bool | None = None
    """Whether a generator rewrites follow-up questions of a conversation; rules do otherwise."""


@dataclass(frozen=True, slots=True)
class RetrievalProfile:
    """Settings under the name that requests give."""

    name: str
    description: str
    settings: RetrievalSettings


@dataclass(frozen=True, slots=True)
class ProfilePage:
    """A page of profiles."""

    profiles: tuple[RetrievalProfile, ...]
    next_page_token: str
