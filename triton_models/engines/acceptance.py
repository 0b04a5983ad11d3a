"""Whether an engine computes what its network does."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from triton_models.engines.deployment import NetworkDeployment, Span
from triton_models.engines.errors import EngineRefused
from triton_models.engines.networks import BATCH, Network
from triton_models.engines.toolkit import Arrays, Engine

_SEED = 20


@dataclass(frozen=True, slots=True)
class Agreement:
    """The least agreement that was found, and for how many inputs it was looked for."""

    least: float
    samples: int


def accept(name: str, network: Network, deployment: NetworkDeployment, reference: Path, engine: Engine) -> Agreement:
    """Compares the engine with ONNX Runtime on `reference`, the network in float32, at the corners of every profile.

    Seconds to a minute. Raises EngineRefused at the first that agrees less than the network asks for.
    """
    session = onnxruntime.InferenceSession(str(reference), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(_SEED)
    least, samples = 1.0, 0
    for sizes in _corners(deployment):
        inputs = network.sample(sizes, random)
        expected = _reference_outputs(session, network, inputs)
        found = network.agreement(expected, engine.run(inputs))
        # Not a number agrees with nothing.
        if math.isnan(found) or found < network.least_agreement:
            raise EngineRefused(name, _said(sizes), found, network.least_agreement)
        least, samples = min(least, found), samples + 1
    return Agreement(least, samples)


def _corners(deployment: NetworkDeployment) -> Iterator[Mapping[str, int]]:
    """The least and the best shape of each profile, one row of the greatest size, and most rows of the least."""
    for profile in deployment.profiles:
        yield _at(profile, 0)
        yield _at(profile, 1)
        yield {**_at(profile, 2), BATCH: profile[BATCH][0]}
        yield {**_at(profile, 0), BATCH: profile[BATCH][2]}


def _at(profile: Mapping[str, Span], which: int) -> dict[str, int]:
    return {axis: span[which] for axis, span in profile.items()}


def _reference_outputs(session: onnxruntime.InferenceSession, network: Network, inputs: Arrays) -> Arrays:
    names = [tensor.name for tensor in network.outputs]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def _said(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{axis} {size}" for axis, size in sizes.items())
