"""The `rerank` model: how well passages answer a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from triton_models.embed.networks import cpu_network
from triton_models.embed.tokenizer import E5Tokenizer
from triton_models.hub.served import ENGINE, served_cross_encoder
from triton_models.orphans import exit_with_parent
from triton_models.requests import parameters, refusal, strings
from triton_models.rerank.networks import RUNTIMES
from triton_models.rerank.pairs import PairReranker
from triton_models.rerank.reranker import Reranker, RerankOptions
from triton_models.rerank.sentences import SentenceOptions, SentenceReranker, SentenceTokenizer
from triton_models.runtimes import SERVED


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        exit_with_parent()
        settings = parameters(args)
        if settings.get("engine") == ENGINE:
            self._reranker: PairReranker | Reranker | SentenceReranker = served_cross_encoder(settings)
        elif settings["normalization"]:
            self._reranker = _late_interaction(settings, args)
        else:
            self._reranker = _sentences(settings)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Pairs of all requests at once; one answer per request."""
        asked = [(strings(request, "QUERY"), strings(request, "PASSAGE")) for request in requests]
        scores = self._reranker.scores(
            [query for queries, _ in asked for query in queries],
            [passage for _, passages in asked for passage in passages],
        )
        responses, start = [], 0
        for _, passages in asked:
            own = scores[start : start + len(passages)]
            start += len(passages)
            responses.append(refusal("QUERY must have words") if np.isnan(own).any() else _answer(own))
        return responses


def _late_interaction(settings: Mapping[str, str], args: dict[str, str]) -> Reranker:
    tokenizer = E5Tokenizer(Path(settings["tokenizer"]), Path(settings["normalization"]))
    options = RerankOptions(batch_tokens=int(settings["batch_tokens"]))
    reranker = Reranker(RUNTIMES.network(settings, args), tokenizer, options)
    if settings["runtime"] != SERVED:
        reranker.warm_up()
    return reranker


def _sentences(settings: Mapping[str, str]) -> SentenceReranker:
    """On the CPU in every profile: such encoders are small."""
    options = SentenceOptions(batch_tokens=int(settings["batch_tokens"]))
    tokenizer = SentenceTokenizer(Path(settings["tokenizer"]), options.max_tokens)
    network = cpu_network(Path(settings["network"]), int(settings["threads"]))
    reranker = SentenceReranker(network, tokenizer, options)
    reranker.warm_up()
    return reranker


def _answer(scores: np.ndarray[Any, np.dtype[np.float32]]) -> Any:
    return pb_utils.InferenceResponse([pb_utils.Tensor("SCORE", scores.reshape(-1, 1))])
