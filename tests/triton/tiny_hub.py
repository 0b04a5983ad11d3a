"""Repositories as Hugging Face has them, of a few kilobytes: a network with one layer of attention and random weights,
exported as ONNX, a tokenizer and configs; and the same network in NumPy."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram, WordPiece

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

WORDS = ("the", "keeper", "lit", "lamp", "ferry", "apple", "wrote", "a", "##s", ".", ",", "[", "]", "sep")
POSITIONS = 40
_MASKED = 1e4


@dataclass(frozen=True, slots=True)
class TinyBert:
    """Of BERT's kind: [CLS] query [SEP] passage [SEP], with types. `labels`: 0 for an encoder without a head."""

    hidden: int = 24
    labels: int = 0
    seed: int = 1

    def weights(self) -> dict[str, Floats]:
        random = np.random.default_rng(self.seed)
        shapes = {
            "words": (len(self.marks) + len(WORDS), self.hidden),
            "positions": (POSITIONS, self.hidden),
            "types": (2, self.hidden),
        }
        if self.labels:
            shapes["head"] = (self.hidden, self.labels)
        made = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        # Such that a sigmoid of it is neither 0 nor 1.
        return made | ({"head": made["head"] / np.float32(self.hidden)} if self.labels else {})

    @property
    def marks(self) -> tuple[str, ...]:
        return ("[PAD]", "[UNK]", "[CLS]", "[SEP]")

    def states(self, ids: Ints, types: Ints) -> Floats:
        """float32[tokens, hidden] of one text, by the definition."""
        weights = self.weights()
        x = weights["words"][ids] + weights["types"][types] + weights["positions"][: len(ids)]
        return _attended(x)

    def logits(self, ids: Ints, types: Ints) -> Floats:
        found: Floats = self.states(ids, types)[0] @ self.weights()["head"]
        return found

    def write(
        self, folder: Path, *, external: bool = False, config: Mapping[str, object] | None = None
    ) -> dict[str, Path]:
        """The artifacts by their role."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer().save(str(folder / "tokenizer.json"))
        told = {
            "model_type": "bert",
            "vocab_size": len(self.marks) + len(WORDS),
            "max_position_embeddings": POSITIONS,
            "pad_token_id": 0,
        }
        (folder / "config.json").write_text(json.dumps({**told, **(config or {})}))
        graph = _graph(self.weights(), self.hidden, self.labels)
        return _saved(graph, folder, external)

    def write_repository(self, folder: Path, pooling: dict[str, bool]) -> None:
        """The files where a repository has them."""
        self.write(folder)
        for name, content in (
            ("onnx/model.onnx", (folder / "model.onnx").read_bytes()),
            ("1_Pooling/config.json", json.dumps(pooling).encode()),
        ):
            (folder / name).parent.mkdir()
            (folder / name).write_bytes(content)

    def tokenizer(self) -> Tokenizer:
        """As Hugging Face writes it: with padding and truncation switched on."""
        vocabulary = {piece: row for row, piece in enumerate((*self.marks, *WORDS))}
        tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
        tokenizer.add_special_tokens(list(self.marks))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        tokenizer.enable_padding(length=12)
        tokenizer.enable_truncation(4)
        return tokenizer


ROBERTA_MARKS = ("<s>", "<pad>", "</s>", "<unk>")
ROBERTA_PAD = 1


@dataclass(frozen=True, slots=True)
class TinyRoberta:
    """Of XLM-RoBERTa's kind: no types, a Unigram tokenizer, and positions that begin behind the padding's id."""

    hidden: int = 16
    seed: int = 2

    @property
    def pieces(self) -> tuple[str, ...]:
        return (*ROBERTA_MARKS, "▁", *string.ascii_lowercase, ".", "▁the", "▁keeper", "▁lamp", "<mask>")

    def weights(self) -> dict[str, Floats]:
        random = np.random.default_rng(self.seed)
        shapes = {"words": (len(self.pieces), self.hidden), "positions": (POSITIONS, self.hidden)}
        return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}

    def states(self, ids: Ints) -> Floats:
        """float32[tokens, hidden] of one text, by the definition."""
        weights = self.weights()
        first = ROBERTA_PAD + 1
        x = weights["words"][ids] + weights["positions"][first : first + len(ids)]
        return _attended(x)

    def write(
        self, folder: Path, *, external: bool = False, config: Mapping[str, object] | None = None
    ) -> dict[str, Path]:
        """The artifacts by their role, with `pooling`, which says mean."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer().save(str(folder / "tokenizer.json"))
        told = {
            "model_type": "xlm-roberta",
            "vocab_size": len(self.pieces),
            "max_position_embeddings": POSITIONS,
            "pad_token_id": ROBERTA_PAD,
        }
        (folder / "config.json").write_text(json.dumps({**told, **(config or {})}))
        pooling = folder / "1_Pooling" / "config.json"
        pooling.parent.mkdir(exist_ok=True)
        pooling.write_text(json.dumps({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}))
        graph = _graph(self.weights(), self.hidden, labels=0, first_position=ROBERTA_PAD + 1)
        return _saved(graph, folder, external) | {"pooling": pooling}

    def tokenizer(self) -> Tokenizer:
        scored = [(piece, -3.0 if len(piece) > 2 else -8.0) for piece in self.pieces]
        tokenizer = Tokenizer(Unigram(scored, unk_id=3, byte_fallback=False))
        tokenizer.add_special_tokens([*ROBERTA_MARKS, "<mask>"])
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
        return tokenizer


def saved_network(graph: onnx.GraphProto, path: Path) -> Path:
    """As ONNX, for networks that a test builds by itself."""
    onnx.save(_model(graph), path)
    return path


def _attended(x: Floats) -> Floats:
    """float32[tokens, hidden], of the same."""
    products = x @ x.T / x.shape[1]
    shares = np.exp(products - products.max(axis=1, keepdims=True))
    found: Floats = x + shares / shares.sum(axis=1, keepdims=True) @ x
    return found


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _saved(graph: onnx.GraphProto, folder: Path, external: bool) -> dict[str, Path]:
    network = folder / "model.onnx"
    files = {"network": network, "tokenizer": folder / "tokenizer.json", "config": folder / "config.json"}
    if not external:
        onnx.save(_model(graph), network)
        return files
    onnx.save(_model(graph), network, save_as_external_data=True, location="model.onnx_data", size_threshold=128)
    return files | {"network_data": folder / "model.onnx_data"}


def _graph(weights: dict[str, Floats], hidden: int, labels: int, first_position: int = 0) -> onnx.GraphProto:
    constants: dict[str, npt.NDArray[Any]] = {
        **weights,
        "scale": np.array(1 / hidden, np.float32),
        "masked": np.array(_MASKED, np.float32),
        "one": np.array(1, np.float32),
        "axis": np.array([1]),
        "before": np.array(first_position - 1),
        "first": np.array(0),
    }
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["word"]),
        # 1, 2, 3 … for tokens, 0 for padding, as transformers counts where padding has a position.
        helper.make_node("CumSum", ["attention_mask", "last"], ["counted"]),
        helper.make_node("Mul", ["counted", "attention_mask"], ["kept"]),
        helper.make_node("Add", ["kept", "before"], ["place"]),
        helper.make_node("Max", ["place", "first"], ["places"]),
        helper.make_node("Gather", ["positions", "places"], ["position"]),
        helper.make_node("Add", ["word", "position"], ["placed"]),
    ]
    constants["last"] = np.array(1)
    x = "placed"
    inputs = ["input_ids", "attention_mask"]
    if "types" in weights:
        nodes += [
            helper.make_node("Gather", ["types", "token_type_ids"], ["type"]),
            helper.make_node("Add", ["placed", "type"], ["typed"]),
        ]
        x, inputs = "typed", [*inputs, "token_type_ids"]
    nodes += [
        helper.make_node("Transpose", [x], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", [x, "turned"], ["product"]),
        helper.make_node("Mul", ["product", "scale"], ["scaled"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["mask", "one"], ["padding"]),
        helper.make_node("Mul", ["padding", "masked"], ["bias"]),
        helper.make_node("Unsqueeze", ["bias", "axis"], ["biases"]),
        helper.make_node("Add", ["scaled", "biases"], ["attention"]),
        helper.make_node("Softmax", ["attention"], ["shares"], axis=-1),
        helper.make_node("MatMul", ["shares", x], ["mixed"]),
        helper.make_node("Add", [x, "mixed"], ["last_hidden_state"]),
    ]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", hidden])
    if labels:
        nodes += [
            helper.make_node("Gather", ["last_hidden_state", "first"], ["pooled"], axis=1),
            helper.make_node("MatMul", ["pooled", "head"], ["logits"]),
        ]
        output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", labels])
    return helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in inputs],
        [output],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
