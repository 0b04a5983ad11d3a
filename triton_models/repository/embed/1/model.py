"""The `embed` model: texts to vectors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from triton_models.bls import network_name
from triton_models.embed.encoder import PREFIXES, Encoder, EncoderOptions
from triton_models.embed.networks import TokenNetwork, onnxruntime_network, served_network
from triton_models.embed.tokenizer import E5Tokenizer
from triton_models.orphans import exit_with_parent
from triton_models.placement import torch_device


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        exit_with_parent()
        settings = {key: entry["string_value"] for key, entry in json.loads(args["model_config"])["parameters"].items()}
        tokenizer = E5Tokenizer(Path(settings["tokenizer"]), Path(settings["normalization"]))
        options = EncoderOptions(batch_tokens=int(settings["batch_tokens"]))
        self._encoder = Encoder(_network(settings, args), tokenizer, options)
        # A network that Triton serves is warmed by Triton, and cannot be called yet.
        if settings["runtime"] != "triton":
            self._encoder.warm_up()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Texts of all requests at once; one answer per request."""
        asked = [(_strings(request, "TEXT"), _strings(request, "KIND")) for request in requests]
        valid = [PREFIXES.keys() >= set(kinds) for _, kinds in asked]
        accepted = [pair for pair, good in zip(asked, valid, strict=True) if good]
        encoded = self._encoder.encode(
            [text for texts, _ in accepted for text in texts], [kind for _, kinds in accepted for kind in kinds]
        )
        responses, start = [], 0
        for (texts, _), good in zip(asked, valid, strict=True):
            if not good:
                responses.append(_refusal())
                continue
            rows = slice(start, start + len(texts))
            start = rows.stop
            outputs = [
                pb_utils.Tensor("EMBEDDING", encoded.vectors[rows]),
                pb_utils.Tensor("TOKEN_COUNT", encoded.token_counts[rows].reshape(-1, 1)),
                pb_utils.Tensor("TRUNCATED", encoded.truncated[rows].reshape(-1, 1)),
            ]
            responses.append(pb_utils.InferenceResponse(outputs))
        return responses


def _network(settings: Mapping[str, str], args: Mapping[str, str]) -> TokenNetwork:
    match settings["runtime"]:
        case "onnxruntime":
            return onnxruntime_network(Path(settings["network"]), int(settings["threads"]))
        case "torch":
            # An extra: not installed where it is not wanted.
            from triton_models.embed.torch_network import torch_network

            return torch_network(Path(settings["network"]), torch_device(args), int(settings["threads"]))
        case "triton":
            return served_network(network_name(args["model_name"], "network"))
        case other:
            raise ValueError(f"the profile's runtime {other!r} is none of onnxruntime, torch and triton")


def _strings(request: Any, name: str) -> list[str]:
    values = pb_utils.get_input_tensor_by_name(request, name).as_numpy().reshape(-1)
    return [bytes(value).decode(errors="replace") for value in values]


def _refusal() -> Any:
    message = f"KIND must be one of {', '.join(PREFIXES)}"
    status = pb_utils.TritonError.INVALID_ARG
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(message, status))
