"""What runs a text model's network, as its profile says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from triton_models.bls import network_name
from triton_models.placement import torch_device

_N = TypeVar("_N")
SERVED = "triton"
"""The runtime whose networks are other models of the same Triton: it warms them, and they cannot be called while a
model is loaded."""


@dataclass(frozen=True, slots=True)
class Runtimes(Generic[_N]):
    """`cpu`: of a file and threads. `torch`: of a file, Torch's name of a device, and threads. `served`: of the name of
    a model in Triton."""

    cpu: Callable[[Path, int], _N]
    torch: Callable[[Path, str, int], _N]
    served: Callable[[str], _N]

    def network(self, settings: Mapping[str, str], args: Mapping[str, str]) -> _N:
        """By the parameters `runtime`, `network` and `threads` of a model's configuration, and what `initialize` is
        called with. Raises ValueError for a runtime that there is not."""
        file, threads = Path(settings["network"]), int(settings["threads"])
        match settings["runtime"]:
            case "cpu":
                return self.cpu(file, threads)
            case "torch":
                return self.torch(file, torch_device(args), threads)
            case "triton":
                return self.served(network_name(args["model_name"], "network"))
            case other:
                raise ValueError(f"the profile's runtime {other!r} is none of cpu, torch and triton")
