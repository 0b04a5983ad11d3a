"""Reranking by a model of the slot `rerank` in Triton."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from server.adapters.triton_pairs import PairModel
from server.domain.deadline import Deadline

SLOT = "rerank"


class TritonReranker(PairModel):
    slot = SLOT
    question_input = "QUERY"
    text_input = "PASSAGE"

    async def rerank(self, query: str, texts: Sequence[str], deadline: Deadline) -> npt.NDArray[np.float32]:
        """See the port."""
        if not texts:
            return np.empty(0, np.float32)
        [scores] = await self.asked(query, texts, ["SCORE"], deadline)
        column: npt.NDArray[np.float32] = scores[:, 0]
        return column
