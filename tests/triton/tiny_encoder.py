"""A text encoder of a few hundred kilobytes, as the slot `embed` reads it: the mean of its tokens' vectors."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from triton_models.embed.encoder import DIMENSION
from triton_models.embed.tokenizer import write_tokenizer
from triton_models.embed.weights import Vocabulary

_MARKS = ["<s>", "<pad>", "</s>", "<unk>"]
_OPSET = 17


def write_tiny_encoder(folder: Path) -> None:
    """Writes `model.onnx`, `tokenizer.json` and `normalization.json` into `folder`, which is made."""
    folder.mkdir(parents=True)
    pieces = [*_MARKS, "▁", *string.ascii_letters, *string.punctuation, "<mask>"]
    write_tokenizer(Vocabulary(pieces, [-float(len(pieces))] * len(pieces), 0, 2, 1, 3, {}), folder)
    vectors = np.random.default_rng(1).normal(size=(len(pieces), DIMENSION)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["vectors", "input_ids"], ["tokens"]),
        helper.make_node("Cast", ["attention_mask"], ["flat_mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["flat_mask", "last_axis"], ["mask"]),
        helper.make_node("Mul", ["tokens", "mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "token_axis"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["embedding"], axis=1, p=2),
    ]
    constants = {"vectors": vectors, "last_axis": np.array([2]), "token_axis": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "tiny encoder",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["texts", "length"]),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT32, ["texts", "length"]),
        ],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["texts", DIMENSION])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
