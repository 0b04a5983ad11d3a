"""What callers ask, checked and normalized."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from server.domain.conditions import (
    AllOf,
    AnyOf,
    Condition,
    Created,
    InLanguages,
    Not,
    OfDocuments,
    OnPages,
    OwnedBy,
    Tagged,
)
from server.domain.errors import InvalidField
from server.domain.passages import ConvexFusion, DistributionFusion, Fusion, ReciprocalRankFusion, SearchFilter

MAX_QUERY_CHARACTERS = 500
"""Unless the settings say otherwise."""
MAX_LIMIT = 100
MAX_FILTER_DOCUMENTS = 1_000
MAX_FILTER_LABELS = 32
MAX_CONDITIONS = 64
MAX_CONDITION_DEPTH = 8
_EARLIEST_UNIX_S = -62_135_596_800
_LATEST_UNIX_S = 253_402_300_800
"""The years 1 to 9999, which is all that a timestamp may say; its last second may be rounded up."""


def normalized_query(field: str, text: str, most: int = MAX_QUERY_CHARACTERS) -> str:
    """NFKC, runs of white space and control characters as one space, trimmed. Raises InvalidField when nothing is left
    or more than `most` characters came in."""
    if len(text) > most:
        raise InvalidField(field, f"must have at most {most:,} characters, and has {len(text):,}")
    folded = unicodedata.normalize("NFKC", text)
    printable = "".join(" " if unicodedata.category(character).startswith("C") else character for character in folded)
    query = " ".join(printable.split())
    if not query:
        raise InvalidField(field, "must not be empty")
    return query


def bounded(field: str, value: int, low: int, high: int, default: int) -> int:
    """`value`, or `default` for 0. Raises InvalidField outside [low, high]."""
    if value == 0:
        return default
    if not low <= value <= high:
        raise InvalidField(field, f"must lie between {low:,} and {high:,}, and is {value:,}")
    return value


def checked_filter(field: str, conditions: SearchFilter) -> SearchFilter:
    """Raises InvalidField for a list that is too long or holds an empty string, for a range that is inverted, and for
    more than 64 conditions or 8 levels of them."""
    _check_list(f"{field}.document_ids", conditions.document_ids, MAX_FILTER_DOCUMENTS)
    _check_list(f"{field}.tags", conditions.tags, MAX_FILTER_LABELS)
    _check_list(f"{field}.languages", conditions.languages, MAX_FILTER_LABELS)
    if conditions.condition is not None:
        _check_condition(f"{field}.condition", conditions.condition, ConditionBudget(), 1)
    return conditions


class ConditionBudget:
    """Counts the conditions of one tree. Whoever makes a tree of what a caller sent counts, too: no more is made than
    may be asked."""

    def __init__(self) -> None:
        self._left = MAX_CONDITIONS

    def take(self, field: str, depth: int) -> None:
        """For the condition `field`, `depth` levels deep (from 1). Raises InvalidField when it is one too many."""
        if depth > MAX_CONDITION_DEPTH:
            raise InvalidField(field, f"must not lie deeper than {MAX_CONDITION_DEPTH} levels")
        if not self._left:
            raise InvalidField(field, f"must be one of at most {MAX_CONDITIONS} conditions in all")
        self._left -= 1


def _check_condition(field: str, condition: Condition, budget: ConditionBudget, depth: int) -> None:
    budget.take(field, depth)
    match condition:
        case OfDocuments(values):
            _check_list(f"{field}.documents.values", values, MAX_FILTER_DOCUMENTS)
        case Tagged(values):
            _check_list(f"{field}.tags.values", values, MAX_FILTER_LABELS)
        case InLanguages(values):
            _check_list(f"{field}.languages.values", values, MAX_FILTER_LABELS)
        case OwnedBy(values):
            _check_list(f"{field}.owners.values", values, MAX_FILTER_LABELS)
        case Created():
            _check_times(f"{field}.created", condition)
        case OnPages():
            _check_pages(f"{field}.pages", condition)
        case AllOf(conditions):
            for number, each in enumerate(conditions):
                _check_condition(f"{field}.all_of.conditions[{number}]", each, budget, depth + 1)
        case AnyOf(conditions):
            for number, each in enumerate(conditions):
                _check_condition(f"{field}.any_of.conditions[{number}]", each, budget, depth + 1)
        case Not(inner):
            _check_condition(f"{field}.not", inner, budget, depth + 1)


def _check_times(field: str, range_: Created) -> None:
    not_before, before = range_.not_before_unix_s, range_.before_unix_s
    for name, bound in (("not_before", not_before), ("before", before)):
        if bound is not None and not _EARLIEST_UNIX_S <= bound <= _LATEST_UNIX_S:
            raise InvalidField(f"{field}.{name}", "must lie in the years 1 to 9999")
    if not_before is not None and before is not None and before < not_before:
        raise InvalidField(f"{field}.before", "must not be earlier than not_before")


def _check_pages(field: str, range_: OnPages) -> None:
    for name, bound in (("first", range_.first), ("last", range_.last)):
        if bound < 0:
            raise InvalidField(f"{field}.{name}", "must not be negative")
    if range_.last and range_.last < range_.first:
        raise InvalidField(f"{field}.last", "must not lie before first")


def checked_fusion(fusion: Fusion) -> Fusion:
    """Raises InvalidField for a weight outside [0, 1] or a k outside [1, 1000]."""
    match fusion:
        case ConvexFusion(dense_weight=weight):
            _check_weight("convex.dense_weight", weight)
        case DistributionFusion(dense_weight=weight):
            _check_weight("distribution.dense_weight", weight)
        case ReciprocalRankFusion(k=k, dense_weight=weight):
            _check_weight("reciprocal_rank.dense_weight", weight)
            bounded("reciprocal_rank.k", k, 1, 1_000, 60)
    return fusion


def checked_diversity(relevance_weight: float | None) -> float | None:
    """Raises InvalidField for a weight outside [0, 1]."""
    if relevance_weight is not None:
        _check_weight("diversity.relevance_weight", relevance_weight)
    return relevance_weight


def _check_weight(field: str, weight: float) -> None:
    if not 0.0 <= weight <= 1.0:
        raise InvalidField(field, f"must lie between 0 and 1, and is {weight:g}")


def _check_list(field: str, values: Sequence[str], most: int) -> None:
    if len(values) > most:
        raise InvalidField(field, f"must hold at most {most:,} values, and holds {len(values):,}")
    if not all(values):
        raise InvalidField(field, "must not hold an empty string")
