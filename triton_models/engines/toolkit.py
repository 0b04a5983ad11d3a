"""What builds engines and runs them. `TensorRtToolkit` is the one that serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]
"""Tensors by name."""

Dims = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ShapeRange:
    """Shapes that an input may have, element by element; kernels are chosen for `best`."""

    least: Dims
    best: Dims
    most: Dims

    def holds(self, dims: Dims) -> bool:
        return len(dims) == len(self.least) and all(
            low <= dim <= high for low, dim, high in zip(self.least, dims, self.most, strict=True)
        )


InputShapes = Mapping[str, ShapeRange]
"""An optimization profile: the shapes of every input, by name."""


@dataclass(frozen=True, slots=True)
class BuiltEngine:
    """plan: the engine, as Triton reads it. timings: what was measured on the way; makes the next build faster."""

    plan: bytes
    timings: bytes


class Engine(Protocol):
    def run(self, inputs: Arrays) -> Arrays:
        """All outputs, for inputs whose shapes one profile holds. Raises EngineBuildFailed."""


class EngineToolkit(Protocol):
    @property
    def version(self) -> str:
        """Engines of other versions cannot be loaded."""

    @property
    def gpu(self) -> str:
        """Engines of other GPUs cannot be loaded, or are slow."""

    def build(self, network: Path, profiles: Sequence[InputShapes], timings: bytes) -> BuiltEngine:
        """The ONNX file as an engine; minutes. Types are those of the file. `timings`: from an earlier build by this
        version on this GPU, or empty. Raises EngineBuildFailed."""

    def load(self, plan: bytes) -> Engine:
        """Raises EngineBuildFailed."""
