"""Chooses the passages that the generator reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.application.chunking import estimate_tokens
from server.application.headings import under_headings
from server.domain.passages import RankedPassage


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """Reading is expensive (about 200 tokens/s on two cores), so few and short passages."""

    max_passages: int = 3
    max_tokens: int = 560
    relative_score: float = 0.55
    """A passage is left out when its score is below this share of the best one's."""


def chosen_passages(
    ranked: Sequence[RankedPassage], max_passages: int, options: ContextOptions
) -> tuple[RankedPassage, ...]:
    """Best first, at least one if there are any, within the token budget."""
    chosen: list[RankedPassage] = []
    tokens = 0
    for candidate in ranked:
        tokens += estimate_tokens(under_headings(candidate.passage.heading_path, candidate.passage.text))
        enough = len(chosen) >= max_passages or tokens > options.max_tokens
        # Fused scores are shares of the best; a reranker's have a scale of their own.
        weak = candidate.rerank_score is None and candidate.score < options.relative_score * ranked[0].score
        if chosen and (enough or weak):
            break
        chosen.append(candidate)
    return tuple(chosen)
