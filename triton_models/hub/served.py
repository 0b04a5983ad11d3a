"""Makes what serves a model of the hub in a process of Triton, from the parameters of its configuration.

On the CPU in every profile: by OpenVINO where that is faster and can, else by ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from triton_models.embed.networks import has_bfloat16
from triton_models.hub.cross_encoder import no_words, pair_network
from triton_models.hub.description import ENGINE, CrossEncoderDescription, EncoderDescription
from triton_models.hub.encoder import HubEncoder
from triton_models.hub.networks import ExportedNetwork, Network
from triton_models.hub.tokenizer import HubTokenizer
from triton_models.rerank.pairs import PairReranker

__all__ = ["ENGINE", "HubEncoder", "served_cross_encoder", "served_encoder"]


def served_encoder(settings: Mapping[str, str]) -> HubEncoder:
    """Of the slot `embed`, warm. Takes as long as loading the network."""
    description = EncoderDescription.read(settings)
    tokenizer = HubTokenizer(Path(settings["tokenizer"]), description.max_tokens)
    encoder = HubEncoder(_network(settings, description), tokenizer, description, int(settings["batch_tokens"]))
    encoder.warm_up()
    return encoder


def served_cross_encoder(settings: Mapping[str, str]) -> PairReranker:
    """Of the slot `rerank`, warm. Takes as long as loading the network."""
    description = CrossEncoderDescription.read(settings)
    tokenizer = HubTokenizer(Path(settings["tokenizer"]), description.max_tokens)
    scoring = pair_network(_network(settings, description), description)
    reranker = PairReranker(scoring, tokenizer, int(settings["batch_tokens"]), no_words(description))
    reranker.warm_up()
    return reranker


def _network(settings: Mapping[str, str], description: CrossEncoderDescription | EncoderDescription) -> Network:
    file, threads = Path(settings["network"]), int(settings["threads"])
    if description.openvino and has_bfloat16():
        # Takes a second to import.
        from triton_models.hub.openvino_network import openvino_network

        return openvino_network(file, description.output, threads)
    return ExportedNetwork(file, threads).giving(description.output)
