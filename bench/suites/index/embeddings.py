"""Embeddings of texts by the project's own embedding model, kept on disk: a run that was stopped goes on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import Progress

from triton_models.embed.encoder import DIMENSION, Encoder, EncoderOptions
from triton_models.embed.networks import onnxruntime_network
from triton_models.embed.tokenizer import E5Tokenizer
from triton_models.preparation import default_cache, prepare
from triton_models.prepared import PreparedModels

_SHARD_TEXTS = 4_096


def embeddings(texts: Sequence[str], kind: str, cache: Path | None = None, threads: int = 2) -> npt.NDArray[np.float32]:
    """float32[n, 384], rows of length 1; kind: `passage` or `query`. Shows its progress.

    Cost on 2 cores: about 5 ms a passage of 50 tokens, once; asking for more texts later keeps the first ones' vectors.
    """
    models = PreparedModels.open(prepare(default_cache(), only=["embed"]))
    folder = (cache or default_cache() / "bench" / "embeddings") / models.slots["embed"].fingerprint.replace("/", "_")
    folder.mkdir(parents=True, exist_ok=True)
    shards = [list(texts[start : start + _SHARD_TEXTS]) for start in range(0, len(texts), _SHARD_TEXTS)]
    paths = [folder / f"{_digest(kind, shard)}.npy" for shard in shards]
    missing = [(path, shard) for path, shard in zip(paths, shards, strict=True) if not path.exists()]
    if missing:
        files = models.paths("embed")
        tokenizer = E5Tokenizer(files["tokenizer"], files["normalization"])
        encoder = Encoder(onnxruntime_network(files["network"], threads), tokenizer, EncoderOptions())
        with Progress() as progress:
            for path, shard in progress.track(missing, description=f"embedding {len(texts):,} texts ({kind})"):
                _write(path, encoder.encode(shard, [kind] * len(shard)).vectors)
    return np.concatenate([np.zeros((0, DIMENSION), np.float32), *(np.load(path) for path in paths)])


def _write(path: Path, vectors: npt.NDArray[np.float32]) -> None:
    """Whole or not at all."""
    partial = path.with_suffix(f".{os.getpid()}")
    with partial.open("wb") as file:
        np.save(file, vectors)
    partial.replace(path)


def _digest(kind: str, texts: Sequence[str]) -> str:
    digest = hashlib.sha256(kind.encode())
    for text in texts:
        encoded = text.encode()
        digest.update(b"%d:" % len(encoded) + encoded)
    return digest.hexdigest()[:32]
