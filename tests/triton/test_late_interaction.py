"""The reranker's scores, with a scripted network in the place of the encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triton_models.embed.encoder import MAX_TOKENS
from triton_models.embed.tokenizer import BOS, EOS, PAD, E5Tokenizer
from triton_models.errors import ConversionFailed
from triton_models.rerank.head import Head, log_information
from triton_models.rerank.reranker import (
    NO_WORDS,
    PREFIX_TOKENS,
    Reranker,
    RerankOptions,
    TokenVectors,
    late_interaction,
)

_HIDDEN = 6
_VECTORS = np.random.default_rng(7).standard_normal((128, _HIDDEN), np.float32)


class LetterTokenizer(E5Tokenizer):
    """A letter is a token; prefixes are as long as the real ones."""

    def __init__(self) -> None:
        self.characters = 0

    def encode(self, text: str) -> list[int]:
        self.characters += len(text)
        kind, _, rest = text.partition(": ")
        return [BOS, *[ord("!")] * (PREFIX_TOKENS[kind] - 1), *map(ord, rest), EOS]


class LetterNetwork:
    """A token's vector depends on its letter alone; so does its importance."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> TokenVectors:
        self.shapes.append(ids.shape)
        assert (mask == (ids != PAD)).all()
        return TokenVectors(_VECTORS[ids], 1.0 + (ids % 3).astype(np.float32))


def reranker(batch_tokens: int = 64) -> tuple[Reranker, LetterNetwork, LetterTokenizer]:
    network, tokenizer = LetterNetwork(), LetterTokenizer()
    return Reranker(network, tokenizer, RerankOptions(batch_tokens)), network, tokenizer


def expected(query: str, passage: str) -> float:
    """By the definition, token by token."""
    if not query:
        return float("nan")
    if not passage:
        return NO_WORDS
    weights = [1.0 + ord(letter) % 3 for letter in query]
    likenesses = [max(float(_VECTORS[ord(a)] @ _VECTORS[ord(b)]) for b in passage) for a in query]
    return sum(w * x for w, x in zip(weights, likenesses, strict=True)) / sum(weights)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text("abcdefgh", max_size=5), st.text("abcdefgh", max_size=30)), max_size=12),
    st.sampled_from([1, 40, 4_000]),
)
def test_scores_are_those_of_the_definition_in_the_order_of_the_pairs(
    pairs: list[tuple[str, str]], batch_tokens: int
) -> None:
    scores = reranker(batch_tokens)[0].scores([query for query, _ in pairs], [passage for _, passage in pairs])
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [expected(*pair) for pair in pairs], rtol=1e-4, atol=1e-5)


def test_each_text_is_read_once_and_batches_hold_similar_lengths() -> None:
    ranker, network, _ = reranker(batch_tokens=64)
    passages = ["abc" * 9, "ab", "abc" * 9, "ba"]
    ranker.scores(["gh"] * 4, passages)
    assert sorted(network.shapes) == [(1, 32), (3, 8)]


def test_a_long_text_is_cut_before_it_costs_anything() -> None:
    ranker, network, tokenizer = reranker()
    [score] = ranker.scores(["gh"], ["a" * 1_000_000])
    assert max(length for _, length in network.shapes) == MAX_TOKENS
    assert tokenizer.characters < 10_000
    assert score == pytest.approx(expected("gh", "a"), rel=1e-5)


def test_nothing_asked_is_nothing_scored() -> None:
    assert reranker()[0].scores([], []).shape == (0,)


def test_all_tokens_of_a_passage_take_part_and_no_others() -> None:
    query = np.eye(3, dtype=np.float32)
    passages = [query[:1], query[1:], np.zeros((0, 3), np.float32), query]
    scores = late_interaction(query, np.array([1, 1, 2], np.float32), passages)
    np.testing.assert_allclose(scores, [0.25, 0.75, NO_WORDS, 1.0])


def test_a_head_is_kept_in_sixteen_bits(tmp_path: Path) -> None:
    head = Head.untrained(np.linspace(-1, 1, 8, dtype=np.float32), rank=2, seed=3)
    head.save(tmp_path / "head.npz")
    again = Head.load(tmp_path / "head.npz")
    np.testing.assert_allclose(again.center, head.center, atol=1e-3)
    np.testing.assert_allclose(again.down, head.down, atol=1e-3)
    assert not again.up.any() and again.information_weight == 0.0


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"something else"])
def test_something_else_is_no_head(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "head.npz").write_bytes(content)
    with pytest.raises(ConversionFailed, match=r"head\.npz"):
        Head.load(tmp_path / "head.npz")


def test_matrices_of_a_head_must_fit_together(tmp_path: Path) -> None:
    center, down, up = (np.zeros(shape, np.float32) for shape in (8, (8, 2), (3, 8)))
    wrong = Head(center, down, up, center, 0.0)
    wrong.save(tmp_path / "head.npz")
    with pytest.raises(ConversionFailed, match="fit"):
        Head.load(tmp_path / "head.npz")


def test_a_rare_piece_tells_more_up_to_a_limit() -> None:
    told = log_information([-2.0, -4.0, -10.0, -14.0, -99.0])
    assert told[0] == told[1] < told[2] == 0.0 < told[3] == told[4]
