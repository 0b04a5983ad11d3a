"""Where Triton put an instance of a model."""

from __future__ import annotations

from collections.abc import Mapping


def torch_device(args: Mapping[str, str]) -> str:
    """Torch's name for it, from what `initialize` is called with."""
    on_gpu = args["model_instance_kind"] == "GPU"
    return f"cuda:{args['model_instance_device_id']}" if on_gpu else "cpu"
