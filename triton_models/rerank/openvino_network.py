"""Runs the reranker's network with OpenVINO; see `embed/openvino_network.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from openvino import opset13 as op

from triton_models.embed.encoder_file import EncoderFile
from triton_models.embed.openvino_network import EncoderNodes, compiled, constant
from triton_models.rerank.reranker import RerankNetwork, TokenVectors


def openvino_network(network: Path, threads: int) -> RerankNetwork:
    """Raises ConversionFailed for a network that `rerank/network.py` did not write."""
    graph = EncoderNodes(EncoderFile(network))
    centered = op.subtract(graph.states, graph.constant("head.center"))
    inner = op.matmul(centered, graph.constant("head.down"), False, False)
    moved = op.add(centered, op.matmul(inner, graph.constant("head.up"), False, False))
    vectors = op.normalize_l2(moved, constant(np.array([2])), 1e-12, "add")
    context = op.matmul(centered, graph.constant("head.importance"), False, False)
    piece = op.gather(graph.constant("head.information"), graph.ids, constant(np.array(0)))
    run = compiled(graph, [vectors, op.exp(op.add(context, piece))], threads)

    def call(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> TokenVectors:
        return TokenVectors(*run(ids, mask))

    return call
