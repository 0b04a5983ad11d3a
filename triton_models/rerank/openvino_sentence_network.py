"""Runs the network of an encoder of whole texts with OpenVINO; see `embed/openvino_network.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from openvino import Node, Type
from openvino import opset13 as op

from triton_models.embed.encoder_file import EncoderFile
from triton_models.embed.networks import TokenNetwork
from triton_models.embed.openvino_network import EncoderNodes, constant, pooled


def openvino_network(network: Path, threads: int) -> TokenNetwork:
    """Takes .86 of ONNX Runtime's processor time (10 passages of 160 tokens, one thread). Raises ConversionFailed for a
    network that `sentence_network.py` did not write."""
    return pooled(_SentenceNodes(EncoderFile(network)), threads)


class _SentenceNodes(EncoderNodes):
    def words(self) -> Node:
        """See EncoderNodes; what is looked up is scaled."""
        values, scales = self.file.int8_words()
        table = op.multiply(op.convert(constant(values), Type.f32), constant(scales))
        return op.gather(table, op.convert(self.ids, Type.i32), constant(np.array(0)))
