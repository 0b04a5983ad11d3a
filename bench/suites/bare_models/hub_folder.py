"""Writes multilingual-e5-small as a folder that Hugging Face's libraries load without a hub: the same weights,
dequantized, and our tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triton_models.embed.weights import E5Weights

Floats = npt.NDArray[np.float32]
_PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
_NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
# As `triton_models.embed.tokenizer` names marks: a text can never spell them.
_BOS, _PAD, _EOS, _UNKNOWN = (f"\x01{place}" for place in range(4))


def write_hub_folder(weights: E5Weights, tokenizer: Path, folder: Path) -> None:
    """470 MB. Texts must be normalized before: the folder's tokenizer does not."""
    shape = weights.shape
    tensors = dict(_tensors(weights))
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.feed_forward,
        "max_position_embeddings": shape.positions,
        "layer_norm_eps": shape.epsilon,
        "vocab_size": len(tensors["embeddings.word_embeddings.weight"]),
        "type_vocab_size": len(tensors["embeddings.token_type_embeddings.weight"]),
        "pad_token_id": weights.vocabulary.pad,
        "hidden_act": "gelu",
    }
    (folder / "config.json").write_text(json.dumps(config))
    _write_safetensors(tensors, folder / "model.safetensors")
    pieces = json.loads(tokenizer.read_text(encoding="utf-8"))
    sequence = [
        {"SpecialToken": {"id": _BOS, "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": _EOS, "type_id": 0}},
    ]
    marks = {_BOS: weights.vocabulary.bos, _EOS: weights.vocabulary.eos}
    pieces["post_processor"] = {
        "type": "TemplateProcessing",
        "single": sequence,
        "pair": sequence,
        "special_tokens": {mark: {"id": mark, "ids": [place], "tokens": [mark]} for mark, place in marks.items()},
    }
    (folder / "tokenizer.json").write_text(json.dumps(pieces, ensure_ascii=False), encoding="utf-8")
    names = {"bos_token": _BOS, "eos_token": _EOS, "pad_token": _PAD, "unk_token": _UNKNOWN}
    own = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(own))


def _tensors(weights: E5Weights) -> Iterator[tuple[str, Floats]]:
    hidden, feed_forward = weights.shape.hidden, weights.shape.feed_forward
    words = weights.matrix("emb.word", hidden).dequantized()
    yield "embeddings.word_embeddings.weight", words[: len(weights.vocabulary.pieces)]
    yield "embeddings.position_embeddings.weight", weights.floats("emb.pos").reshape(-1, hidden)
    yield "embeddings.token_type_embeddings.weight", weights.floats("emb.type").reshape(-1, hidden)
    yield "embeddings.LayerNorm.weight", weights.floats("emb.ln.w")
    yield "embeddings.LayerNorm.bias", weights.floats("emb.ln.b")
    for layer in range(weights.shape.layers):
        for own, theirs in _PARTS.items():
            columns = feed_forward if own == "fo" else hidden
            matrix = weights.matrix(f"l{layer}.{own}.w", columns).dequantized()
            yield f"encoder.layer.{layer}.{theirs}.weight", matrix
            yield f"encoder.layer.{layer}.{theirs}.bias", weights.floats(f"l{layer}.{own}.b")
        for own, theirs in _NORMS.items():
            yield f"encoder.layer.{layer}.{theirs}.weight", weights.floats(f"l{layer}.{own}.w")
            yield f"encoder.layer.{layer}.{theirs}.bias", weights.floats(f"l{layer}.{own}.b")


def _write_safetensors(tensors: dict[str, Floats], path: Path) -> None:
    """The format: the header's length in 8 bytes, the header in JSON, then the tensors as they lie in memory."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    encoded = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for values in tensors.values():
            file.write(np.ascontiguousarray(values, "<f4").tobytes())
