"""Writes the model repository of a profile with engines: for NVIDIA's Triton, which has TensorRT's backend.

Beside each model there is one for each of its networks, called `<model>.<role>`, with the engine and a configuration
made from the same shapes as the engine. The models call them from inside Triton; the server never does.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from triton_models.bls import network_name
from triton_models.engines.building import PlannedEngine, find_engine
from triton_models.engines.cache import EngineCache
from triton_models.engines.deployment import NetworkDeployment, Span
from triton_models.engines.errors import EngineMissing
from triton_models.engines.networks import BATCH, Network, Tensor
from triton_models.engines.toolkit import EngineToolkit
from triton_models.prepared import PreparedModels
from triton_models.rendering import render

_TYPES = {
    "int64": model_config_pb2.TYPE_INT64,
    "int32": model_config_pb2.TYPE_INT32,
    "float32": model_config_pb2.TYPE_FP32,
}


def render_with_engines(
    profile: str,
    models: Path,
    out: Path,
    planned: Iterable[PlannedEngine],
    toolkit: EngineToolkit,
    cache: Path,
    *,
    cores: int,
) -> Path:
    """What `rendering.render` writes, and the networks' models, as the folder `out`, replacing it; returns `out`.

    Seconds: the engines are linked, or copied where they cannot be. Raises EngineMissing, and as `render`.
    """
    prepared = PreparedModels.open(models)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".rendering-") as scratch:
        folder = render(profile, models, Path(scratch) / "repository", cores=cores, with_engines=True)
        for engine in planned:
            if engine.slot not in prepared.slots:
                continue
            if find_engine(engine, toolkit, cache) is None:
                raise EngineMissing(engine.name, toolkit.version, toolkit.gpu)
            name = network_name(prepared.slots[engine.slot].model, engine.role)
            version = folder / name / "1"
            version.mkdir(parents=True)
            _link(EngineCache(cache).plan(engine.key(toolkit)), version / "model.plan")
            config = text_format.MessageToString(network_config(name, engine.network, engine.deployment))
            (folder / name / "config.pbtxt").write_text(config, encoding="utf-8")
        shutil.rmtree(out, ignore_errors=True)
        folder.rename(out)
    return out


def network_config(name: str, network: Network, deployment: NetworkDeployment) -> model_config_pb2.ModelConfig:
    """Triton's configuration of an engine; nothing of it is left to be completed. Each profile's best shape is run
    before the model serves."""
    return model_config_pb2.ModelConfig(
        name=name,
        platform="tensorrt_plan",
        backend="tensorrt",
        default_model_filename="model.plan",
        max_batch_size=deployment.max_batch,
        input=[
            model_config_pb2.ModelInput(name=each.name, data_type=_TYPES[each.type], dims=_dims(each))
            for each in network.inputs
        ],
        output=[
            model_config_pb2.ModelOutput(name=each.name, data_type=_TYPES[each.type], dims=_dims(each))
            for each in network.outputs
        ],
        instance_group=[
            model_config_pb2.ModelInstanceGroup(
                kind=model_config_pb2.ModelInstanceGroup.KIND_GPU,
                count=deployment.instances,
                profile=[str(index) for index in range(len(deployment.profiles))],
            )
        ],
        dynamic_batching=model_config_pb2.ModelDynamicBatching(max_queue_delay_microseconds=deployment.queue_delay_us),
        model_warmup=[
            _warmup(f"profile {index}", network, profile) for index, profile in enumerate(deployment.profiles)
        ],
    )


def _dims(tensor: Tensor) -> list[int]:
    """Without the batch."""
    return [axis if isinstance(axis, int) else -1 for axis in tensor.axes[1:]]


def _warmup(name: str, network: Network, profile: Mapping[str, Span]) -> model_config_pb2.ModelWarmup:
    def sized(tensor: Tensor) -> list[int]:
        return [axis if isinstance(axis, int) else profile[axis][1] for axis in tensor.axes[1:]]

    return model_config_pb2.ModelWarmup(
        name=name,
        batch_size=profile[BATCH][1],
        inputs={
            each.name: model_config_pb2.ModelWarmup.Input(data_type=_TYPES[each.type], dims=sized(each), zero_data=True)
            for each in network.inputs
        },
    )


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
