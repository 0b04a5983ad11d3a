"""Networks in Torch, on the CPU. Skipped where Torch, an extra, is not installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from triton_models.embed.encoder import Encoder, EncoderOptions
from triton_models.embed.networks import onnxruntime_network
from triton_models.embed.tokenizer import E5Tokenizer
from triton_models.errors import ConversionFailed
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels

torch = pytest.importorskip("torch", reason="Torch is an extra: pip install torch")

from triton_models.embed.torch_network import TorchEncoder, torch_network  # noqa: E402
from triton_models.rerank.torch_network import torch_network as rerank_torch_network  # noqa: E402

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


@pytest.fixture(scope="module")
def ocr_files(model_cache: Path) -> dict[str, Path]:
    return PreparedModels.open(prepare(model_cache, only=["ocr"])).paths("ocr")


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


@pytest.mark.models
def test_the_reranker_puts_its_head_behind_the_encoder(files: dict[str, Path], tmp_path: Path) -> None:
    """The head is put behind the prepared encoder, as `rerank.network` does from the weights."""
    random = np.random.default_rng(4)
    model = onnx.load(str(files["network"]))
    pieces = next(len(each.dims) and each.dims[0] for each in model.graph.initializer if each.name == "words")
    head = {
        "center": random.normal(0, 0.1, 384),
        "down": random.normal(0, 0.05, (384, 8)),
        "up": random.normal(0, 0.05, (8, 384)),
        "importance": random.normal(0, 0.1, 384),
        "information": random.normal(0, 0.5, pieces),
    }
    for name, values in head.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(values.astype(np.float32), f"head.{name}"))
    onnx.save(model, str(tmp_path / "rerank.onnx"))
    ids = np.array([[0, 41, 1294, 12, 33600, 31, 8999, 2]], dtype=np.int64)
    mask = np.ones_like(ids, dtype=np.int32)
    found = rerank_torch_network(tmp_path / "rerank.onnx", "cpu", 2)(ids, mask)
    states = TorchEncoder.read(files["network"], "cpu").states(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    moved = (states - head["center"]) @ (np.eye(384) + head["down"] @ head["up"])
    expected = moved / np.linalg.norm(moved, axis=2, keepdims=True)
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)
    weights = np.exp((states - head["center"]) @ head["importance"] + head["information"][ids])
    np.testing.assert_allclose(found.importance, weights, rtol=1e-4)


@pytest.mark.models
@pytest.mark.parametrize("width", [192, 320])
def test_lines_and_pages_are_read_as_by_onnx_runtime(ocr_files: dict[str, Path], width: int) -> None:
    pytest.importorskip("onnx2pytorch", reason="of the extra for Torch")
    from triton_models.ocr.torch_networks import torch_detection, torch_recognition

    random = np.random.default_rng(width)
    page = random.uniform(-1, 1, (1, 3, 192, width)).astype(np.float32)
    (expected,) = onnxruntime.InferenceSession(str(ocr_files["detector"])).run(None, {"x": page})
    np.testing.assert_allclose(torch_detection(ocr_files["detector"], "cpu", 2)(page), expected, atol=1e-4)
    lines = random.uniform(-1, 1, (3, 3, 48, width)).astype(np.float32)
    (probabilities,) = onnxruntime.InferenceSession(str(ocr_files["recognizer"])).run(None, {"x": lines})
    steps = torch_recognition(ocr_files["recognizer"], "cpu", 2)(lines)
    np.testing.assert_array_equal(steps.classes, probabilities.argmax(axis=2))
    np.testing.assert_allclose(steps.probabilities, probabilities.max(axis=2), atol=1e-4)
    np.testing.assert_allclose(steps.spaces, probabilities[:, :, -1], atol=1e-4)


def test_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "g", [x], [x])
    onnx.save(onnx.helper.make_model(graph), str(path))
    with pytest.raises(ConversionFailed, match="only networks that Pinakes wrote are read here"):
        torch_network(path, "cpu", 1)
