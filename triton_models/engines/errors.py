"""What can go wrong with engines, below `ModelFilesError`.

ModelFilesError
└── EngineError
    ├── ToolkitMissing     TensorRT or a GPU is not there
    ├── InvalidDeployment  the profile asks for what a network cannot do
    ├── EngineBuildFailed  TensorRT refused the network
    ├── EngineRefused      the engine does not compute what the network does
    └── EngineMissing      a repository needs an engine that was not built
"""

from __future__ import annotations

from triton_models.errors import ModelFilesError


class EngineError(ModelFilesError):
    """Root of the tree."""


class ToolkitMissing(EngineError):
    def __init__(self, problem: str) -> None:
        super().__init__(
            f"engines cannot be built here: {problem}. It takes a GPU of NVIDIA with its driver, and the packages of "
            f"the extra `tensorrt` in the version of the Triton that will serve; deploy/triton has an image with both"
        )


class InvalidDeployment(EngineError):
    def __init__(self, network: str, problem: str) -> None:
        super().__init__(f"the profile's network {network}: {problem}")


class EngineBuildFailed(EngineError):
    def __init__(self, network: str, problem: str) -> None:
        super().__init__(f"TensorRT could not build {network}: {problem}")


class EngineRefused(EngineError):
    """`agreement` is below `least`, at `shape`."""

    def __init__(self, network: str, shape: str, agreement: float, least: float) -> None:
        super().__init__(
            f"the engine of {network} was refused: at {shape} it agrees with ONNX Runtime to {agreement:.5f}, and "
            f"{least:.5f} is asked for. Choose another precision for it in the profile"
        )
        self.agreement = agreement


class EngineMissing(EngineError):
    def __init__(self, network: str, toolkit: str, gpu: str) -> None:
        super().__init__(
            f"there is no engine of {network} for {toolkit} on {gpu}: run `python -m triton_models.engines build`"
        )
