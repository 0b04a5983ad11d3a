"""A model for the slot `rerank`: the share of the query's words that the passage has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests: Sequence[Any]) -> list[Any]:
        return [_answer(_strings(request, "QUERY"), _strings(request, "PASSAGE")) for request in requests]


def _answer(queries: list[str], passages: list[str]) -> Any:
    scores = [
        len(set(query.split()) & set(passage.split())) / max(1, len(set(query.split())))
        for query, passage in zip(queries, passages, strict=True)
    ]
    return pb_utils.InferenceResponse([pb_utils.Tensor("SCORE", np.array(scores, dtype=np.float32).reshape(-1, 1))])


def _strings(request: Any, name: str) -> list[str]:
    return [bytes(value).decode() for value in pb_utils.get_input_tensor_by_name(request, name).as_numpy().reshape(-1)]
