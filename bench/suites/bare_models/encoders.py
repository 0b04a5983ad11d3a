"""The bare engines, as a process holds them (see `bench.suites.index.processes`): imported in both environments, so
every engine is imported where it is made.

All get the texts in the order in which they come, in batches padded to their longest, with our tokenizer, so that ids
are the same; but for sentence-transformers, which sorts by length itself and tokenizes with its own library.
"""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
PROJECT = Path(__file__).resolve().parents[3]
PREFIXES = {"query": "query: ", "passage": "passage: "}
_MAX_TOKENS = 512
_PAD, _END = 1, 2


class BareEncoder(Protocol):
    def encode(self, texts: Sequence[str], kind: str, batch: int) -> Floats:
        """float32[n, 384], rows of length 1."""


def encode(encoder: BareEncoder, texts: Sequence[str], kind: str, batch: int) -> tuple[float, Floats]:
    """Seconds, tokenizing included, and the vectors."""
    began = time.perf_counter()
    vectors = encoder.encode(texts, kind, batch)
    return time.perf_counter() - began, vectors


def count_tokens(encoder: TokenEncoder, texts: Sequence[str], kind: str) -> int:
    """As the network reads them."""
    return sum(len(encoder.ids(text, kind)) for text in texts)


class TokenEncoder:
    """Tokenizes as Pinakes does, and runs a network from ids int64[n, length] and mask int32[n, length]."""

    def __init__(self, tokenizer: tuple[Path, Path], network: Callable[[Any, Any], Floats]) -> None:
        from triton_models.embed.tokenizer import E5Tokenizer

        self._tokenizer = E5Tokenizer(*tokenizer)
        self._network = network

    def ids(self, text: str, kind: str) -> list[int]:
        ids = self._tokenizer.encode(PREFIXES[kind] + text)
        return ids if len(ids) <= _MAX_TOKENS else [*ids[: _MAX_TOKENS - 1], _END]

    def encode(self, texts: Sequence[str], kind: str, batch: int) -> Floats:
        parts = []
        for start in range(0, len(texts), batch):
            rows = [self.ids(text, kind) for text in texts[start : start + batch]]
            ids = np.full((len(rows), max(map(len, rows))), _PAD, np.int64)
            mask = np.zeros(ids.shape, np.int32)
            for place, row in enumerate(rows):
                ids[place, : len(row)] = row
                mask[place, : len(row)] = 1
            parts.append(self._network(ids, mask))
        return np.concatenate(parts)


def onnxruntime_int8(tokenizer: tuple[Path, Path], network: Path, threads: int) -> BareEncoder:
    """With the session options that Pinakes uses where it runs ONNX Runtime."""
    from triton_models.embed.networks import onnxruntime_network

    return TokenEncoder(tokenizer, onnxruntime_network(network, threads))


def as_pinakes(tokenizer: tuple[Path, Path], network: Path, threads: int) -> BareEncoder:
    """The network that Pinakes runs."""
    from triton_models.embed.networks import cpu_network

    return TokenEncoder(tokenizer, cpu_network(network, threads))


def openvino_int8(tokenizer: tuple[Path, Path], network: Path, threads: int) -> BareEncoder:
    """The weights that Pinakes runs, activations quantized by the token, attention in bfloat16."""
    from triton_models.embed.encoder_file import EncoderFile
    from triton_models.embed.openvino_network import EncoderNodes, pooled

    return TokenEncoder(tokenizer, pooled(EncoderNodes(EncoderFile(network)), threads))


def onnxruntime_float(tokenizer: tuple[Path, Path], network: Path, threads: int) -> BareEncoder:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])

    def run(ids: Any, mask: Any) -> Floats:
        vectors: Floats = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        return vectors

    return TokenEncoder(tokenizer, run)


def openvino_bfloat16(tokenizer: tuple[Path, Path], network: Path, threads: int) -> BareEncoder:
    """Of the float network, with the settings that OpenVINO takes by itself for one caller."""
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(core.read_model(str(network)), "CPU", settings).create_infer_request()

    def run(ids: Any, mask: Any) -> Floats:
        request.infer([ids, mask], share_inputs=True)
        return np.array(request.get_output_tensor(0).data)

    return TokenEncoder(tokenizer, run)


class _SentenceTransformers:
    def __init__(self, model: Any) -> None:
        self._model = model

    def encode(self, texts: Sequence[str], kind: str, batch: int) -> Floats:
        vectors: Floats = self._model.encode(
            [unicodedata.normalize("NFKC", PREFIXES[kind] + text) for text in texts],
            batch_size=batch,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return vectors


def sentence_transformers_float(folder: Path, threads: int) -> BareEncoder:
    """`folder`: what `hub_folder.write_hub_folder` wrote."""
    # Its libraries would take our package `kernels` for one of that name of theirs.
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != PROJECT]
    import torch
    from sentence_transformers import SentenceTransformer, models  # type: ignore[import-not-found]

    torch.set_num_threads(threads)
    transformer = models.Transformer(str(folder), max_seq_length=_MAX_TOKENS)
    pooling = models.Pooling(transformer.get_word_embedding_dimension(), pooling_mode="mean")
    return _SentenceTransformers(SentenceTransformer(modules=[transformer, pooling], device="cpu"))
