"""Reranking by an encoder of whole texts, with a scripted network in the place of the encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from triton_models.embed.encoder import LENGTHS
from triton_models.errors import ConversionFailed
from triton_models.rerank.reranker import NO_WORDS
from triton_models.rerank.sentence_weights import SentenceWeights
from triton_models.rerank.sentences import SentenceOptions, SentenceReranker, SentenceTokenizer

_MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_WORDS = ("river", "bridge", "stone", "apple", "frost", "##s", "a", "の", "[", "]", "sep")
_TABLE = np.random.default_rng(5).standard_normal((len(_MARKS) + len(_WORDS), 6)).astype(np.float32)
_JAPANESE = "石の橋"
_TEXTS = st.lists(st.sampled_from(("river", "bridge", "stones", "apple", "frost")), min_size=1, max_size=9).map(
    " ".join
)


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An English vocabulary of a few words, as Hugging Face writes it: with padding and truncation switched on."""
    vocabulary = {piece: row for row, piece in enumerate((*_MARKS, *_WORDS))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.add_special_tokens(list(_MARKS))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(length=12)
    tokenizer.enable_truncation(4)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


class WordNetwork:
    """The vector of a text is the mean of its tokens', whatever their order."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        self.shapes.append(ids.shape)
        sums = (_TABLE[ids] * mask[:, :, None]).sum(axis=1)
        vectors: npt.NDArray[np.float32] = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        return vectors


def reranker(file: Path, batch_tokens: int = 24, max_tokens: int = 16) -> tuple[SentenceReranker, WordNetwork]:
    network, options = WordNetwork(), SentenceOptions(max_tokens, batch_tokens)
    return SentenceReranker(network, SentenceTokenizer(file, max_tokens), options), network


def vector(text: str) -> npt.NDArray[np.float32]:
    """By the definition, of words of the vocabulary."""
    rows = {piece: row for row, piece in enumerate((*_MARKS, *_WORDS))}
    pieces = ["[CLS]", *text.replace("stones", "stone ##s").split(), "[SEP]"]
    mean = _TABLE[[rows[piece] for piece in pieces]].mean(axis=0)
    found: npt.NDArray[np.float32] = mean / np.linalg.norm(mean)
    return found


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(_TEXTS, _TEXTS), max_size=9), st.sampled_from([1, 24, 4_000]))
def test_scores_are_cosines_in_the_order_of_the_pairs(
    tokenizer_file: Path, pairs: list[tuple[str, str]], batch_tokens: int
) -> None:
    scores = reranker(tokenizer_file, batch_tokens, 32)[0].scores([query for query, _ in pairs], [p for _, p in pairs])
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [vector(a) @ vector(b) for a, b in pairs], rtol=1e-4, atol=1e-5)


def test_each_text_goes_through_the_network_once(tokenizer_file: Path) -> None:
    scorer, network = reranker(tokenizer_file, batch_tokens=1_000)
    scores = scorer.scores(["river"] * 4, ["bridge", "river", "bridge", "a bridge"])
    assert network.shapes == [(3, LENGTHS[0])]
    assert scores[0] == scores[2] and scores[1] == pytest.approx(1.0)


def test_what_it_cannot_read_stays_where_it_is(tokenizer_file: Path) -> None:
    scorer, network = reranker(tokenizer_file)
    first, second, third = scorer.scores(["river"] * 3, ["bridge stone", _JAPANESE, "apple frost"])
    assert second == pytest.approx((first + third) / 2) and first != third
    network.shapes.clear()
    assert scorer.scores([_JAPANESE] * 2, ["bridge", _JAPANESE]).tolist() == [0.0, 0.0]
    assert scorer.scores(["river"], [_JAPANESE]).tolist() == [0.0]
    assert not network.shapes


def test_blank_texts(tokenizer_file: Path) -> None:
    scorer, _ = reranker(tokenizer_file)
    assert np.isnan(scorer.scores([" \n", ""], ["river", ""])).all()
    assert scorer.scores(["river", _JAPANESE], [" ", ""]).tolist() == [NO_WORDS, NO_WORDS]
    assert scorer.scores([], []).shape == (0,)


def test_a_long_text_is_read_as_far_as_the_limit(tokenizer_file: Path) -> None:
    scorer, network = reranker(tokenizer_file)
    cut, whole = scorer.scores(["frost"] * 2, ["river " * 14 + "frost " * 100_000, "river " * 14])
    assert cut == whole
    assert max(length for _, length in network.shapes) == 16


def test_what_a_text_says_never_becomes_a_mark(tokenizer_file: Path) -> None:
    tokenizer = SentenceTokenizer(tokenizer_file, 16)
    rows = {piece: row for row, piece in enumerate((*_MARKS, *_WORDS))}
    assert tokenizer.encode("[SEP]").ids == [rows[piece] for piece in ("[CLS]", "[", "sep", "]", "[SEP]")]


def test_a_network_that_gives_no_numbers_is_told(tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, _ = reranker(tokenizer_file)
    monkeypatch.setitem(globals(), "_TABLE", np.full_like(_TABLE, np.nan))
    with pytest.raises(ArithmeticError, match="not numbers"):
        scorer.scores(["river"], ["bridge"])


def test_another_file_is_refused(tmp_path: Path, tokenizer_file: Path) -> None:
    with pytest.raises(ConversionFailed, match=r"tokenizer\.json"):
        SentenceWeights(tokenizer_file)
    empty = tmp_path / "model.onnx"
    empty.write_bytes(b"")
    with pytest.raises(ConversionFailed, match="word_embeddings"):
        SentenceWeights(empty)
