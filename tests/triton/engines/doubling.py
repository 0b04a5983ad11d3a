"""The smallest network that can be an engine: y = 2 x, from an artifact that holds the factor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.triton.small_catalogue import file_artifact
from triton_models.embed.float_network import Precision
from triton_models.engines.building import PlannedEngine
from triton_models.engines.deployment import NetworkDeployment
from triton_models.engines.networks import BATCH, Tensor
from triton_models.engines.toolkit import Arrays


@dataclass(frozen=True, slots=True)
class Doubling:
    """In fp16 it is written with `half_error` added to the factor."""

    half_error: float = 0.0
    sources: tuple[str, ...] = ("weights",)
    version: int = 1
    inputs: tuple[Tensor, ...] = (Tensor("x", "float32", (BATCH, "width")),)
    outputs: tuple[Tensor, ...] = (Tensor("y", "float32", (BATCH, "width")),)
    precisions: tuple[Precision, ...] = ("fp16", "fp32")
    steps: Mapping[str, int] = field(default_factory=dict)
    least_agreement: float = 0.99

    def write(self, artifacts: Mapping[str, Path], path: Path, precision: Precision) -> None:
        factor = float(artifacts["weights"].read_text(encoding="ascii")) + (
            self.half_error if precision == "fp16" else 0.0
        )
        tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "width"]) for name in ("x", "y")]
        constant = helper.make_tensor("factor", TensorProto.FLOAT, [], [factor])
        graph = helper.make_graph(
            [helper.make_node("Mul", ["x", "factor"], ["y"])], "doubling", tensors[:1], tensors[1:], [constant]
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))

    def sample(self, sizes: Mapping[str, int], random: np.random.Generator) -> Arrays:
        return {"x": random.uniform(0.5, 1, (sizes[BATCH], sizes["width"])).astype(np.float32)}

    def agreement(self, expected: Arrays, found: Arrays) -> float:
        return float(1 - np.abs(expected["y"] - found["y"]).max())


def planned(folder: Path, network: Doubling | None = None, **changes: object) -> PlannedEngine:
    """The network, deployed; its artifact is a file in `folder`."""
    settings = {"precision": "fp16", "profiles": ({"n": (1, 4, 8), "width": (2, 16, 32)},), **changes}
    artifact = file_artifact(folder / "factor.txt", b"2.0")
    deployment = NetworkDeployment.model_validate(settings)
    return PlannedEngine("double", "network", network or Doubling(), deployment, {"weights": ("factor", artifact)})
