"""The real encoder of whole texts, converted, without Triton."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import kernels
from tests.triton.tiny_encoder import write_tiny_encoder
from triton_models.catalogue import load_catalogue
from triton_models.embed.encoder import padded
from triton_models.embed.kernel_network import kernel_network
from triton_models.embed.networks import TokenNetwork, cpu_network, kernels_are_faster, onnxruntime_network
from triton_models.errors import ConversionFailed
from triton_models.fetching import ArtifactStore
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels
from triton_models.progress import silent
from triton_models.rerank.sentences import SentenceOptions, SentenceReranker, SentenceTokenizer

pytestmark = pytest.mark.models
needs_cpu = pytest.mark.skipif(
    not (kernels_are_faster() and kernels.HAS_VNNI), reason="a CPU without AVX512-VNNI, or NUMBA_DISABLE_JIT"
)

MODEL = "all-minilm-l6-v2@1"
QUERY = "Who wrote the weather into the log?"
PASSAGES = [
    "The lighthouse keeper wrote the weather into the log every evening.",
    "A diary of storms was kept at the lighthouse.",
    "灯台守は毎晩、日誌に天気を書き込んだ。",
    "Apples are picked in September, before the first frost.",
]
GOLDEN = (0.7535, 0.4536, 0.4538, 0.1545)
"""Cosines by the original file in float32; the Japanese passage has the others' mean."""


@pytest.fixture(scope="module")
def files(model_cache: Path) -> dict[str, Path]:
    return PreparedModels.open(prepare(model_cache, only=[MODEL])).paths_of(MODEL)


@pytest.mark.parametrize("run", [onnxruntime_network, cpu_network])
def test_scores_are_those_that_were_measured(files: dict[str, Path], run: Callable[[Path, int], TokenNetwork]) -> None:
    options = SentenceOptions()
    tokenizer = SentenceTokenizer(files["tokenizer"], options.max_tokens)
    scorer = SentenceReranker(run(files["network"], 1), tokenizer, options)
    scorer.warm_up()
    scores = scorer.scores([QUERY] * len(PASSAGES), PASSAGES)
    np.testing.assert_allclose(scores, GOLDEN, atol=0.02)
    assert scores[2] == pytest.approx(np.mean(scores[[0, 1, 3]]))


@needs_cpu
def test_kernels_run_it_as_onnx_runtime_does(files: dict[str, Path]) -> None:
    """To the quantization of both; and a vector does not depend on its padding."""
    tokenizer = SentenceTokenizer(files["tokenizer"], 256)
    texts = [tokenizer.encode(text).ids for text in (QUERY, PASSAGES[0], PASSAGES[3] * 9)]
    network = kernel_network(files["network"], 1)
    together, expected = network(*padded(texts)), onnxruntime_network(files["network"], 1)(*padded(texts))
    assert np.sum(together * expected, axis=1).min() > 0.99
    for row, text in enumerate(texts):
        [alone] = network(np.array([text]), np.ones((1, len(text)), np.int32))
        np.testing.assert_array_equal(together[row], alone)


def test_another_encoder_is_run_by_onnx_runtime(tmp_path: Path) -> None:
    write_tiny_encoder(tmp_path / "tiny")
    file = tmp_path / "tiny" / "model.onnx"
    with pytest.raises(ConversionFailed, match="only networks that Pinakes wrote are read here"):
        kernel_network(file, 1)
    ids, mask = padded([[0, 7, 8, 2]])
    np.testing.assert_allclose(cpu_network(file, 1)(ids, mask), onnxruntime_network(file, 1)(ids, mask))


def test_the_network_agrees_with_the_file_that_it_was_made_from(files: dict[str, Path], model_cache: Path) -> None:
    artifact = load_catalogue().artifacts["all-minilm-l6-v2-int8"]
    source = ArtifactStore(model_cache).fetch("all-minilm-l6-v2-int8", artifact, silent)
    tokenizer = SentenceTokenizer(files["tokenizer"], 256)
    original = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    network = onnxruntime_network(files["network"], 1)
    for text in (QUERY, PASSAGES[0], PASSAGES[3] * 20):
        ids = np.array([tokenizer.encode(text).ids])
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        mean = original.run(None, given)[0][0].mean(axis=0)
        [vector] = network(ids, np.ones(ids.shape, np.int32))
        assert vector @ mean / np.linalg.norm(mean) > 0.99
