"""Token vectors by the real encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.tokens import TokenReader
from triton_models.catalogue import load_catalogue
from triton_models.embed.encoder import Encoder, EncoderOptions
from triton_models.embed.networks import onnxruntime_network
from triton_models.embed.tokenizer import E5Tokenizer
from triton_models.embed.weights import E5Weights
from triton_models.fetching import ArtifactStore
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels
from triton_models.progress import silent
from triton_models.rerank.network import write_token_network

pytestmark = pytest.mark.models

TEXTS = [
    "The lighthouse keeper wrote the weather into the log.",
    "灯台守は毎晩、日誌に天気を書き込んだ。",
    "log " * 90,
    "x",
]


def test_texts_are_read_once_and_embedded_as_the_embedding_model_does(model_cache: Path, tmp_path: Path) -> None:
    artifact = load_catalogue().artifacts["e5-small-q4"]
    network = tmp_path / "encoder.onnx"
    write_token_network(E5Weights(ArtifactStore(model_cache).fetch("e5-small-q4", artifact, silent)), network)
    files = PreparedModels.open(prepare(model_cache, only=["embed"])).paths("embed")
    tokenizer = E5Tokenizer(files["tokenizer"], files["normalization"])
    reader = TokenReader(network, tokenizer, tmp_path / "tokens", max_tokens=64, threads=1)
    read = reader.read("passage", TEXTS, "texts")

    expected = [len(tokenizer.encode(f"passage: {text}")) - 4 for text in TEXTS]
    assert np.diff(read.starts).tolist() == [min(count, 60) for count in expected] and expected[2] > 60
    vectors, ids = read.of(1)
    assert ids.tolist() == tokenizer.encode(f"passage: {TEXTS[1]}")[3:-1] and vectors.shape == (len(ids), 384)
    encoder = Encoder(onnxruntime_network(files["network"], 1), tokenizer, EncoderOptions())
    embedded = encoder.encode(TEXTS, ["passage"] * 4).vectors
    cosines = (read.embeddings * embedded).sum(axis=1)
    assert cosines[[0, 1, 3]].min() > 0.99

    [capitals, small] = reader.read("query", ["The Keeper's LOG", "the keeper's log"], "texts").folded
    assert capitals.tolist() == small.tolist() == tokenizer.encode("the keeper's log")[1:-1]
    assert len(read.folded[2]) == 62

    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "tokens").iterdir()}
    again = reader.read("passage", TEXTS, "texts")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "tokens").iterdir()} == kept
    np.testing.assert_array_equal(again.vectors, read.vectors)
    assert reader.read("query", TEXTS, "texts").starts[1] == read.starts[1]
    assert len(list((tmp_path / "tokens").iterdir())) == 3
