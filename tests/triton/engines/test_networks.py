"""The networks of the profile `gpu`, as they are written for TensorRT, computed by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from triton_models.embed.encoder import DIMENSION, MAX_TOKENS
from triton_models.embed.float_network import Precision, write_float_network
from triton_models.embed.networks import LENGTH_STEP, onnxruntime_network
from triton_models.embed.weights import E5Weights
from triton_models.engines.__main__ import app
from triton_models.engines.building import planned_engines
from triton_models.engines.conversion import write_converted
from triton_models.engines.deployment import Deployment, input_shapes
from triton_models.engines.errors import InvalidDeployment, ToolkitMissing
from triton_models.engines.networks import NETWORKS, TextEncoder, TokenEncoder
from triton_models.engines.tensorrt_toolkit import TensorRtToolkit
from triton_models.engines.toolkit import Arrays, Dims
from triton_models.errors import ConversionFailed
from triton_models.ocr.detection import DetectionOptions, network_size
from triton_models.ocr.recognition import LINE_HEIGHT, RecognitionOptions, batches, padded_width
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels
from triton_models.rerank import float_network as rerank_float_network
from triton_models.rerank import network as rerank_network
from triton_models.rerank.head import Head

PLANNED = {planned.name: planned for planned in planned_engines("gpu")}
ROWS_OF_EMBED = 64
"""The model's max_batch_size."""


def held(name: str, tensor: str, dims: Dims) -> bool:
    planned = PLANNED[name]
    profiles = [input_shapes(planned.network, profile) for profile in planned.deployment.profiles]
    return any(profile[tensor].holds(dims) for profile in profiles)


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_every_page_fits_the_detector(height: int, width: int) -> None:
    assert held("ocr.detector", "x", (1, 3, *network_size(height, width, DetectionOptions())))


@given(st.lists(st.integers(8, RecognitionOptions().max_width_px), min_size=1, max_size=80))
def test_every_batch_of_lines_fits_the_recognizer(widths: list[int]) -> None:
    options = RecognitionOptions()
    for members in batches(widths, options):
        width = padded_width(max(widths[member] for member in members), options)
        assert held("ocr.recognizer", "x", (len(members), 3, LINE_HEIGHT, width))


@given(st.integers(1, ROWS_OF_EMBED), st.integers(2, MAX_TOKENS))
def test_every_batch_of_texts_fits_the_encoder(rows: int, length: int) -> None:
    padded = -(-length // LENGTH_STEP) * LENGTH_STEP
    assert held("embed.network", "input_ids", (rows, padded))


ENCODER = {"precision": "fp16", "profiles": [{"n": [1, 2, 4], "length": [16, 32, 64]}]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"profiles": [{"n": [1, 2, 4], "length": [32, 16, 64]}]}, "length goes from 32 over 16 to 64"),
        ({"profiles": [{"n": [1, 2, 4]}]}, "a profile spans length, n, not n"),
        ({"profiles": [{"n": [1, 2, 4], "length": [10, 16, 64]}]}, "length comes in steps of 16"),
        ({"profiles": []}, "at least 1"),
        ({"precision": "int4"}, "'fp32', 'fp16' or 'bf16'"),
        ({"instances": 0}, "greater than 0"),
        ({"batch": 4}, "Extra inputs"),
    ],
)
def test_a_deployment_that_cannot_be_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidDeployment, match=said):
        Deployment.parse("embed", {"network": ENCODER | change})


def test_networks_and_precisions_that_there_are_not_are_refused() -> None:
    with pytest.raises(InvalidDeployment, match="no such network"):
        Deployment.parse("embed", {"decoder": ENCODER})
    with pytest.raises(InvalidDeployment, match="fp16, fp32"):
        table = {"precision": "bf16", "profiles": [{"n": [1, 1, 1], "height": [32] * 3, "width": [32] * 3}]}
        Deployment.parse("ocr", {"detector": table})


def test_without_tensorrt_it_is_said_what_is_missing() -> None:
    with pytest.raises(ToolkitMissing, match="extra `tensorrt`"):
        TensorRtToolkit()


@pytest.mark.parametrize("command", [["build"], ["verify"], ["build", "--only", "embed.network"]])
def test_the_command_says_it_in_a_sentence(tmp_path: Path, command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--cache", str(tmp_path)])
    assert result.exit_code == 1
    assert "engines cannot be built here" in " ".join(result.output.split())
    assert "Traceback" not in result.output


@pytest.fixture(scope="module")
def ocr_files(model_cache: Path) -> dict[str, Path]:
    return PreparedModels.open(prepare(model_cache, only=["ocr"])).paths("ocr")


@pytest.mark.models
@pytest.mark.parametrize(
    ("role", "sizes"),
    [("detector", {"n": 2, "height": 320, "width": 480}), ("recognizer", {"n": 2, "width": 320})],
)
def test_networks_in_half_precision_read_the_same(
    ocr_files: dict[str, Path], tmp_path: Path, role: str, sizes: dict[str, int]
) -> None:
    network, results = NETWORKS["ocr", role], []
    inputs = network.sample(sizes, np.random.default_rng(3))
    precisions: Sequence[Precision] = ("fp32", "fp16")
    for precision in precisions:
        path = tmp_path / f"{precision}.onnx"
        network.write({role: ocr_files[role]}, path, precision)
        model = onnx.load(str(path))
        onnx.checker.check_model(model, full_check=True)
        kinds = {constant.data_type for constant in model.graph.initializer if len(constant.dims) == 4}
        assert kinds == {onnx.TensorProto.FLOAT if precision == "fp32" else onnx.TensorProto.FLOAT16}
        results.append(outputs_of(path, inputs))
    assert {name: values.dtype.name for name, values in results[1].items()} == {
        tensor.name: tensor.type for tensor in network.outputs
    }
    assert network.agreement(*results) > network.least_agreement
    assert network.agreement(results[0], {name: values * 0 for name, values in results[0].items()}) < 0.5


def outputs_of(path: Path, inputs: Arrays) -> Arrays:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def test_half_precision_that_a_network_does_not_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "g", [x], [x])
    onnx.save(onnx.helper.make_model(graph), str(path))
    with pytest.raises(ConversionFailed, match="not in bf16"):
        write_converted(path, tmp_path / "out.onnx", "bf16")


VOCABULARY = 2_000


@pytest.fixture(scope="module")
def weights(model_cache: Path) -> E5Weights:
    """Those of the model, with a short word table: the test reads few words."""
    planned = PLANNED["embed.network"]
    prepare(model_cache, only=["embed"])
    (path,) = (model_cache / "artifacts" / planned.artifacts["weights"][1].sha256).iterdir()
    parsed = E5Weights(path)
    pieces = parsed.vocabulary.pieces[:VOCABULARY]
    parsed.vocabulary = replace(parsed.vocabulary, pieces=pieces)
    return parsed


@pytest.mark.models
def test_the_float_encoder_is_the_encoder(weights: E5Weights, model_cache: Path, tmp_path: Path) -> None:
    network = TextEncoder(vocabulary=VOCABULARY)
    inputs = network.sample({"n": 6, "length": 48}, np.random.default_rng(5))
    paths = {}
    precisions: Sequence[Precision] = ("fp32", "fp16")
    for precision in precisions:
        paths[precision] = tmp_path / f"{precision}.onnx"
        write_float_network(weights, paths[precision], precision)
    whole, half = (outputs_of(paths[precision], inputs) for precision in precisions)
    np.testing.assert_allclose(np.linalg.norm(whole["embedding"], axis=1), 1, atol=1e-5)
    assert network.agreement(whole, half) > 0.9999
    # The form that serves on a CPU is in int8; on random words it is a little farther away than on text.
    file = PreparedModels.open(prepare(model_cache, only=["embed"])).paths("embed")["network"]
    small = onnxruntime_network(file, 1)(inputs["input_ids"], inputs["attention_mask"])
    assert 0.99 < network.agreement(whole, {"embedding": small}) < 0.9999
    # Padding does not count.
    alone = {name: values[1:2, : int(inputs["attention_mask"][1].sum())] for name, values in inputs.items()}
    one = outputs_of(paths["fp32"], alone)
    assert float(one["embedding"][0] @ whole["embedding"][1]) > 0.99999


@pytest.mark.models
def test_the_float_reranker_is_the_reranker(weights: E5Weights, tmp_path: Path) -> None:
    network, random = TokenEncoder(vocabulary=VOCABULARY), np.random.default_rng(6)
    head = tmp_path / "head.npz"
    center = random.normal(0, 0.1, DIMENSION).astype(np.float32)
    replace(Head.untrained(center, 8, 1), importance=center, information_weight=0.3).save(head)
    inputs = network.sample({"n": 4, "length": 32}, random)
    rerank_network.write_network(weights, Head.load(head), tmp_path / "int8.onnx")
    small = outputs_of(tmp_path / "int8.onnx", inputs)
    rerank_float_network.write_float_network(weights, Head.load(head), tmp_path / "fp16.onnx", "fp16")
    half = outputs_of(tmp_path / "fp16.onnx", inputs)
    assert [(each.name, each.type) for each in network.outputs] == [(k, v.dtype.name) for k, v in half.items()]
    assert 0.9 < network.agreement(small, half) < 0.9999
    assert network.agreement(half, half) > 0.99999


@pytest.mark.models
def test_the_encoder_can_be_written_in_bfloat16(weights: E5Weights, tmp_path: Path) -> None:
    """ONNX Runtime has no bfloat16 on the CPU: the file is checked, not run."""
    path = tmp_path / "bf16.onnx"
    write_float_network(weights, path, "bf16")
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    kinds = {constant.data_type for constant in model.graph.initializer}
    assert kinds == {onnx.TensorProto.BFLOAT16, onnx.TensorProto.INT64}
