"""The model repository is written from templates, for what is prepared."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from tests.triton.small_catalogue import artifact, catalogue_of, file_artifact, sha256
from triton_models.catalogue import Catalogue, Model, Source, read_additions
from triton_models.errors import InvalidCatalogue, NotPrepared, UnknownName
from triton_models.preparation import prepare, prepared_so_far
from triton_models.prepared import PreparedModels
from triton_models.rendering import PROFILES, divide, profiles, render, render_missing


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Prepared models whose one slot has what its template asks for."""
    catalogue = catalogue_of(generate=file_artifact(tmp_path / "model.gguf", b"weights"))
    return prepare(tmp_path / 'a "quoted" cache', catalogue=catalogue)


def test_a_config_names_the_files_the_threads_and_the_fingerprint(tmp_path: Path, models: Path) -> None:
    out = render("cpu", models, tmp_path / "repository", cores=3)
    name = "generate-model@1"
    assert [path.name for path in out.iterdir()] == [name]
    text = (out / name / "config.pbtxt").read_text(encoding="utf-8")
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert config.name == name
    values = {key: parameter.string_value for key, parameter in config.parameters.items()}
    assert Path(values["weights"]).read_bytes() == b"weights"
    assert values["threads"] == "3"
    assert values["fingerprint"].startswith("generate-model@1+")
    assert (out / name / "1" / "model.py").exists()


def test_what_a_model_says_besides_is_put_behind_the_template(tmp_path: Path, models: Path) -> None:
    prepared = PreparedModels.open(models)
    [model] = prepared.slots.values()
    told = {"score_weight": "0.5", "prefix": 'Say "so":\n\\ '}
    more = PreparedModels(models, [model.model_copy(update={"parameters": told})])
    out = render("cpu", more, tmp_path / "repository", cores=1)
    text = (out / model.model / "config.pbtxt").read_text(encoding="utf-8")
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert {key: config.parameters[key].string_value for key in told} == told
    assert config.parameters["fingerprint"].string_value == model.fingerprint


def test_rendering_replaces_what_was_there(tmp_path: Path, models: Path) -> None:
    out = tmp_path / "repository"
    (out / "old").mkdir(parents=True)
    render("cpu", models, out, cores=1)
    assert [path.name for path in out.iterdir()] == ["generate-model@1"]


def test_models_that_come_later_are_added_and_what_is_there_stays(tmp_path: Path, models: Path) -> None:
    out = render("cpu", models, tmp_path / "repository", cores=1)
    mark = out / "generate-model@1" / "mark"
    mark.touch()
    own = tmp_path / "own.toml"
    first, second = b"other weights", b"still others"
    (tmp_path / "second.gguf").write_bytes(second)
    own.write_text(
        f"""
        [models."generate-model@2"]
        slot = "generate"
        artifacts = {{ weights = "second" }}
        [artifacts.second]
        file = "second.gguf"
        sha256 = "{sha256(second)}"
        size_bytes = {len(second)}
        licence = "none"
        origin = "a test"
        sources = [ {{ file = "second.gguf" }} ]
        """
    )
    base = catalogue_of(generate=file_artifact(tmp_path / "first.gguf", first))
    catalogue = base.with_additions(read_additions(own))
    both = prepare(tmp_path / "cache", catalogue=catalogue)
    assert render_missing("cpu", both, out, cores=1) == ["generate-model@2"]
    assert render_missing("cpu", both, out, cores=1) == []
    assert mark.exists()
    config = text_format.Parse((out / "generate-model@2" / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    assert config.name == "generate-model@2"
    assert Path(config.parameters["weights"].string_value).read_bytes() == second


def test_what_is_not_prepared_or_cannot_be_rendered_keeps_nobody_from_serving(tmp_path: Path) -> None:
    base = catalogue_of(generate=file_artifact(tmp_path / "first.gguf", b"weights"))
    cache = tmp_path / "cache"
    prepare(cache, catalogue=base)
    absent = Source(file=tmp_path / "absent.bin")
    artifacts = base.artifacts | {"later": artifact(b"later", absent, file="later.gguf")}
    models = {
        "wrong@1": Model(slot="generate", artifacts={"other_role": "generate"}),
        "later@1": Model(slot="generate", artifacts={"weights": "later"}),
        "elsewhere@1": Model(slot="generation", artifacts={"weights": "generate"}),
    }
    catalogue = Catalogue(artifacts=artifacts, slots=base.slots, models=models)
    prepare(cache, catalogue=catalogue, only=["wrong@1", "elsewhere@1"])
    found = prepared_so_far(cache, catalogue)
    assert set(found.models) == {"generate-model@1", "wrong@1", "elsewhere@1"}
    out = render("cpu", found, tmp_path / "repository", cores=1)
    assert [path.name for path in out.iterdir()] == ["generate-model@1"]
    with pytest.raises(InvalidCatalogue, match="'weights' is no variable"):
        render_missing("cpu", prepare(cache, catalogue=catalogue, only=["generate", "wrong@1"]), out, cores=1)
    with pytest.raises(NotPrepared, match="generate-model@1"):
        prepared_so_far(tmp_path / "empty", catalogue)


def test_unknown_names_are_refused(tmp_path: Path, models: Path) -> None:
    with pytest.raises(UnknownName, match="no profile 'tpu'"):
        render("tpu", models, tmp_path / "repository", cores=1)
    with pytest.raises(UnknownName, match="no prepared slot 'embed'"):
        render("cpu", models, tmp_path / "repository", cores=1, slots=["embed"])


def test_a_variable_that_nobody_gives_is_named(tmp_path: Path) -> None:
    catalogue = catalogue_of(embed=file_artifact(tmp_path / "w.bin", b"weights"))
    with pytest.raises(InvalidCatalogue, match="'network' is no variable"):
        render("cpu", prepare(tmp_path / "cache", catalogue=catalogue), tmp_path / "repository", cores=1)


@pytest.mark.parametrize(
    ("cores", "threads_most", "instances_most", "expected"),
    [(1, 4, None, (1, 1)), (2, 4, None, (1, 2)), (6, 4, None, (2, 3)), (16, 4, None, (4, 4)), (64, 16, 1, (1, 16))],
)
def test_cores_are_divided(
    cores: int, threads_most: int, instances_most: int | None, expected: tuple[int, int]
) -> None:
    assert divide(cores, threads_most, instances_most) == expected


def test_llama_cpp_runs_alike_in_all_profiles() -> None:
    tables = {name: tomllib.loads((PROFILES / f"{name}.toml").read_text())["generate"] for name in profiles()}
    assert [name for name, table in tables.items() if table != tables["cpu"]] == []
