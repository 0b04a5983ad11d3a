"""A repository's files become a catalogue entry that can be prepared."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.triton.tiny_gguf import write_tiny_gguf
from tests.triton.tiny_hub import TinyBert, TinyRoberta
from triton_models.__main__ import app
from triton_models.catalogue import Additions, Catalogue, read_additions
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels

REVISION = "0" * 40


def entry(folder: Path, slot: str, *more: str, model: str = "tiny@2") -> Result:
    words = ["entry", str(folder), "--slot", slot, "--model", model, "--licence", 'MIT "like"', *more]
    return CliRunner().invoke(app, words)


def read(told: str, folder: Path) -> Additions:
    file = folder / "models.toml"
    file.write_text(told, encoding="utf-8")
    return read_additions(file)


def prepared(told: str, folder: Path, local: Path | None = None) -> PreparedModels:
    more = read(told, folder)
    catalogue = Catalogue(artifacts=more.artifacts, slots={}, models=more.models)
    return PreparedModels.open(prepare(folder / "cache", catalogue=catalogue, local=local))


def test_an_encoder_with_its_weights_apart_and_its_pooling(tmp_path: Path) -> None:
    TinyRoberta().write(tmp_path / "repository", external=True)
    told = entry(tmp_path / "repository", "embed")
    assert told.exit_code == 0, told.output
    models = prepared(told.output, tmp_path)
    assert models.models["tiny@2"].parameters["pooling"] == "mean"
    assert models.paths_of("tiny@2")["network_data"].name == "model.onnx_data"
    [licence] = {each.licence for each in read(told.output, tmp_path).artifacts.values()}
    assert licence == 'MIT "like"'


def test_files_of_the_hub_are_found_by_their_repository(tmp_path: Path) -> None:
    files = tmp_path / "files"
    TinyBert(labels=1).write_repository(files / "owner" / "tiny", {})
    told = entry(files / "owner" / "tiny", "rerank", "--hub", f"owner/tiny@{REVISION}")
    assert told.exit_code == 0, told.output
    assert f'hf = "owner/tiny@{REVISION}/onnx/model.onnx"' in told.output
    assert str(tmp_path) not in told.output
    assert prepared(told.output, tmp_path, local=files).models["tiny@2"].slot == "rerank"


def test_a_gguf(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "tiny-Q8_0.gguf", "{{ messages }}")
    told = entry(tmp_path, "generate")
    assert told.exit_code == 0, told.output
    assert prepared(told.output, tmp_path).paths_of("tiny@2")["weights"].name == "tiny-Q8_0.gguf"
    write_tiny_gguf(tmp_path / "tiny-Q4_0.gguf", "{{ messages }}")
    both = entry(tmp_path, "generate")
    assert both.exit_code == 1
    assert "has tiny-Q4_0.gguf, tiny-Q8_0.gguf: name the one" in " ".join(both.output.split())
    assert "tiny-Q4_0.gguf" in entry(tmp_path, "generate", "--network", "tiny-Q4_0.gguf").output
    assert "has no tiny-F16.gguf" in entry(tmp_path, "generate", "--network", "tiny-F16.gguf").output


@pytest.mark.parametrize(
    ("slot", "lacking", "wrong"),
    [
        ("embed", "tokenizer.json", "has no tokenizer.json, which a model of the hub needs"),
        ("embed", "model.onnx_data", "has no model.onnx_data, in which model.onnx keeps weights"),
        ("embed", "model.onnx", "has no onnx/model.onnx or model.onnx: name the one to take with --network"),
        ("ocr", "config.json", "no models of the hub for the slot ocr"),
    ],
)
def test_what_is_lacking_is_said(tmp_path: Path, slot: str, lacking: str, wrong: str) -> None:
    TinyBert().write(tmp_path, external=True)
    (tmp_path / lacking).unlink()
    told = entry(tmp_path, slot)
    assert told.exit_code == 1
    assert wrong in " ".join(told.output.split())


def test_a_name_without_a_version_makes_no_entry(tmp_path: Path) -> None:
    TinyBert().write(tmp_path)
    told = entry(tmp_path, "embed", model="tiny")
    assert told.exit_code == 1 and "makes no entry" in told.output
