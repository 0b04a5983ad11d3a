"""Turns the 4-bit weights of multilingual-e5-small into an ONNX network and a tokenizer."""

from __future__ import annotations

from pathlib import Path

from triton_models.errors import ConversionFailed
from triton_models.progress import OnProgress


def convert_e5(weights: Path, folder: Path, on_progress: OnProgress) -> dict[str, str]:
    """Raises ConversionFailed."""
    raise ConversionFailed("not written yet")
