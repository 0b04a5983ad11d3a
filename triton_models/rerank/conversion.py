"""Turns weights into the files of the `rerank` slot: those of multilingual-e5-small and a trained head, or those of
another encoder of texts."""

from __future__ import annotations

import shutil
from pathlib import Path

from triton_models.embed.conversion import convert_encoder
from triton_models.embed.weights import E5Weights
from triton_models.progress import OnProgress, Progress
from triton_models.rerank.head import Head
from triton_models.rerank.network import write_network
from triton_models.rerank.sentence_network import write_network as write_sentence_network
from triton_models.rerank.sentence_weights import SentenceWeights

_NETWORK = "model.onnx"
_TOKENIZER = "tokenizer.json"


def convert_reranker(weights: Path, head: Path, folder: Path, on_progress: OnProgress) -> dict[str, str]:
    """Writes the files; returns their paths by role. About 5 seconds. Raises ConversionFailed."""
    trained = Head.load(head)

    def write(parsed: E5Weights, path: Path) -> None:
        write_network(parsed, trained, path)

    return convert_encoder("the reranker", weights, write, folder, on_progress)


def convert_sentences(weights: Path, tokenizer: Path, folder: Path, on_progress: OnProgress) -> dict[str, str]:
    """Writes the files; returns their paths by role. A second. Raises ConversionFailed."""
    on_progress(Progress("converting the reranker", 0, 1, "steps"))
    write_sentence_network(SentenceWeights(weights), folder / _NETWORK)
    shutil.copyfile(tokenizer, folder / _TOKENIZER)
    on_progress(Progress("converting the reranker", 1, 1, "steps"))
    return {"network": _NETWORK, "tokenizer": _TOKENIZER}
