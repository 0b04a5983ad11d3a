"""The `embed` model: texts to vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from triton_models.embed.encoder import PREFIXES, Encoder, EncoderOptions
from triton_models.embed.networks import RUNTIMES
from triton_models.embed.tokenizer import E5Tokenizer
from triton_models.hub.served import ENGINE, HubEncoder, served_encoder
from triton_models.orphans import exit_with_parent
from triton_models.requests import parameters, refusal, strings
from triton_models.runtimes import SERVED


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        exit_with_parent()
        settings = parameters(args)
        of_the_hub = settings.get("engine") == ENGINE
        self._encoder = served_encoder(settings) if of_the_hub else _e5(settings, args)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Texts of all requests at once; one answer per request."""
        asked = [(strings(request, "TEXT"), strings(request, "KIND")) for request in requests]
        valid = [PREFIXES.keys() >= set(kinds) for _, kinds in asked]
        accepted = [pair for pair, good in zip(asked, valid, strict=True) if good]
        encoded = self._encoder.encode(
            [text for texts, _ in accepted for text in texts], [kind for _, kinds in accepted for kind in kinds]
        )
        responses, start = [], 0
        for (texts, _), good in zip(asked, valid, strict=True):
            if not good:
                responses.append(refusal(f"KIND must be one of {', '.join(PREFIXES)}"))
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


def _e5(settings: Mapping[str, str], args: Mapping[str, str]) -> Encoder | HubEncoder:
    tokenizer = E5Tokenizer(Path(settings["tokenizer"]), Path(settings["normalization"]))
    options = EncoderOptions(batch_tokens=int(settings["batch_tokens"]))
    encoder = Encoder(RUNTIMES.network(settings, args), tokenizer, options)
    if settings["runtime"] != SERVED:
        encoder.warm_up()
    return encoder
