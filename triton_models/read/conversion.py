"""Turns the weights of multilingual-e5-small and the reader's trained layers into the files of the `read` slot."""

from __future__ import annotations

from pathlib import Path

from triton_models.embed.conversion import convert_encoder
from triton_models.embed.weights import E5Weights
from triton_models.progress import OnProgress
from triton_models.read.network import write_network
from triton_models.read.weights import ReaderWeights


def convert_reader(weights: Path, trained: Path, folder: Path, on_progress: OnProgress) -> dict[str, str]:
    """Writes the files; returns their paths by role. About 5 seconds. Raises ConversionFailed."""
    upper = ReaderWeights.load(trained)

    def write(parsed: E5Weights, path: Path) -> None:
        write_network(parsed, upper, path)

    return convert_encoder("the reader", weights, write, folder, on_progress)
