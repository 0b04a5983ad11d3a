"""What the encoder makes of the examples: token vectors, kept on disk, so that a run that was stopped goes on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track

from triton_models.embed.encoder import PREFIXES, batches_by_length
from triton_models.embed.networks import onnxruntime_session
from triton_models.embed.tokenizer import EOS, PAD, E5Tokenizer
from triton_models.rerank.reranker import PREFIX_TOKENS

Floats = npt.NDArray[np.float32]

_SHARD_TEXTS = 256
_BATCH_TOKENS = 2048


@dataclass(frozen=True, slots=True, eq=False)
class TokenVectors:
    """vectors: float16[tokens, hidden] of all texts, one after another, without prefix and marks; ids: int32[tokens].
    Text i has the rows from starts[i] to starts[i + 1]. embeddings: float32[texts, hidden], of length 1, as the
    embedding model makes them. folded: int32[n] for each text, its pieces without regard to case, as far as it is read:
    for whoever counts words."""

    vectors: npt.NDArray[np.float16]
    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    embeddings: Floats
    folded: tuple[npt.NDArray[np.int32], ...]

    def of(self, text: int) -> tuple[Floats, npt.NDArray[np.int32]]:
        """float32[tokens, hidden] and int32[tokens]."""
        own = slice(self.starts[text], self.starts[text + 1])
        return self.vectors[own].astype(np.float32), self.ids[own]


class TokenReader:
    """Runs the encoder's network (`triton_models.rerank.network.write_token_network`) on the CPU."""

    def __init__(self, network: Path, tokenizer: E5Tokenizer, cache: Path, max_tokens: int, threads: int) -> None:
        self._session = onnxruntime_session(network, threads)
        self._tokenizer = tokenizer
        self._cache = cache
        self._max_tokens = max_tokens

    def read(self, kind: str, texts: Sequence[str], description: str) -> TokenVectors:
        """kind: a key of PREFIXES. Cost: the encoder's for texts that are not in the cache, about 7,000 tokens/s a
        core, and 770 bytes of disk and memory a token."""
        shards = [texts[start : start + _SHARD_TEXTS] for start in range(0, len(texts), _SHARD_TEXTS)]
        read = [self._shard(kind, shard) for shard in track(shards, description=description)]
        counts = np.concatenate([shard["counts"] for shard in read])
        return TokenVectors(
            np.concatenate([shard["vectors"] for shard in read]),
            np.concatenate([shard["ids"] for shard in read]),
            np.concatenate([[0], np.cumsum(counts)]),
            np.concatenate([shard["embeddings"] for shard in read]),
            tuple(self._folded(text) for text in texts),
        )

    def _folded(self, text: str) -> npt.NDArray[np.int32]:
        return np.array(self._cut(self._tokenizer.encode(text.casefold()))[1:-1], np.int32)

    def _shard(self, kind: str, texts: Sequence[str]) -> dict[str, npt.NDArray[np.generic]]:
        digest = hashlib.sha256(f"{kind} {self._max_tokens} ".encode() + "\0".join(texts).encode()).hexdigest()[:32]
        path = self._cache / f"{digest}.npz"
        if not path.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}")
            with partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **self._encoded(kind, texts))
            partial.replace(path)
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)

    def _encoded(self, kind: str, texts: Sequence[str]) -> dict[str, npt.NDArray[np.generic]]:
        ids = [self._cut(self._tokenizer.encode(PREFIXES[kind] + text)) for text in texts]
        hidden: dict[int, Floats] = {}
        for rows in batches_by_length([len(row) for row in ids], _BATCH_TOKENS):
            for row, vectors in zip(rows, self._run([ids[row] for row in rows]), strict=True):
                hidden[row] = vectors[: len(ids[row])]
        ordered = [hidden[row] for row in range(len(ids))]
        sums = np.stack([vectors.sum(axis=0) for vectors in ordered])
        said = slice(PREFIX_TOKENS[kind], -1)
        own = [vectors[said] for vectors in ordered]
        return {
            "vectors": np.concatenate(own).astype(np.float16),
            "ids": np.concatenate([np.array(row[said], np.int32) for row in ids]),
            "counts": np.array([len(vectors) for vectors in own], np.int64),
            "embeddings": sums / np.linalg.norm(sums, axis=1, keepdims=True),
        }

    def _cut(self, ids: list[int]) -> list[int]:
        return ids if len(ids) <= self._max_tokens else [*ids[: self._max_tokens - 1], EOS]

    def _run(self, ids: list[list[int]]) -> Floats:
        length = max(map(len, ids))
        tokens = np.full((len(ids), length), PAD, dtype=np.int64)
        mask = np.zeros((len(ids), length), dtype=np.int32)
        for row, values in enumerate(ids):
            tokens[row, : len(values)] = values
            mask[row, : len(values)] = 1
        hidden: Floats = self._session.run(["hidden"], {"input_ids": tokens, "attention_mask": mask})[0]
        return hidden
