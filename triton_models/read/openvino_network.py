"""Runs the reader's network with OpenVINO; see `embed/openvino_network.py`."""

from __future__ import annotations

from pathlib import Path

from openvino import opset13 as op

from triton_models.embed.encoder_file import EncoderFile
from triton_models.embed.openvino_network import EncoderNodes, compiled
from triton_models.read.reader import ReaderNetwork
from triton_models.read.weights import HEAD


def openvino_network(network: Path, threads: int) -> ReaderNetwork:
    """Raises ConversionFailed for a network that `read/network.py` did not write."""
    graph = EncoderNodes(EncoderFile(network))
    product = op.matmul(graph.states, graph.constant(f"{HEAD}.w"), False, False)
    run = compiled(graph, [op.add(product, graph.constant(f"{HEAD}.b"))], threads)
    return lambda ids, mask: run(ids, mask)[0]
