"""A toolkit whose engines are ONNX files, run by ONNX Runtime on the CPU.

It stands where TensorRT stands, so that everything around it is tested: what is written in half precision is really
computed, and really compared. Nothing here says anything about TensorRT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnxruntime

from triton_models.engines.toolkit import Arrays, BuiltEngine, InputShapes


@dataclass
class OnnxRuntimeToolkit:
    version: str = "ONNX Runtime 1"
    gpu: str = "no GPU, sm_0"
    built: list[Sequence[InputShapes]] = field(default_factory=list)
    timings_seen: list[bytes] = field(default_factory=list)

    def build(self, network: Path, profiles: Sequence[InputShapes], timings: bytes) -> BuiltEngine:
        self.built.append(profiles)
        self.timings_seen.append(timings)
        return BuiltEngine(network.read_bytes(), b"measured")

    def load(self, plan: bytes) -> OnnxRuntimeEngine:
        return OnnxRuntimeEngine(plan, self.built[-1])


class OnnxRuntimeEngine:
    def __init__(self, plan: bytes, profiles: Sequence[InputShapes]) -> None:
        self._session = onnxruntime.InferenceSession(plan, providers=["CPUExecutionProvider"])
        self._profiles = profiles

    def run(self, inputs: Arrays) -> Arrays:
        """Refuses, as an engine does, shapes that no profile holds."""
        held = (all(profile[name].holds(inputs[name].shape) for name in inputs) for profile in self._profiles)
        assert any(held), {name: values.shape for name, values in inputs.items()}
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))
