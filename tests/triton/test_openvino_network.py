"""Encoders in OpenVINO. Skipped where the CPU has not what makes it the faster one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from triton_models.embed.encoder import LENGTHS, MAX_TOKENS, PREFIXES, Encoder, EncoderOptions, padded
from triton_models.embed.encoder_file import EncoderFile
from triton_models.embed.networks import TokenNetwork, openvino_is_faster
from triton_models.embed.openvino_network import EncoderNodes, pooled
from triton_models.embed.tokenizer import E5Tokenizer
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels

needs_cpu = pytest.mark.skipif(not openvino_is_faster(), reason="a CPU without AVX512-VNNI or AVX512-BF16")
GOLDEN_TEXTS = [
    "The lighthouse keeper wrote the weather into the log every evening.",
    "灯台守は毎晩、日誌に天気を書き込んだ。",
]


@pytest.fixture(scope="module")
def files(model_cache: Path) -> dict[str, Path]:
    return PreparedModels.open(prepare(model_cache, only=["embed"])).paths("embed")


@pytest.fixture(scope="module")
def network(files: dict[str, Path]) -> TokenNetwork:
    return pooled(EncoderNodes(EncoderFile(files["network"])), threads=1)


@needs_cpu
@pytest.mark.models
def test_vectors_are_those_of_the_original_engine(files: dict[str, Path], network: TokenNetwork) -> None:
    tokenizer = E5Tokenizer(files["tokenizer"], files["normalization"])
    golden = np.load(Path(__file__).with_name("golden_embeddings.npy")).astype(np.float32)
    found = Encoder(network, tokenizer, EncoderOptions()).encode(GOLDEN_TEXTS, ["passage"] * 2)
    assert np.sum(found.vectors * golden[:2], axis=1).min() > 0.998


@needs_cpu
@pytest.mark.models
def test_a_vector_does_not_depend_on_its_batch_or_its_padding(network: TokenNetwork) -> None:
    texts = [[0, 41, 1294, 12, 2], [0, 41, 1294, *range(1_000, 1_020), 2], [0, *range(2_000, 2_100), 2]]
    together = network(*padded(texts))
    for row, text in enumerate(texts):
        alone = network(np.array([text]), np.ones((1, len(text)), np.int32))[0]
        assert float(together[row] @ alone) > 0.9999


def test_every_length_that_a_batch_can_have_is_warmed() -> None:
    warmed = Counter[tuple[int, ...]]()

    def watched(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        warmed[ids.shape] += 1
        return np.zeros((len(ids), 384), np.float32)

    class Words:
        def encode(self, text: str) -> list[int]:
            return [5] * len(text)

    encoder = Encoder(watched, Words(), EncoderOptions())  # type: ignore[arg-type]
    encoder.warm_up()
    before = set(warmed)
    assert {length for _, length in before} == set(LENGTHS)
    prefix = len(PREFIXES["query"])
    for length in range(1, MAX_TOKENS + 2):
        encoder.encode(["x" * max(0, length - prefix)], ["query"])
    assert set(warmed) == before, "a single text of any length"
