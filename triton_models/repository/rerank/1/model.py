"""The `rerank` model: how well passages answer a query."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from triton_models.bls import network_name
from triton_models.embed.tokenizer import E5Tokenizer
from triton_models.orphans import exit_with_parent
from triton_models.placement import torch_device
from triton_models.rerank.reranker import Reranker, RerankNetwork, RerankOptions, onnxruntime_network
from triton_models.rerank.served import served_network


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        exit_with_parent()
        settings = {key: entry["string_value"] for key, entry in json.loads(args["model_config"])["parameters"].items()}
        tokenizer = E5Tokenizer(Path(settings["tokenizer"]), Path(settings["normalization"]))
        options = RerankOptions(batch_tokens=int(settings["batch_tokens"]))
        self._reranker = Reranker(_network(settings, args), tokenizer, options)
        # A network that Triton serves is warmed by Triton, and cannot be called yet.
        if settings["runtime"] != "triton":
            self._reranker.warm_up()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Pairs of all requests at once; one answer per request."""
        asked = [(_strings(request, "QUERY"), _strings(request, "PASSAGE")) for request in requests]
        scores = self._reranker.scores(
            [query for queries, _ in asked for query in queries],
            [passage for _, passages in asked for passage in passages],
        )
        responses, start = [], 0
        for _, passages in asked:
            own = scores[start : start + len(passages)]
            start += len(passages)
            responses.append(_refusal() if np.isnan(own).any() else _answer(own))
        return responses


def _network(settings: Mapping[str, str], args: Mapping[str, str]) -> RerankNetwork:
    match settings["runtime"]:
        case "onnxruntime":
            return onnxruntime_network(Path(settings["network"]), int(settings["threads"]))
        case "torch":
            # An extra: not installed where it is not wanted.
            from triton_models.rerank.torch_network import torch_network

            return torch_network(Path(settings["network"]), torch_device(args), int(settings["threads"]))
        case "triton":
            return served_network(network_name(args["model_name"], "network"))
        case other:
            raise ValueError(f"the profile's runtime {other!r} is none of onnxruntime, torch and triton")


def _strings(request: Any, name: str) -> list[str]:
    values = pb_utils.get_input_tensor_by_name(request, name).as_numpy().reshape(-1)
    return [bytes(value).decode(errors="replace") for value in values]


def _answer(scores: np.ndarray[Any, np.dtype[np.float32]]) -> Any:
    return pb_utils.InferenceResponse([pb_utils.Tensor("SCORE", scores.reshape(-1, 1))])


def _refusal() -> Any:
    error = pb_utils.TritonError("QUERY must not be blank", pb_utils.TritonError.INVALID_ARG)
    return pb_utils.InferenceResponse(output_tensors=[], error=error)
