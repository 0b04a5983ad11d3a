"""Runs the reranker's network as another model of the Triton that runs this process."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from triton_models.bls import call_model
from triton_models.embed.networks import padded_to_step
from triton_models.rerank.reranker import RerankNetwork, TokenVectors


def served_network(model: str) -> RerankNetwork:
    """The model of that name. Raises ServedNetworkFailed when called; cannot be called while a model is loaded."""

    def run(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> TokenVectors:
        length = ids.shape[1]
        padded_ids, padded_mask = padded_to_step(ids, mask)
        vectors, importance = call_model(
            model, {"input_ids": padded_ids, "attention_mask": padded_mask}, TokenVectors._fields
        )
        return TokenVectors(vectors[:, :length], importance[:, :length])

    return run
