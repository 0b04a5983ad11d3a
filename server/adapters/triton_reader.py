"""Reading passages by a model of the slot `read` in Triton."""

from __future__ import annotations

import math
from collections.abc import Sequence

from server.adapters.triton_pairs import PairModel
from server.application.answer_ports import ReadSpan
from server.domain.deadline import Deadline

SLOT = "read"


class TritonReader(PairModel):
    slot = SLOT
    question_input = "QUESTION"
    text_input = "TEXT"

    async def read(self, question: str, texts: Sequence[str], deadline: Deadline) -> list[tuple[ReadSpan, ...]]:
        """See the port."""
        if not texts:
            return []
        places, scores = await self.asked(question, texts, ["SPAN", "SCORE"], deadline)
        return [
            tuple(
                ReadSpan(start, end, score)
                for (start, end), score in zip(own_places, own_scores, strict=True)
                if not math.isnan(score)
            )
            for own_places, own_scores in zip(places.tolist(), scores.tolist(), strict=True)
        ]
