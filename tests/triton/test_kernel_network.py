"""The encoder by kernels of our own. Skipped where the CPU has not what makes them the faster ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import kernels
from tests.triton.tiny_e5 import SHAPE, write_tiny_e5
from tests.triton.tiny_encoder import write_tiny_encoder
from triton_models.embed.encoder import PREFIXES, padded
from triton_models.embed.float_network import write_float_network
from triton_models.embed.kernel_network import kernel_network
from triton_models.embed.network import write_network
from triton_models.embed.networks import (
    TokenNetwork,
    cpu_network,
    kernels_are_faster,
    onnxruntime_network,
    onnxruntime_session,
)
from triton_models.embed.tokenizer import E5Tokenizer
from triton_models.embed.weights import E5Weights
from triton_models.errors import ConversionFailed
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels
from triton_models.rerank.kernel_network import kernel_network as rerank_kernels

needs_cpu = pytest.mark.skipif(
    not (kernels_are_faster() and kernels.HAS_VNNI), reason="a CPU without AVX512-VNNI, or NUMBA_DISABLE_JIT"
)
GOLDEN_TEXTS = [
    "The lighthouse keeper wrote the weather into the log every evening.",
    "灯台守は毎晩、日誌に天気を書き込んだ。",
    "Der Leuchtturmwärter schrieb jeden Abend das Wetter ins Logbuch.",
    "حارس المنارة",
]
LENGTHS = [*range(1, 65), 127, 128, 129, 200, 512]


@pytest.fixture(scope="module")
def files(model_cache: Path) -> dict[str, Path]:
    return PreparedModels.open(prepare(model_cache, only=["embed"])).paths("embed")


@pytest.fixture(scope="module")
def network(files: dict[str, Path]) -> TokenNetwork:
    return kernel_network(files["network"], threads=1)


def texts_of(lengths: list[int], pieces: int) -> list[list[int]]:
    rng = np.random.default_rng(5)
    return [rng.integers(3, pieces, length).tolist() for length in lengths]


@needs_cpu
@pytest.mark.models
def test_vectors_are_those_of_the_original_engine(files: dict[str, Path], network: TokenNetwork) -> None:
    tokenizer = E5Tokenizer(files["tokenizer"], files["normalization"])
    golden = np.load(Path(__file__).with_name("golden_embeddings.npy")).astype(np.float32)
    found = network(*padded([tokenizer.encode(PREFIXES["passage"] + text) for text in GOLDEN_TEXTS]))
    assert np.sum(found * golden[: len(found)], axis=1).min() > 0.999


@needs_cpu
@pytest.mark.models
def test_texts_of_every_length_have_the_vectors_of_onnx_runtime(files: dict[str, Path], network: TokenNetwork) -> None:
    """To the quantization of both."""
    other = onnxruntime_network(files["network"], threads=2)
    for text in texts_of([1, 2, 5, 8, 20, 33, 64, 200, 512], 40_000):
        ids, mask = padded([text])
        assert float(network(ids, mask)[0] @ other(ids, mask)[0]) > 0.99, len(text)


@needs_cpu
def test_a_vector_is_near_to_that_of_the_weights_in_float32(tmp_path: Path) -> None:
    write_tiny_e5(tmp_path / "tiny.bin")
    weights = E5Weights(tmp_path / "tiny.bin")
    write_network(weights, tmp_path / "model.onnx")
    write_float_network(weights, tmp_path / "float.onnx", "fp32")
    exact = onnxruntime.InferenceSession(str(tmp_path / "float.onnx"), providers=["CPUExecutionProvider"])
    network = kernel_network(tmp_path / "model.onnx", threads=1)
    for text in texts_of(LENGTHS, len(weights.vocabulary.pieces)):
        ids, mask = padded([text])
        (expected,) = exact.run(None, {"input_ids": ids, "attention_mask": mask})
        assert float(network(ids, mask)[0] @ expected[0]) > 0.999, len(text)


@needs_cpu
def test_a_vector_is_the_same_bits_in_any_batch_and_on_any_threads(tmp_path: Path) -> None:
    write_tiny_e5(tmp_path / "tiny.bin")
    weights = E5Weights(tmp_path / "tiny.bin")
    write_network(weights, tmp_path / "model.onnx")
    texts = texts_of([3, 60, 70, 1, 512, 20, 20, 128, 129], len(weights.vocabulary.pieces))
    network = kernel_network(tmp_path / "model.onnx", threads=1)
    together = network(*padded(texts))
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(kernel_network(tmp_path / "model.onnx", threads=3)(*padded(texts)), together)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_array_equal(network(*padded([text]))[0], vector)
    none = network(np.empty((0, 8), np.int64), np.empty((0, 8), np.int32))
    assert none.shape == (0, SHAPE.hidden)
    with pytest.raises(ValueError, match="512"):
        network(*(np.ones((1, 513), kind) for kind in (np.int64, np.int32)))


@needs_cpu
@pytest.mark.models
def test_the_reranker_puts_its_head_behind_the_encoder(files: dict[str, Path], tmp_path: Path) -> None:
    """As ONNX Runtime does, to the quantization of both."""
    random = np.random.default_rng(4)
    model = onnx.load(str(files["network"]))
    pieces = next(each.dims[0] for each in model.graph.initializer if each.name == "words")
    head = {
        "center": random.normal(0, 0.1, 384),
        "down": random.normal(0, 0.05, (384, 8)),
        "up": random.normal(0, 0.05, (8, 384)),
        "importance": random.normal(0, 0.1, 384),
        "information": random.normal(0, 0.5, pieces),
    }
    constants = {name: values.astype(np.float32) for name, values in head.items()}
    for name, values in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, f"head.{name}"))
    onnx.save(model, str(tmp_path / "rerank.onnx"))
    ids, mask = padded([[0, 41, 1294, 12, 33600, 31, 8999, 2], [0, 41, 1294, 12, 2]])
    found = rerank_kernels(tmp_path / "rerank.onnx", 2)(ids, mask)
    hidden = "l11.out"
    model.graph.output.append(onnx.helper.make_tensor_value_info(hidden, onnx.TensorProto.FLOAT, ["n", "length", 384]))
    onnx.save(model, str(tmp_path / "hidden.onnx"))
    session = onnxruntime_session(tmp_path / "hidden.onnx", 1)
    (states,) = session.run([hidden], {"input_ids": ids, "attention_mask": mask})
    centered = states - constants["center"]
    moved = centered + centered @ constants["down"] @ constants["up"]
    expected = moved / np.linalg.norm(moved, axis=2, keepdims=True)
    tokens = mask.astype(bool)
    assert np.sum(found.vectors * expected, axis=2)[tokens].min() > 0.98
    weights = np.exp(centered @ constants["importance"] + constants["information"][ids])
    np.testing.assert_allclose(np.log(found.importance[tokens] / weights[tokens]), 0, atol=0.3)


@needs_cpu
def test_what_runs_is_compiled_when_a_text_of_each_kind_has_been_read(tmp_path: Path) -> None:
    write_tiny_e5(tmp_path / "tiny.bin")
    write_network(E5Weights(tmp_path / "tiny.bin"), tmp_path / "model.onnx")
    network = cpu_network(tmp_path / "model.onnx", threads=1)
    network(*padded([[5, 6]]))
    before = kernels.compiled_signatures()
    for texts in ([[5]], [[5] * 64, [6] * 9], [[7] * 512], [[8] * 20] * 30):
        network(*padded(texts))
    assert kernels.compiled_signatures() == before


def test_another_encoder_is_run_by_onnx_runtime(tmp_path: Path) -> None:
    write_tiny_encoder(tmp_path / "tiny")
    file = tmp_path / "tiny" / "model.onnx"
    with pytest.raises(ConversionFailed, match="only networks that Pinakes wrote are read here"):
        kernel_network(file, 1)
    ids, mask = padded([[0, 7, 8, 2]])
    np.testing.assert_allclose(cpu_network(file, 1)(ids, mask), onnxruntime_network(file, 1)(ids, mask))
