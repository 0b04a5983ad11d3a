"""The reader's network, of random weights: what serves is what was trained, whatever runs it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

import kernels
from tests.triton.tiny_e5 import FIRST, PIECES, SHAPE, trained_state, write_tiny_e5
from tests.triton.tiny_encoder import write_tiny_encoder
from triton_models.embed.encoder import padded
from triton_models.embed.float_network import Precision
from triton_models.embed.networks import kernels_are_faster
from triton_models.embed.weights import E5Weights
from triton_models.engines.networks import SpanReader
from triton_models.errors import ConversionFailed
from triton_models.progress import silent
from triton_models.read.conversion import convert_reader
from triton_models.read.float_network import write_float_network
from triton_models.read.kernel_network import kernel_network
from triton_models.read.networks import cpu_network, onnxruntime_network
from triton_models.read.weights import ReaderWeights, StoredMatrix, pack

Floats = npt.NDArray[np.float32]
needs_cpu = pytest.mark.skipif(
    not (kernels_are_faster() and kernels.HAS_VNNI), reason="a CPU without AVX512-VNNI, or NUMBA_DISABLE_JIT"
)
_random = np.random.default_rng(13)
TEXTS = [[0, *_random.integers(4, len(PIECES), size), 2] for size in (30, 9, 61, 17)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reader")
    write_tiny_e5(folder / "e5.bin")
    pack(trained_state(), FIRST).save(folder / "trained.npz")
    return folder


@pytest.fixture(scope="module")
def network(weights: Path) -> Path:
    roles = convert_reader(weights / "e5.bin", weights / "trained.npz", weights, silent)
    assert roles.keys() == {"network", "tokenizer", "normalization"}
    return weights / roles["network"]


@pytest.fixture(scope="module")
def expected(weights: Path) -> Floats:
    """Of the parameters before they were packed."""
    state = trained_state()

    def trained(name: str) -> Floats | None:
        layer, _, rest = name.partition(".")
        part, _, kind = rest.partition(".")
        if name.startswith("head") or layer == "emb":
            return state.get(name.replace(".w", ".weight").replace(".b", ".bias"))
        own = {"ao": "output", "fi": "inner", "fo": "outer", "aln": "an", "oln": "on"}.get(part, "joint")
        values = state.get(f"upper.{int(layer[1:]) - FIRST}.{own}.{'weight' if kind == 'w' else 'bias'}")
        return np.split(values, 3)["qkv".index(part)] if values is not None and part in "qkv" else values

    return reference(E5Weights(weights / "e5.bin"), trained)


@pytest.fixture(scope="module")
def expected_of_stored(weights: Path) -> Floats:
    """Of the parameters as the file has them."""
    return reference(E5Weights(weights / "e5.bin"), stored(weights).get)


def stored(weights: Path) -> dict[str, Floats]:
    """The parameters of the file of trained layers."""
    trained = ReaderWeights.load(weights / "trained.npz")
    return {name: matrix.dequantized() for name, matrix in trained.matrices.items()} | dict(trained.vectors)


def reference(e5: E5Weights, trained: Callable[[str], Floats | None]) -> Floats:
    """The logits of TEXTS in float32, by the definition (Vaswani et al., NeurIPS 2017; Devlin et al., NAACL 2019).

    `trained`: what takes the place of the encoder's own parameters, by their names in it; None: nothing.
    """
    ids, mask = padded(TEXTS)

    def floats(name: str) -> Floats:
        found = trained(name)
        return e5.floats(name) if found is None else found

    def product(x: Floats, name: str) -> Floats:
        matrix = trained(name + ".w")
        if matrix is None:
            matrix = e5.matrix(name + ".w", x.shape[-1]).dequantized()
        result: Floats = x @ matrix.T + floats(name + ".b")
        return result

    def normalized(x: Floats, name: str) -> Floats:
        centered = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centered**2).mean(axis=-1, keepdims=True) + SHAPE.epsilon)
        result: Floats = centered / deviation * floats(name + ".w") + floats(name + ".b")
        return result

    def layer(x: Floats, place: str) -> Floats:
        n, length, width = x.shape
        query, key, value = (
            product(x, place + part).reshape(n, length, SHAPE.heads, -1).transpose(0, 2, 1, 3) for part in "qkv"
        )
        scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(width / SHAPE.heads)
        scores = np.where(mask[:, None, None, :] > 0, scores, -np.inf)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (shares / shares.sum(axis=-1, keepdims=True)) @ value
        attention = product(mixed.transpose(0, 2, 1, 3).reshape(x.shape), place + "ao")
        x = normalized(x + attention, place + "aln")
        inner = product(x, place + "fi")
        gelu = inner * (1 + np.vectorize(math.erf)(inner / math.sqrt(2))) / 2
        return normalized(x + product(gelu, place + "fo"), place + "oln")

    positions = e5.floats("emb.pos").reshape(-1, SHAPE.hidden)[: ids.shape[1]] + e5.floats("emb.type")
    x = normalized(e5.matrix("emb.word", SHAPE.hidden).dequantized()[ids] + positions, "emb.ln")
    for index in range(SHAPE.layers):
        x = layer(x, f"l{index}.")
    return product(x, "head").astype(np.float32)


def apart(found: Floats, expected: Floats) -> float:
    """The greatest difference at a token, as a share of how much logits differ among tokens."""
    tokens = padded(TEXTS)[1] > 0
    return float(np.abs(found - expected)[tokens].max() / expected[tokens].std())


def test_the_network_computes_what_was_trained(network: Path, expected: Floats) -> None:
    assert apart(onnxruntime_network(network, 1)(*padded(TEXTS)), expected) < 0.15


@needs_cpu
@pytest.mark.parametrize("threads", [1, 2])
def test_kernels_compute_the_same(network: Path, expected: Floats, threads: int) -> None:
    run = kernel_network(network, threads)
    together = run(*padded(TEXTS))
    assert together.shape == (*padded(TEXTS)[0].shape, 2)
    assert apart(together, expected) < 0.15
    alone = run(*padded(TEXTS[1:2]))
    np.testing.assert_allclose(together[1, : len(TEXTS[1])], alone[0, : len(TEXTS[1])], atol=1e-5)


def test_torch_computes_the_same(weights: Path, network: Path) -> None:
    """It reads the prepared file, whose lower layers are in int8, too."""
    pytest.importorskip("torch", reason="Torch is an extra: pip install torch")
    from triton_models.read.torch_network import torch_network

    e5, known = E5Weights(weights / "e5.bin"), stored(weights)

    def served(name: str) -> Floats | None:
        if name in known or not name.startswith("l") or name.endswith(("ln.w", ".b")):
            return known.get(name)
        matrix = e5.matrix(name, SHAPE.feed_forward if ".fo." in name else SHAPE.hidden).dequantized()
        return StoredMatrix.quantized(matrix, outliers=".fo." in name).dequantized()

    assert apart(torch_network(network, "cpu", 1)(*padded(TEXTS)), reference(e5, served)) < 1e-4


def test_the_float_network_computes_the_same(weights: Path, expected_of_stored: Floats) -> None:
    e5, trained = E5Weights(weights / "e5.bin"), ReaderWeights.load(weights / "trained.npz")
    agreement = SpanReader().agreement
    ids, mask = padded(TEXTS)
    found = []
    precisions: tuple[Precision, ...] = ("fp32", "fp16")
    for precision in precisions:
        path = weights / f"{precision}.onnx"
        write_float_network(e5, trained, path, precision)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (logits,) = session.run(["logits"], {"input_ids": ids, "attention_mask": mask})
        found.append({"logits": logits})
    whole, half = found
    assert apart(whole["logits"], expected_of_stored) < 1e-4
    assert 0.99 < agreement(whole, half) < 1.0 == agreement(whole, whole)
    assert agreement(whole, {"logits": whole["logits"][::-1]}) < SpanReader().least_agreement


def test_little_is_lost_by_packing(expected: Floats, expected_of_stored: Floats) -> None:
    assert 0 < apart(expected_of_stored, expected) < 0.1


def test_layers_of_another_encoder_are_refused(weights: Path, tmp_path: Path) -> None:
    pack(trained_state(first=2), first=1).save(tmp_path / "short.npz")
    with pytest.raises(ConversionFailed, match="no upper layers of this encoder"):
        convert_reader(weights / "e5.bin", tmp_path / "short.npz", tmp_path, silent)


def test_another_network_is_not_run_as_a_reader(tmp_path: Path) -> None:
    write_tiny_encoder(tmp_path / "tiny")
    model = onnx.load(str(tmp_path / "tiny" / "model.onnx"))
    model.graph.output[0].name = model.graph.node[-1].output[0] = "logits"
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(ConversionFailed, match="only networks that Pinakes wrote are read here"):
        kernel_network(tmp_path / "other.onnx", 1)
    ids, mask = padded([[0, 7, 8, 2]])
    np.testing.assert_array_equal(
        cpu_network(tmp_path / "other.onnx", 1)(ids, mask), onnxruntime_network(tmp_path / "other.onnx", 1)(ids, mask)
    )
