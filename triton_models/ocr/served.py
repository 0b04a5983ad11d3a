"""Runs the OCR networks as other models of the Triton that runs this process.

The functions can be called only while a request is worked on, and raise ServedNetworkFailed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from triton_models.bls import call_model
from triton_models.ocr.recognition import Steps

INPUT = "x"
PROBABILITY_MAP = "fetch_name_0"
STEP_OUTPUTS = Steps._fields
"""Names of the networks' tensors. Of the recognition network's last output, the likeliest class is taken out on the
GPU: all 18,710 would be 75 KB for each step."""

FloatBatch = npt.NDArray[np.float32]


def served_detection(model: str) -> Callable[[FloatBatch], FloatBatch]:
    """The detection network that the model of that name runs."""

    def run(batch: FloatBatch) -> FloatBatch:
        (probability,) = call_model(model, {INPUT: batch}, [PROBABILITY_MAP])
        return probability

    return run


def served_recognition(model: str) -> Callable[[FloatBatch], Steps]:
    """The recognition network that the model of that name runs."""
    return lambda batch: Steps(*call_model(model, {INPUT: batch}, STEP_OUTPUTS))
