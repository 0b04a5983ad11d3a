"""What callers ask, checked and normalized."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from server.domain.errors import InvalidField
from server.domain.passages import ConvexFusion, Fusion, ReciprocalRankFusion, SearchFilter

MAX_QUERY_CHARACTERS = 500
MAX_LIMIT = 100
MAX_FILTER_DOCUMENTS = 1_000
MAX_FILTER_LABELS = 32


def normalized_query(field: str, text: str) -> str:
    """NFKC, runs of white space and control characters as one space, trimmed. Raises InvalidField when nothing is left
    or more than 500 characters came in."""
    if len(text) > MAX_QUERY_CHARACTERS:
        raise InvalidField(field, f"must have at most {MAX_QUERY_CHARACTERS:,} characters, and has {len(text):,}")
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
    """Raises InvalidField for a list that is too long or holds an empty string."""
    _check_list(f"{field}.document_ids", conditions.document_ids, MAX_FILTER_DOCUMENTS)
    _check_list(f"{field}.tags", conditions.tags, MAX_FILTER_LABELS)
    _check_list(f"{field}.languages", conditions.languages, MAX_FILTER_LABELS)
    return conditions


def checked_fusion(fusion: Fusion) -> Fusion:
    """Raises InvalidField for a weight outside [0, 1] or a k outside [1, 1000]."""
    match fusion:
        case ConvexFusion(dense_weight=weight):
            _check_weight("convex.dense_weight", weight)
        case ReciprocalRankFusion(k=k, dense_weight=weight):
            _check_weight("reciprocal_rank.dense_weight", weight)
            bounded("reciprocal_rank.k", k, 1, 1_000, 60)
    return fusion


def _check_weight(field: str, weight: float) -> None:
    if not 0.0 <= weight <= 1.0:
        raise InvalidField(field, f"must lie between 0 and 1, and is {weight:g}")


def _check_list(field: str, values: Sequence[str], most: int) -> None:
    if len(values) > most:
        raise InvalidField(field, f"must hold at most {most:,} values, and holds {len(values):,}")
    if not all(values):
        raise InvalidField(field, "must not hold an empty string")
