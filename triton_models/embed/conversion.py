"""Turns the 4-bit weights of multilingual-e5-small into an ONNX network and a tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from triton_models.embed.network import write_network
from triton_models.embed.tokenizer import write_tokenizer
from triton_models.embed.weights import E5Weights
from triton_models.progress import OnProgress, Progress

_STEPS = 3
_NETWORK = "model.onnx"


def convert_e5(weights: Path, folder: Path, on_progress: OnProgress) -> dict[str, str]:
    """Writes the files of the `embed` slot; returns their paths by role. About 5 seconds. Raises ConversionFailed."""
    return convert_encoder("multilingual-e5-small", weights, write_network, folder, on_progress)


def convert_encoder(
    what: str, weights: Path, write: Callable[[E5Weights, Path], None], folder: Path, on_progress: OnProgress
) -> dict[str, str]:
    """The tokenizer of multilingual-e5-small, and a network that `write` makes of its weights. Raises
    ConversionFailed."""

    def report(done: int) -> None:
        on_progress(Progress(f"converting {what}", done, _STEPS, "steps"))

    report(0)
    parsed = E5Weights(weights)
    report(1)
    roles = write_tokenizer(parsed.vocabulary, folder)
    report(2)
    write(parsed, folder / _NETWORK)
    report(3)
    return {"network": _NETWORK, **roles}
