"""Turns the 4-bit weights of multilingual-e5-small into an ONNX network and a tokenizer."""

from __future__ import annotations

from pathlib import Path

from triton_models.embed.network import write_network
from triton_models.embed.tokenizer import write_tokenizer
from triton_models.embed.weights import E5Weights
from triton_models.progress import OnProgress, Progress

_STEPS = 3
_NETWORK = "model.onnx"


def convert_e5(weights: Path, folder: Path, on_progress: OnProgress) -> dict[str, str]:
    """Writes the files of the `embed` slot; returns their paths by role. About 5 seconds. Raises ConversionFailed."""

    def report(done: int) -> None:
        on_progress(Progress("converting multilingual-e5-small", done, _STEPS, "steps"))

    report(0)
    parsed = E5Weights(weights)
    report(1)
    roles = write_tokenizer(parsed.vocabulary, folder)
    report(2)
    write_network(parsed, folder / _NETWORK)
    report(3)
    return {"network": _NETWORK, **roles}
