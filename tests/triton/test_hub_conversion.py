"""What of a repository of the hub cannot be served is refused when it is prepared, with what to change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

from tests.triton.tiny_hub import POSITIONS, TinyBert, TinyRoberta
from triton_models.catalogue import Option
from triton_models.conversions import convert
from triton_models.errors import ConversionFailed
from triton_models.hub import openvino_network
from triton_models.hub.networks import Network
from triton_models.progress import silent

Artifacts = dict[str, Path]


def encoder(folder: Path, artifacts: Artifacts, **options: Option) -> dict[str, str]:
    return _converted("hf-encoder", "embed", folder, artifacts, options)


def cross_encoder(folder: Path, artifacts: Artifacts, **options: Option) -> dict[str, str]:
    return _converted("hf-cross-encoder", "rerank", folder, artifacts, options)


def _converted(name: str, slot: str, folder: Path, artifacts: Artifacts, options: dict[str, Option]) -> dict[str, str]:
    target = folder / "model"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    return convert(name, slot, artifacts, options, target, silent).parameters


def changed(network: Path, change: Callable[[onnx.GraphProto], object]) -> None:
    model = onnx.load(str(network))
    change(model.graph)
    onnx.save(model, network)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({}, "give the repository's 1_Pooling/config.json as the artifact `pooling`, or say the option `pooling`"),
        ({"pooling": "median"}, r"pooling: .*there is max_tokens, passage_prefix, pooling, query_prefix$"),
        ({"prefix": "query: "}, "prefix: Extra inputs are not permitted"),
        ({"pooling": "cls", "query_prefix": "a\x00b"}, "query_prefix"),
        ({"pooling": "cls", "max_tokens": "512"}, "max_tokens: Input should be a valid integer"),
        (
            {"pooling": "cls", "max_tokens": POSITIONS + 1},
            f"max_tokens is 41, and by its config.json .* reads {POSITIONS}",
        ),
    ],
)
def test_an_encoder_s_entry(tmp_path: Path, options: dict[str, Option], wrong: str) -> None:
    with pytest.raises(ConversionFailed, match=wrong):
        encoder(tmp_path, TinyBert().write(tmp_path / "repository"), **options)


@pytest.mark.parametrize(
    ("labels", "config", "options", "wrong"),
    [
        (2, {}, {}, "tells 2 labels apart: say in `label`"),
        (2, {}, {"label": 2}, "`label` is 2, and the network's labels are 0 to 1"),
        (1, {}, {"activation": "tanh"}, "activation"),
        (1, {"sentence_transformers": {"activation_fn": "torch.nn.Tanh"}}, {}, "go through Tanh; say in `activation`"),
        (0, {}, {}, "no output logits.*it is no cross-encoder"),
    ],
)
def test_a_cross_encoder_s_entry(
    tmp_path: Path, labels: int, config: dict[str, object], options: dict[str, Option], wrong: str
) -> None:
    with pytest.raises(ConversionFailed, match=wrong):
        cross_encoder(tmp_path, TinyBert(labels=labels).write(tmp_path / "repository", config=config), **options)


def test_a_prompt_before_pairs_is_not_done(tmp_path: Path) -> None:
    told = tmp_path / "config_sentence_transformers.json"
    told.write_text(json.dumps({"prompts": {"web": "Find what answers"}, "default_prompt_name": "web"}))
    artifacts = TinyBert(labels=1).write(tmp_path / "repository") | {"sentence_transformers": told}
    with pytest.raises(ConversionFailed, match=r"config_sentence_transformers\.json pairs have a prompt before them"):
        cross_encoder(tmp_path, artifacts)


def test_a_cross_encoder_is_no_encoder(tmp_path: Path) -> None:
    with pytest.raises(ConversionFailed, match=r"no output last_hidden_state.*but logits; .*feature-extraction"):
        encoder(tmp_path, TinyBert(labels=1).write(tmp_path / "repository"), pooling="cls")


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "one pooling .* but mean, cls$"),
        ({"pooling_mode_weightedmean_tokens": True}, "but pooling_mode_weightedmean_tokens$"),
        ({"pooling_mode": "mean_sqrt_len_tokens"}, "but mean_sqrt_len_tokens$"),
        ({"pooling_mode_cls_token": True, "include_prompt": False}, "leaves out the prefix"),
        ([], "holds no object"),
    ],
)
def test_a_pooling_that_is_not_done_here(tmp_path: Path, told: object, wrong: str) -> None:
    artifacts = TinyRoberta().write(tmp_path / "repository")
    artifacts["pooling"].write_text(json.dumps(told))
    with pytest.raises(ConversionFailed, match=wrong):
        encoder(tmp_path, artifacts)


@pytest.mark.parametrize("told", [{"pooling_mode_lasttoken": True}, {"pooling_mode": "lasttoken"}])
def test_both_ways_to_say_a_pooling_are_read(tmp_path: Path, told: object) -> None:
    artifacts = TinyRoberta().write(tmp_path / "repository")
    artifacts["pooling"].write_text(json.dumps(told))
    assert encoder(tmp_path, artifacts)["pooling"] == "last"


@pytest.mark.parametrize(
    ("role", "content", "wrong"),
    [
        ("config", "not json", r"config\.json is no JSON"),
        ("config", '{"vocab_size": 5}', "the tokenizer has 18 pieces, and by its config.json the model knows 5"),
        ("tokenizer", "{}", r"tokenizer\.json is no tokenizer\.json .*AutoTokenizer"),
        ("network", "not onnx", r"model\.onnx is no ONNX file.*optimum-cli"),
        ("network", "", r"model\.onnx cannot be run.*optimum-cli"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, role: str, content: str, wrong: str) -> None:
    artifacts = TinyBert().write(tmp_path / "repository")
    artifacts[role].write_text(content)
    with pytest.raises(ConversionFailed, match=wrong):
        encoder(tmp_path, artifacts, pooling="cls")


def test_weights_in_files_of_their_own(tmp_path: Path) -> None:
    artifacts = TinyBert().write(tmp_path / "repository", external=True)
    alone = {role: path for role, path in artifacts.items() if role != "network_data"}
    with pytest.raises(ConversionFailed, match=r"weights in model\.onnx_data: .* a role that begins with network_data"):
        encoder(tmp_path, alone, pooling="cls")
    strange = artifacts["network_data"].rename(tmp_path / "weights.bin")
    with pytest.raises(ConversionFailed, match=r"keeps weights in model\.onnx_data"):
        encoder(tmp_path, artifacts | {"network_data": strange}, pooling="cls")
    inside = TinyBert().write(tmp_path / "inside")
    with pytest.raises(ConversionFailed, match=r"does not read weights\.bin"):
        encoder(tmp_path, inside | {"network_data": strange}, pooling="cls")


def test_networks_of_other_inputs(tmp_path: Path) -> None:
    artifacts = TinyBert().write(tmp_path / "repository")
    wanted = helper.make_tensor_value_info("position_ids", onnx.TensorProto.INT64, ["batch", "sequence"])
    changed(artifacts["network"], lambda graph: graph.input.append(wanted))
    with pytest.raises(ConversionFailed, match="wants position_ids, which no text has"):
        encoder(tmp_path, artifacts, pooling="cls")


def test_networks_of_one_size(tmp_path: Path) -> None:
    artifacts = TinyBert().write(tmp_path / "repository")

    def fix(graph: onnx.GraphProto) -> None:
        for each in graph.input:
            each.type.tensor_type.shape.dim[0].dim_value = 1

    changed(artifacts["network"], fix)
    with pytest.raises(ConversionFailed, match="takes only inputs of one size"):
        encoder(tmp_path, artifacts, pooling="cls")


def test_openvino_takes_only_what_it_can_and_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts = TinyBert().write(tmp_path / "repository")
    assert encoder(tmp_path, artifacts, pooling="mean")["openvino"] == "True"

    def wrong(file: Path, output: str, threads: int) -> Network:
        return lambda batch: np.ones((*batch.ids.shape, 24), np.float32)

    def failing(file: Path, output: str, threads: int) -> Network:
        raise RuntimeError("no such operator")

    for other in (wrong, failing):
        monkeypatch.setattr(openvino_network, "openvino_network", other)
        assert encoder(tmp_path, artifacts, pooling="mean")["openvino"] == "False"


def test_a_quantized_network_is_left_to_onnx_runtime(tmp_path: Path) -> None:
    artifacts = TinyBert(labels=1).write(tmp_path / "repository")
    quantized = tmp_path / "model_quantized.onnx"
    quantize_dynamic(artifacts["network"], quantized)
    assert cross_encoder(tmp_path, artifacts)["openvino"] == "True"
    assert cross_encoder(tmp_path, artifacts | {"network": quantized})["openvino"] == "False"


def _with_constant(artifacts: Artifacts, name: str, value: float) -> None:
    def replace(graph: onnx.GraphProto) -> None:
        [old] = [each for each in graph.initializer if each.name == name]
        old.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(old), value), name))

    changed(artifacts["network"], replace)


def test_a_network_that_does_not_heed_its_mask(tmp_path: Path) -> None:
    artifacts = TinyBert(hidden=8).write(tmp_path / "repository")
    _with_constant(artifacts, "masked", 0.0)
    with pytest.raises(ConversionFailed, match="beside a longer one than alone: it does not heed its attention_mask"):
        encoder(tmp_path, artifacts, pooling="mean")


def test_a_network_that_gives_no_numbers(tmp_path: Path) -> None:
    artifacts = TinyBert().write(tmp_path / "repository")
    _with_constant(artifacts, "positions", np.nan)
    with pytest.raises(ConversionFailed, match=r"cannot be run: .* no direction"):
        encoder(tmp_path, artifacts, pooling="mean")


def test_a_network_that_reads_less_than_its_config_says(tmp_path: Path) -> None:
    artifacts = TinyBert().write(tmp_path / "repository", config={"max_position_embeddings": 2 * POSITIONS})
    with pytest.raises(ConversionFailed, match=r"fails with 80 tokens .* say fewer in `max_tokens`"):
        encoder(tmp_path, artifacts, pooling="mean")
    assert encoder(tmp_path, artifacts, pooling="mean", max_tokens=POSITIONS)["max_tokens"] == str(POSITIONS)


def test_a_tokenizer_without_marks_separates_no_pairs(tmp_path: Path) -> None:
    artifacts = TinyBert(labels=1).write(tmp_path / "repository")
    told = json.loads(artifacts["tokenizer"].read_text())
    artifacts["tokenizer"].write_text(json.dumps(told | {"post_processor": None}))
    with pytest.raises(ConversionFailed, match="no mark between query and passage"):
        cross_encoder(tmp_path, artifacts)
