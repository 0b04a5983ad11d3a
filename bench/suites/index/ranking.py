"""How good a ranking of documents is. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set


def documents_of(passages: Iterable[str], ignored: Set[str] = frozenset()) -> list[str]:
    """Documents in the order of their best passage, without the ignored ones. passages: their documents, best first."""
    return [document for document in dict.fromkeys(passages) if document not in ignored]


def ndcg(ranking: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """Discounted cumulative gain of the first k over the best that could be (Järvelin and Kekäläinen, 2002, with the
    gain itself and log2(rank + 1), as trec_eval computes it). gains: above 0, at least one."""
    return _dcg([gains.get(each, 0.0) for each in ranking[:k]]) / _dcg(sorted(gains.values(), reverse=True)[:k])


def reciprocal_rank(ranking: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """1 / rank of the first relevant document, 0 if none is among the first k."""
    return next((1 / rank for rank, each in enumerate(ranking[:k], start=1) if each in gains), 0.0)


def recall(ranking: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """Share of the relevant documents among the first k; of k, where more are relevant."""
    return sum(each in gains for each in ranking[:k]) / min(k, len(gains))


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
