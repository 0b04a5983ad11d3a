"""The embedding network in Torch, on the CPU. Skipped where Torch, an extra, is not installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from triton_models.embed.encoder import Encoder, EncoderOptions
from triton_models.embed.networks import onnxruntime_network
from triton_models.embed.tokenizer import E5Tokenizer
from triton_models.errors import ConversionFailed
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels

pytest.importorskip("torch", reason="Torch is an extra: pip install torch")

from triton_models.embed.torch_network import torch_network

TEXTS = [
    "The lighthouse keeper wrote the weather into the log every evening.",
    "灯台守は毎晩、日誌に天気を書き込んだ。",
    "Der Leuchtturmwärter schrieb jeden Abend das Wetter ins Logbuch. " * 8,
    "lamp",
    "",
]


@pytest.fixture(scope="module")
def files(model_cache: Path) -> dict[str, Path]:
    return PreparedModels.open(prepare(model_cache, only=["embed"])).paths("embed")


@pytest.mark.models
def test_vectors_are_those_of_the_original_engine_and_of_onnx_runtime(files: dict[str, Path]) -> None:
    """Against the weights in float32 they are at .9999; what ONNX Runtime quantizes besides makes it .997 to .9995."""
    tokenizer = E5Tokenizer(files["tokenizer"], files["normalization"])
    networks = (torch_network(files["network"], "cpu", 2), onnxruntime_network(files["network"], 2))
    ours, theirs = (
        Encoder(network, tokenizer, EncoderOptions(batch_tokens=512)).encode(TEXTS, ["passage"] * len(TEXTS))
        for network in networks
    )
    assert np.sum(ours.vectors * theirs.vectors, axis=1).min() > 0.995
    golden = np.load(Path(__file__).with_name("golden_embeddings.npy")).astype(np.float32)
    assert np.sum(ours.vectors[:2] * golden[:2], axis=1).min() > 0.999


@pytest.mark.models
def test_padding_does_not_count(files: dict[str, Path]) -> None:
    run = torch_network(files["network"], "cpu", 2)
    ids = np.array([[0, 41, 1294, 12, 2, 1, 1, 1], [0, 41, 1294, 12, 33600, 31, 8999, 2]], dtype=np.int64)
    mask = (ids != 1).astype(np.int32)
    together, alone = run(ids, mask), run(ids[:1, :5], mask[:1, :5])
    np.testing.assert_allclose(together[0], alone[0], atol=1e-5)


def test_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "g", [x], [x])
    onnx.save(onnx.helper.make_model(graph), str(path))
    with pytest.raises(ConversionFailed, match="Torch runs those of multilingual-e5-small only"):
        torch_network(path, "cpu", 1)
