"""What a reranker's configuration in Triton says of its scores."""

from __future__ import annotations

import pytest

from server.adapters.triton_batches import BatchOptions
from server.adapters.triton_client import TritonConnection
from server.adapters.triton_pairs import ServedModel
from server.adapters.triton_reranker import TritonReranker
from server.domain.errors import DependencyUnavailable


def reranker(parameters: dict[str, str]) -> TritonReranker:
    served = ServedModel("a@1", {"fingerprint": "a@1+0", **parameters}, instances=2)
    return TritonReranker(TritonConnection("127.0.0.1:1"), served, BatchOptions())


@pytest.mark.parametrize(("told", "weight"), [({}, 4.0), ({"score_weight": "0.1"}, 0.1), ({"score_weight": "2"}, 2.0)])
def test_the_weight_of_its_scores(told: dict[str, str], weight: float) -> None:
    assert reranker(told).score_weight == weight


@pytest.mark.parametrize("told", ["0", "-1", "nan", "inf", "much"])
def test_a_weight_that_is_none_is_refused(told: str) -> None:
    with pytest.raises(DependencyUnavailable, match="score_weight is no number above 0"):
        reranker({"score_weight": told})
