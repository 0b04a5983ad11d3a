"""How passages are retrieved, and what of them an answer is made from."""

from __future__ import annotations

from dataclasses import dataclass, fields

from server.domain.passages import Fusion, SearchMode


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """None leaves the choice to whatever these stand above: a profile, then the server's defaults.

    The reranker reads the first `rerank_depth` passages that are found; with `diversity`, which it would undo, it is
    not asked. The rest matters to answers alone: of `candidates` passages found, at most `max_passages` with at most
    `context_tokens` tokens are read, none with less than `least_share` of the best one's score, or that the reranker
    gave less than `least_rerank_score`. Up to `neighbours` chunks before and behind each are read with it, as far as
    the tokens go. With `rewrite` a generator completes follow-up questions, without it rules do.
    """

    mode: SearchMode | None = None
    fusion: Fusion | None = None
    rerank: bool | None = None
    rerank_depth: int | None = None
    diversity: float | None = None
    candidates: int | None = None
    least_share: float | None = None
    max_passages: int | None = None
    context_tokens: int | None = None
    neighbours: int | None = None
    least_rerank_score: float | None = None
    rewrite: bool | None = None

    def over(self, other: RetrievalSettings) -> RetrievalSettings:
        """These, and `other`'s where these are None."""
        mine = {each.name: getattr(self, each.name) for each in fields(self)}
        return RetrievalSettings(
            **{name: getattr(other, name) if value is None else value for name, value in mine.items()}
        )


@dataclass(frozen=True, slots=True)
class RetrievalProfile:
    """Settings under a name."""

    name: str
    description: str
    settings: RetrievalSettings
