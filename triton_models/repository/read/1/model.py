"""The `read` model: which pieces of a text answer a question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from triton_models.embed.tokenizer import E5Tokenizer
from triton_models.orphans import exit_with_parent
from triton_models.read.networks import RUNTIMES
from triton_models.read.reader import Reader, ReaderOptions, Reading
from triton_models.requests import parameters, refusal, strings
from triton_models.runtimes import SERVED


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        exit_with_parent()
        settings = parameters(args)
        tokenizer = E5Tokenizer(Path(settings["tokenizer"]), Path(settings["normalization"]))
        self._options = ReaderOptions(batch_tokens=int(settings["batch_tokens"]))
        self._reader = Reader(RUNTIMES.network(settings, args), tokenizer, self._options)
        if settings["runtime"] != SERVED:
            self._reader.warm_up()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Texts of all requests at once; one answer per request."""
        asked = [(strings(request, "QUESTION"), strings(request, "TEXT")) for request in requests]
        read = self._reader.read(
            [question for questions, _ in asked for question in questions],
            [text for _, texts in asked for text in texts],
        )
        responses, start = [], 0
        for _, texts in asked:
            own = read[start : start + len(texts)]
            start += len(texts)
            readings = [reading for reading in own if reading is not None]
            responses.append(
                self._answer(readings) if len(readings) == len(own) else refusal("QUESTION must have words")
            )
        return responses

    def _answer(self, readings: Sequence[Reading]) -> Any:
        spans = np.zeros((len(readings), self._options.spans, 2), np.int32)
        scores = np.full((len(readings), self._options.spans), np.nan, np.float32)
        for row, reading in enumerate(readings):
            for place, span in enumerate(reading.spans):
                spans[row, place] = span.start, span.end
                scores[row, place] = span.score
        truncated = np.array([[reading.truncated] for reading in readings])
        tensors = {"SPAN": spans, "SCORE": scores, "TRUNCATED": truncated}
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, values) for name, values in tensors.items()])
