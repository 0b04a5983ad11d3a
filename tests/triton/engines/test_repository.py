"""The profile `gpu` in a real Triton, except for TensorRT itself.

The wheel's Triton has the python backend only. So the configurations of the networks are read strictly and checked
against the networks, and then a python model that runs the same network in ONNX Runtime takes the engine's place: what
calls the networks, with which tensors, and what comes of it, is real.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from PIL import Image, ImageDraw, ImageFont
from tritonclient.grpc import InferenceServerClient, InferInput, model_config_pb2

from server.embedded.process import Launch, running
from server.embedded.triton import EmbeddedTriton, TritonOptions
from tests.triton.engines.onnx_runtime import OnnxRuntimeToolkit
from tests.triton.small_catalogue import file_artifact
from triton_models.bls import network_name
from triton_models.catalogue import Catalogue, Slot, load_catalogue
from triton_models.engines.building import PlannedEngine, planned_engines
from triton_models.engines.cache import AcceptedEngine, EngineCache
from triton_models.engines.conversion import with_likeliest_class, write_converted
from triton_models.engines.errors import EngineMissing
from triton_models.engines.repository import render_with_engines
from triton_models.errors import InvalidCatalogue
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels
from triton_models.rendering import render, render_missing
from triton_models.rerank.head import Head

pytestmark = pytest.mark.models

SLOTS = ["embed", "ocr"]
RERANKER = "late@1"
PLANNED = [planned for planned in planned_engines("gpu") if planned.slot in SLOTS]
TOOLKIT = OnnxRuntimeToolkit()


@pytest.fixture(scope="module")
def prepared(model_cache: Path) -> PreparedModels:
    return PreparedModels.open(prepare(model_cache, only=SLOTS))


def network_file(planned: PlannedEngine, prepared: PreparedModels, folder: Path) -> Path:
    """The planned network as ONNX Runtime reads it; that of `embed` is int8 here, since that is there already."""
    source = prepared.paths(planned.slot)[planned.role]
    if planned.role != "recognizer":
        return source
    path = folder / "recognizer.onnx"
    write_converted(source, path, "fp32", with_likeliest_class)
    return path


def publish(planned: PlannedEngine, prepared: PreparedModels, folder: Path) -> None:
    """An ONNX file as an accepted engine of the cache `folder`."""
    engines, key = EngineCache(folder), planned.key(TOOLKIT)
    with engines.building(key, lambda: None), engines.scratch(key) as scratch:
        plan = scratch / "model.plan"
        shutil.copyfile(network_file(planned, prepared, folder), plan)
        size = plan.stat().st_size
        engines.publish(AcceptedEngine(key=key, plan_sha256="", plan_bytes=size, agreement=1, samples=0), plan)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, prepared: PreparedModels) -> Path:
    """Rendered with engines that are ONNX files."""
    folder = tmp_path_factory.mktemp("gpu")
    for planned in PLANNED:
        publish(planned, prepared, folder)
    out = folder / "repository"
    return render_with_engines("gpu", prepared.directory, out, PLANNED, TOOLKIT, folder, cores=2)


@pytest.fixture(scope="module")
def reranking(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> Path:
    """The repository of a reranker whose head is not trained."""
    folder = tmp_path_factory.mktemp("reranking")
    Head.untrained(np.zeros(384, np.float32), rank=4, seed=1).save(folder / "head.npz")
    encoder = load_catalogue().artifacts["e5-small-q4"]
    head = file_artifact(folder / "head.npz", (folder / "head.npz").read_bytes())
    slot = Slot(
        model="late", version=1, conversion="late-interaction", artifacts={"weights": "e5-small-q4", "head": "head"}
    )
    catalogue = Catalogue(artifacts={"e5-small-q4": encoder, "head": head}, slots={"rerank": slot})
    models = prepare(folder, catalogue=catalogue, local=model_cache / "artifacts" / encoder.sha256)
    planned = list(planned_engines("gpu", catalogue))
    assert [each.name for each in planned] == ["rerank.network"]
    publish(planned[0], PreparedModels.open(models), folder)
    return render_with_engines("gpu", models, folder / "repository", planned, TOOLKIT, folder, cores=2)


def config_of(folder: Path) -> model_config_pb2.ModelConfig:
    return text_format.Parse((folder / "config.pbtxt").read_text(encoding="utf-8"), model_config_pb2.ModelConfig())


def test_every_model_has_its_networks(repository: Path, prepared: PreparedModels) -> None:
    networks = {network_name(prepared.slots[planned.slot].model, planned.role) for planned in PLANNED}
    models = {slot.model for slot in prepared.slots.values()}
    assert {path.name for path in repository.iterdir()} == networks | models
    assert all((repository / name / "1" / "model.plan").stat().st_size for name in networks)


@pytest.mark.parametrize("planned", PLANNED, ids=lambda planned: planned.name)
def test_configurations_of_networks_say_what_the_networks_are(
    repository: Path, prepared: PreparedModels, planned: PlannedEngine
) -> None:
    name = network_name(prepared.slots[planned.slot].model, planned.role)
    config = config_of(repository / name)
    assert (config.name, config.platform, config.backend) == (name, "tensorrt_plan", "tensorrt")
    assert config.max_batch_size == max(profile["n"][2] for profile in planned.deployment.profiles)
    (group,) = config.instance_group
    assert group.kind == model_config_pb2.ModelInstanceGroup.KIND_GPU
    assert list(group.profile) == [str(index) for index, _ in enumerate(planned.deployment.profiles)]
    assert len(config.model_warmup) == len(planned.deployment.profiles)
    types: dict[int, int] = {
        onnx.TensorProto.FLOAT: model_config_pb2.TYPE_FP32,
        onnx.TensorProto.INT64: model_config_pb2.TYPE_INT64,
        onnx.TensorProto.INT32: model_config_pb2.TYPE_INT32,
    }
    graph = onnx.load(str(repository / name / "1" / "model.plan")).graph
    for ours, theirs in ((config.input, graph.input), (config.output, graph.output)):
        assert [each.name for each in ours] == [each.name for each in theirs]
        for each, value in zip(ours, theirs, strict=True):
            assert each.data_type == types[value.type.tensor_type.elem_type]
            sizes = [dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim]
            assert len(sizes) == 1 + len(each.dims)
            # A size that the network fixes is fixed in the configuration.
            assert all(dim == size for dim, size in zip(each.dims, sizes[1:], strict=True) if size != -1)


def test_the_server_sees_the_same_model_in_every_profile(
    repository: Path, prepared: PreparedModels, tmp_path: Path
) -> None:
    others = [render(profile, prepared.directory, tmp_path / profile, cores=2) for profile in ("cpu", "torch")]
    for slot in prepared.slots.values():
        ours = config_of(repository / slot.model)
        for other in others:
            theirs = config_of(other / slot.model)
            assert (ours.input, ours.output) == (theirs.input, theirs.output)
            assert ours.max_batch_size == theirs.max_batch_size
            assert ours.model_transaction_policy == theirs.model_transaction_policy
            assert ours.parameters["fingerprint"] == theirs.parameters["fingerprint"]


def test_an_engine_that_was_not_built_is_named(prepared: PreparedModels, tmp_path: Path) -> None:
    with pytest.raises(EngineMissing, match=r"no engine of embed\.network for ONNX Runtime 1 on no GPU"):
        render_with_engines("gpu", prepared.directory, tmp_path / "out", PLANNED, TOOLKIT, tmp_path, cores=2)
    assert list(tmp_path.iterdir()) == []


def test_models_that_call_engines_are_not_written_without_them(prepared: PreparedModels, tmp_path: Path) -> None:
    with pytest.raises(InvalidCatalogue, match=r"engines repository"):
        render("gpu", prepared.directory, tmp_path / "out", cores=2)
    with pytest.raises(InvalidCatalogue, match=r"engines repository"):
        render_missing("gpu", prepared.directory, tmp_path / "out", cores=2)
    assert list(tmp_path.iterdir()) == []


class StrictTriton(EmbeddedTriton):
    """Completes nothing that a configuration leaves out."""

    def launch(self) -> Launch:
        launch = super().launch()
        return replace(launch, argv=(*launch.argv, "--strict-model-config=true"))


@dataclass(frozen=True)
class Served:
    client: InferenceServerClient
    admin: dict[str, str]

    def calls(self, model: str) -> int:
        """Rows that the model has answered."""
        statistics = self.client.get_inference_statistics(model, headers=self.admin)
        return int(statistics.model_stats[0].inference_count)


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, repository: Path, reranking: Path, environment: dict[str, str]
) -> Iterator[Served]:
    """A Triton with both repositories, where a python model takes the place of each engine."""
    folder = tmp_path_factory.mktemp("strict")
    models = shutil.copytree(repository, folder / "repository")
    shutil.copytree(reranking, models, dirs_exist_ok=True)
    for network in models.glob("*.*"):
        if not (network / "1" / "model.plan").exists():
            continue
        config = config_of(network)
        config.platform, config.backend, config.default_model_filename = "", "python", ""
        del config.instance_group[:], config.model_warmup[:]
        config.instance_group.add(kind=model_config_pb2.ModelInstanceGroup.KIND_CPU, count=1)
        (network / "config.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")
        shutil.copy(Path(__file__).with_name("onnx_runtime_model") / "model.py", network / "1" / "model.py")
    server = StrictTriton(models, folder / "data", environment, TritonOptions(exit_grace_s=1))
    with running(server, folder / "triton.log"), InferenceServerClient(server.address) as client:
        yield Served(client, dict([server.admin_header]))


def bytes_input(name: str, values: list[bytes]) -> InferInput:
    tensor = InferInput(name, [len(values), 1], "BYTES")
    tensor.set_data_from_numpy(np.array(values, dtype=np.object_).reshape(-1, 1))
    return tensor


@pytest.mark.stack
def test_texts_are_embedded_by_the_served_network(served: Served, prepared: PreparedModels) -> None:
    """`golden_embeddings.npy`: see test_encoder."""
    texts = [
        "The lighthouse keeper wrote the weather into the log every evening.",
        "灯台守は毎晩、日誌に天気を書き込んだ。",
        "Der Leuchtturmwärter schrieb jeden Abend das Wetter ins Logbuch.",
    ]
    inputs = [bytes_input("TEXT", [text.encode() for text in texts]), bytes_input("KIND", [b"passage"] * len(texts))]
    model = prepared.slots["embed"].model
    found = served.client.infer(model, inputs).as_numpy("EMBEDDING")
    golden = np.load(Path(__file__).parents[1] / "golden_embeddings.npy").astype(np.float32)[: len(texts)]
    assert np.sum(found * golden, axis=1).min() > 0.997
    assert served.calls(network_name(model, "network")) >= len(texts)


@pytest.mark.stack
def test_pages_are_read_by_the_served_networks(served: Served, prepared: PreparedModels) -> None:
    image = Image.new("L", (640, 320), 250)
    draw = ImageDraw.Draw(image)
    for line, text in enumerate(("Deliveries are taken at gate 7.", "Ring twice and wait.")):
        draw.text((40, 60 + 100 * line), text, fill=10, font=ImageFont.load_default(34))
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    answer = served.client.infer(prepared.slots["ocr"].model, [bytes_input("IMAGE", [encoded.getvalue()])])
    page = json.loads(answer.as_numpy("PAGE")[0, 0])
    assert all(served.calls(network_name(prepared.slots["ocr"].model, role)) for role in ("detector", "recognizer"))
    assert [line["text"] for line in page["lines"]] == ["Deliveries are taken at gate 7.", "Ring twice and wait."]


@pytest.mark.stack
def test_passages_are_scored_by_the_served_network(served: Served) -> None:
    passages = ["Apples are picked in September.", "The lighthouse keeper wrote the weather into the log.", " "]
    query = [b"Who wrote the weather into the log?"] * len(passages)
    inputs = [bytes_input("QUERY", query), bytes_input("PASSAGE", [passage.encode() for passage in passages])]
    apples, keeper, blank = served.client.infer(RERANKER, inputs).as_numpy("SCORE")[:, 0]
    assert keeper > apples > blank
    assert served.calls(network_name(RERANKER, "network")) > 0
