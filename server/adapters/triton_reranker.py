"""Reranking by a model of the slot `rerank` in Triton."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from server.adapters.triton_batches import BatchOptions
from server.adapters.triton_client import TritonConnection
from server.adapters.triton_pairs import PairModel, ServedModel
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable

SLOT = "rerank"
_COSINE_WEIGHT = 4.0
"""Of a model whose configuration says nothing: its scores are cosines."""


class TritonReranker(PairModel):
    slot = SLOT
    question_input = "QUERY"
    text_input = "PASSAGE"

    def __init__(self, connection: TritonConnection, model: ServedModel, options: BatchOptions) -> None:
        super().__init__(connection, model, options)
        self._score_weight = _weight(model.name, model.parameters.get("score_weight", ""))

    @property
    def score_weight(self) -> float:
        return self._score_weight

    async def rerank(self, query: str, texts: Sequence[str], deadline: Deadline) -> npt.NDArray[np.float32]:
        """See the port."""
        if not texts:
            return np.empty(0, np.float32)
        [scores] = await self.asked(query, texts, ["SCORE"], deadline)
        column: npt.NDArray[np.float32] = scores[:, 0]
        return column


def _weight(model: str, told: str) -> float:
    if not told:
        return _COSINE_WEIGHT
    try:
        weight = float(told)
    except ValueError:
        weight = math.nan
    if not 0.0 < weight < math.inf:
        raise DependencyUnavailable(f"the model {model}", f"its parameter score_weight is no number above 0: {told!r}")
    return weight
