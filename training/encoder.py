"""The encoder that everything here starts from: multilingual-e5-small."""

from __future__ import annotations

from pathlib import Path

from triton_models.catalogue import load_catalogue
from triton_models.embed.tokenizer import E5Tokenizer, write_tokenizer
from triton_models.embed.weights import E5Weights
from triton_models.fetching import ArtifactStore
from triton_models.preparation import default_cache
from triton_models.progress import silent

_ENCODER = "e5-small-q4"


def encoder_file() -> Path:
    """Its packed file, as the catalogue pins it; fetched once."""
    artifact = load_catalogue().artifacts[_ENCODER]
    return ArtifactStore(default_cache()).fetch(_ENCODER, artifact, silent)


def encoder_tokenizer(weights: E5Weights, out: Path) -> E5Tokenizer:
    """Writes its files into `out`."""
    files = write_tokenizer(weights.vocabulary, out)
    return E5Tokenizer(out / files["tokenizer"], out / files["normalization"])
