"""The reranker's network, made from the real encoder and a head, without Triton."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from triton_models.catalogue import load_catalogue
from triton_models.embed.encoder import MAX_TOKENS, PREFIXES
from triton_models.embed.networks import onnxruntime_session
from triton_models.embed.tokenizer import PAD, E5Tokenizer
from triton_models.embed.weights import E5Weights
from triton_models.fetching import ArtifactStore
from triton_models.progress import silent
from triton_models.rerank.conversion import convert_reranker
from triton_models.rerank.head import Head, log_information
from triton_models.rerank.network import write_token_network
from triton_models.rerank.networks import onnxruntime_network
from triton_models.rerank.reranker import (
    NO_WORDS,
    PREFIX_TOKENS,
    Reranker,
    RerankOptions,
    TokenVectors,
)

pytestmark = pytest.mark.models

QUERY = "Who wrote the weather into the log?"
PASSAGES = [
    "The lighthouse keeper wrote the weather into the log every evening.",
    "Apples are picked in September, before the first frost.",
    "灯台守は毎晩、日誌に天気を書き込んだ。",
    "りんごは霜が降りる前の九月に収穫される。",
]


@pytest.fixture(scope="module")
def weights(model_cache: Path) -> Path:
    artifact = load_catalogue().artifacts["e5-small-q4"]
    return ArtifactStore(model_cache).fetch("e5-small-q4", artifact, silent)


@pytest.fixture(scope="module")
def head() -> Head:
    random = np.random.default_rng(2)

    def small(*shape: int) -> npt.NDArray[np.float32]:
        return random.normal(0.0, 0.04, shape).astype(np.float32)

    return Head(small(384), small(384, 16), small(16, 384), small(384), 0.5)


@pytest.fixture(scope="module")
def converted(weights: Path, head: Head, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reranker")
    head.save(folder / "head.npz")
    roles = convert_reranker(weights, folder / "head.npz", folder, silent)
    return {role: folder / name for role, name in roles.items()}


def test_the_network_is_the_encoder_with_the_head_behind_it(
    weights: Path, head: Head, converted: dict[str, Path], tmp_path: Path
) -> None:
    parsed = E5Weights(weights)
    write_token_network(parsed, tmp_path / "encoder.onnx")
    tokens = np.array([[0, 41, 1294, 12, 33600, 31, 8999, 2], [0, 46692, 12, 33600, 2, PAD, PAD, PAD]], np.int64)
    inputs = {"input_ids": tokens, "attention_mask": (tokens != PAD).astype(np.int32)}
    (hidden,) = onnxruntime_session(tmp_path / "encoder.onnx", threads=1).run(["hidden"], inputs)
    vectors, importance = onnxruntime_network(converted["network"], threads=1)(*inputs.values())

    down, up, direction, center = (
        values.astype(np.float16).astype(np.float32) for values in (head.down, head.up, head.importance, head.center)
    )
    moved = (hidden - center) + (hidden - center) @ down @ up
    np.testing.assert_allclose(vectors, moved / np.linalg.norm(moved, axis=2, keepdims=True), atol=1e-5)
    information = log_information(parsed.vocabulary.scores)
    np.testing.assert_allclose(importance, np.exp((hidden - center) @ direction + 0.5 * information[tokens]), rtol=1e-4)


@pytest.mark.parametrize("kind", PREFIXES)
def test_prefixes_have_as_many_tokens_as_are_left_out(converted: dict[str, Path], kind: str) -> None:
    tokenizer = E5Tokenizer(converted["tokenizer"], converted["normalization"])
    for text in ("hello world", "灯台守は", "42"):
        ids, bare = tokenizer.encode(PREFIXES[kind] + text), tokenizer.encode(text)
        assert ids[PREFIX_TOKENS[kind] :] == bare[1:]


def test_the_passage_that_answers_comes_first_in_both_languages(converted: dict[str, Path]) -> None:
    reranker = Reranker(
        onnxruntime_network(converted["network"], threads=1),
        E5Tokenizer(converted["tokenizer"], converted["normalization"]),
        RerankOptions(),
    )
    scores = reranker.scores(
        [*[QUERY] * 4, *["誰が日誌に天気を書いたか"] * 4, " ", QUERY], [*PASSAGES, *PASSAGES, "any", " \n"]
    )
    assert scores[:4].argmax() == 0 and scores[4:8].argmax() == 2
    assert scores[0] > scores[2] > max(scores[1], scores[3])
    assert np.isnan(scores[8]) and scores[9] == NO_WORDS
    alone = np.array([reranker.scores([QUERY], [passage])[0] for passage in PASSAGES])
    np.testing.assert_allclose(scores[:4], alone, atol=0.05)


def test_a_million_characters_are_read_as_far_as_the_network_takes_them(converted: dict[str, Path]) -> None:
    tokenizer = E5Tokenizer(converted["tokenizer"], converted["normalization"])
    network = onnxruntime_network(converted["network"], threads=1)
    lengths: list[int] = []

    def watched(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> TokenVectors:
        lengths.append(ids.shape[1])
        return network(ids, mask)

    reranker = Reranker(watched, tokenizer, RerankOptions())
    long, short = reranker.scores([QUERY] * 2, [f"{PASSAGES[0]} {'x y ' * 250_000}", PASSAGES[0]])
    assert max(lengths) == MAX_TOKENS
    assert abs(long - short) < 0.2
    assert np.isfinite(reranker.scores(["y" * 1_000_000], [PASSAGES[0]])).all()
