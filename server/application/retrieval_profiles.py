"""Retrieval settings under names, and what they may be."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from server.application.query import MAX_LIMIT, bounded, checked_diversity, checked_fusion
from server.domain.errors import InvalidField, InvalidPageToken
from server.domain.passages import ConvexFusion, DistributionFusion, Fusion, ReciprocalRankFusion, SearchMode
from server.domain.retrieval import RetrievalProfile, RetrievalSettings

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_LARGEST_PAGE = 100
_MOST_PASSAGES = 10
_MOST_CONTEXT_TOKENS = 8_192
_MOST_NEIGHBOURS = 4
_TOKEN = "after:"


@dataclass(frozen=True, slots=True)
class ProfileOptions:
    """A profile as settings write it; what is absent is the server's default. `dense_weight` and `rank_constant` belong
    to `fusion`."""

    description: str = ""
    mode: Literal["hybrid", "dense", "lexical"] | None = None
    fusion: Literal["convex", "reciprocal_rank", "distribution"] | None = None
    dense_weight: float = 0.5
    rank_constant: int = 60
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

    def settings(self) -> RetrievalSettings:
        return RetrievalSettings(
            mode=None if self.mode is None else SearchMode(self.mode),
            fusion=self._fusion(),
            rerank=self.rerank,
            rerank_depth=self.rerank_depth,
            diversity=self.diversity,
            candidates=self.candidates,
            least_share=self.least_share,
            max_passages=self.max_passages,
            context_tokens=self.context_tokens,
            neighbours=self.neighbours,
            least_rerank_score=self.least_rerank_score,
            rewrite=self.rewrite,
        )

    def _fusion(self) -> Fusion | None:
        match self.fusion:
            case "convex":
                return ConvexFusion(self.dense_weight)
            case "reciprocal_rank":
                return ReciprocalRankFusion(self.rank_constant, self.dense_weight)
            case "distribution":
                return DistributionFusion(self.dense_weight)
            case _:
                return None


_OPTIONS = {
    "convex.dense_weight": "dense_weight",
    "distribution.dense_weight": "dense_weight",
    "reciprocal_rank.dense_weight": "dense_weight",
    "reciprocal_rank.k": "rank_constant",
    "diversity.relevance_weight": "diversity",
}
"""What a profile calls fields of a request that are called otherwise."""

BUILT_IN: dict[str, ProfileOptions] = {
    "default": ProfileOptions("What the server does without a profile."),
    "quick": ProfileOptions("The hybrid ranking alone: no reranker is waited for.", rerank=False, candidates=20),
    "thorough": ProfileOptions(
        "More passages are found, reranked if there is a reranker, and read with what stands before and behind them:"
        " slower, for questions whose answer lies in several places.",
        candidates=60,
        rerank_depth=60,
        max_passages=6,
        least_share=0.4,
        context_tokens=1_200,
        neighbours=1,
    ),
    "varied": ProfileOptions(
        "Passages that say different things, for overviews and comparisons.",
        diversity=0.6,
        candidates=40,
        max_passages=6,
        least_share=0.0,
        context_tokens=1_200,
    ),
}


@dataclass(frozen=True, slots=True)
class ProfilePage:
    profiles: tuple[RetrievalProfile, ...]
    next_page_token: str


class RetrievalProfiles:
    def __init__(self, own: Mapping[str, ProfileOptions]) -> None:
        """`own` stand beside the built-in ones, or in their place. Raises InvalidField for one that cannot be."""
        self._profiles: dict[str, RetrievalProfile] = {}
        for name, options in sorted((BUILT_IN | dict(own)).items()):
            if _NAME.fullmatch(name) is None:
                raise InvalidField(f"profiles.{name}", "must have a name of lower-case letters, digits, - and _")
            try:
                settings = checked_settings("", options.settings())
            except InvalidField as error:
                raise InvalidField(f"profiles.{name}.{_OPTIONS.get(error.field, error.field)}", error.rule) from None
            self._profiles[name] = RetrievalProfile(name, options.description, settings)

    def get(self, name: str) -> RetrievalProfile:
        """Empty stands for `default`. Raises InvalidField for a name that none has."""
        found = self._profiles.get(name or "default")
        if found is None:
            raise InvalidField("profile", f"must be one of {', '.join(self._profiles)}")
        return found

    def page(self, size: int, token: str) -> ProfilePage:
        """By name. Raises InvalidField, InvalidPageToken."""
        most = bounded("page_size", size, 1, _LARGEST_PAGE, _LARGEST_PAGE)
        if token and not token.startswith(_TOKEN):
            raise InvalidPageToken
        after = token.removeprefix(_TOKEN)
        left = [profile for name, profile in self._profiles.items() if name > after]
        return ProfilePage(tuple(left[:most]), _TOKEN + left[most - 1].name if len(left) > most else "")


def checked_settings(field: str, settings: RetrievalSettings) -> RetrievalSettings:
    """Raises InvalidField for a value out of its range. field: the message that they are of; empty: the request."""
    within = f"{field}." if field else ""
    for name, value, least, most in (
        ("rerank_depth", settings.rerank_depth, 1, MAX_LIMIT),
        ("candidates", settings.candidates, 1, MAX_LIMIT),
        ("max_passages", settings.max_passages, 1, _MOST_PASSAGES),
        ("context_tokens", settings.context_tokens, 1, _MOST_CONTEXT_TOKENS),
        ("neighbours", settings.neighbours, 0, _MOST_NEIGHBOURS),
    ):
        if value is not None and not least <= value <= most:
            raise InvalidField(f"{within}{name}", f"must lie between {least} and {most:,}, and is {value:,}")
    if settings.least_share is not None and not 0.0 <= settings.least_share <= 1.0:
        raise InvalidField(f"{within}least_share", f"must lie between 0 and 1, and is {settings.least_share:g}")
    if settings.least_rerank_score is not None and not math.isfinite(settings.least_rerank_score):
        raise InvalidField(f"{within}least_rerank_score", "must be a finite number")
    try:
        if settings.fusion is not None:
            checked_fusion(settings.fusion)
        checked_diversity(settings.diversity)
    except InvalidField as error:
        raise InvalidField(f"{within}{error.field}", error.rule) from None
    return settings
