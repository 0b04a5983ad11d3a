"""Windows of texts and the spans in them, with a scripted network in the place of the encoder."""

from __future__ import annotations

import string
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triton_models.embed.encoder import LENGTHS
from triton_models.embed.tokenizer import BOS, EOS, PAD, E5Tokenizer, write_tokenizer
from triton_models.embed.weights import Vocabulary
from triton_models.read.reader import Reader, ReaderOptions, Span
from triton_models.read.spans import TokenSpan, best_spans

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", *string.ascii_letters, *string.digits, ":", "?", ".", "<mask>"]
SMALL = ReaderOptions(question_tokens=20, window_tokens=64, overlap_tokens=12, windows=4, answer_tokens=8)
_logits = st.floats(-8, 8, width=16)


@st.composite
def windows(draw: st.DrawFn) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Logits of tokens and of "no answer here", and where spans can begin and end."""
    tokens = draw(st.integers(1, 12))
    values = draw(st.lists(_logits, min_size=2 * tokens + 2, max_size=2 * tokens + 2))
    eligible = draw(st.lists(st.booleans(), min_size=tokens, max_size=tokens))
    pairs = np.array(values, np.float32).reshape(-1, 2)
    return pairs[1:], pairs[0], np.array(eligible)


@given(windows(), st.integers(1, 14), st.integers(1, 5))
def test_each_span_is_the_best_that_those_before_it_leave(
    window: tuple[Floats, Floats, npt.NDArray[np.bool_]], longest: int, most: int
) -> None:
    logits, null, eligible = window
    places = [
        (first, last)
        for first in range(len(logits))
        for last in range(first, min(first + longest, len(logits)))
        if eligible[first] and eligible[last]
    ]
    found = best_spans(logits, null, eligible, longest, most)
    for span in found:
        assert (span.first, span.last) in places
        scores = {place: logits[place[0], 0] + logits[place[1], 1] - null.sum() for place in places}
        assert span.score == pytest.approx(scores[span.first, span.last], abs=1e-4)
        assert span.score == pytest.approx(max(scores.values()), abs=1e-4)
        places = [place for place in places if place[1] < span.first or span.last < place[0]]
    assert len(found) == most or not places


def test_the_best_span_goes_from_the_best_beginning_to_the_best_end_behind_it() -> None:
    logits = np.array([[0, 9], [5, 0], [1, 1], [0, 4]], np.float32)
    null = np.array([2, 1], np.float32)
    found = best_spans(logits, null, np.ones(4, np.bool_), longest=40, most=2)
    assert found == [TokenSpan(0, 0, 6.0), TokenSpan(1, 3, 6.0)]
    assert best_spans(logits, null, np.ones(4, np.bool_), longest=2, most=1) == [TokenSpan(0, 0, 6.0)]
    assert best_spans(logits, null, np.zeros(4, np.bool_), longest=2, most=1) == []


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> E5Tokenizer:
    """A letter is a token."""
    folder = tmp_path_factory.mktemp("letters")
    write_tokenizer(Vocabulary(PIECES, [-9.0] * len(PIECES), 0, 2, 1, 3, {1: ""}), folder)
    return E5Tokenizer(folder / "tokenizer.json", folder / "normalization.json")


def token(letter: str) -> int:
    return PIECES.index(letter)


class CodeNetwork:
    """Answers begin at a capital and end at a digit, such as Zed9: the later in the alphabet and the greater, the
    better. The score is the capital's place in the alphabet and the digit, less 20."""

    def __init__(self) -> None:
        self.seen: list[Ints] = []

    def __call__(self, ids: Ints, mask: npt.NDArray[np.int32]) -> Floats:
        self.seen += [row[row != PAD] for row in ids]
        assert (mask == (ids != PAD)).all()
        capital, digit = ids - token("A"), ids - token("0")
        starts = np.where((capital >= 0) & (capital < 26), capital, -100)
        ends = np.where((digit >= 0) & (digit < 10), digit, -100)
        logits = np.stack([starts, ends], axis=2).astype(np.float32)
        logits[:, 0] = 10
        # Whatever is said of the question and of marks does not count.
        logits[:, 1:5] = 1_000
        return logits


def reader(tokenizer: E5Tokenizer, options: ReaderOptions = SMALL) -> tuple[Reader, CodeNetwork]:
    network = CodeNetwork()
    return Reader(network, tokenizer, options), network


def test_question_and_text_are_read_together(tokenizer: E5Tokenizer) -> None:
    own, network = reader(tokenizer)
    own.read(["who?"], ["a b"])
    [row] = network.seen
    question = [token(letter) for letter in ["▁", *"query:", "▁", *"who?"]]
    assert row.tolist() == [BOS, *question, EOS, EOS, token("▁"), token("a"), token("▁"), token("b"), EOS]


def test_spans_are_characters_of_the_text_best_first(tokenizer: E5Tokenizer) -> None:
    text = "  the\x01 keeper  Z o9 and B\x01ob7\x01 live at  Road5 "
    [reading] = reader(tokenizer)[0].read(["who"], [text])
    assert reading is not None and not reading.truncated
    assert [(text[span.start : span.end], span.score) for span in reading.spans[:3]] == [
        ("Z o9", 14.0),
        ("Road5", 2.0),
        ("B\x01ob7", -12.0),
    ]
    assert [span.score for span in reading.spans] == sorted((span.score for span in reading.spans), reverse=True)


WORDS = st.lists(st.sampled_from(["a", "in", "sea", "Q", "ZED", "NO", "\x01", " ", "b" * 30]), max_size=40).map(
    " ".join
)


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.lists(WORDS, max_size=40).map(" ".join), max_size=6),
    batch_tokens=st.sampled_from([1, 100, 4_000]),
)
def test_texts_are_read_alike_alone_and_together(tokenizer: E5Tokenizer, texts: list[str], batch_tokens: int) -> None:
    options = ReaderOptions(20, 64, 12, 4, 8, batch_tokens=batch_tokens)
    together = reader(tokenizer, options)[0].read(["who"] * len(texts), texts)
    assert together == [reader(tokenizer)[0].read(["who"], [text])[0] for text in texts]
    for text, reading in zip(texts, together, strict=True):
        assert reading is not None and len(reading.spans) <= options.spans
        ends = sorted((span.start, span.end) for span in reading.spans)
        assert all(0 <= start < end <= len(text) for start, end in ends)
        assert all(before[1] <= after[0] for before, after in pairwise(ends))


@pytest.mark.parametrize("place", range(0, 140, 7))
def test_a_long_text_is_read_in_windows_that_leave_no_answer_out(tokenizer: E5Tokenizer, place: int) -> None:
    own, network = reader(tokenizer)
    text = "a" * place + "Yaaaaaa9" + "a" * (150 - place)
    [reading] = own.read(["who"], [text])
    assert reading is not None and not reading.truncated
    assert reading.spans[0] == Span(place, place + 8, 13.0)
    assert all(span.score < 0 for span in reading.spans[1:])
    assert [len(row) for row in network.seen] == [63, 64, 64, 64]


def test_a_text_is_read_as_far_as_there_are_windows_for_and_says_so(tokenizer: E5Tokenizer) -> None:
    own, network = reader(tokenizer)
    million = "a" * 1_000_000
    long, short = own.read(["who"] * 2, [million + " Z9", "Z9"])
    assert long is not None and long.truncated and not long.spans[0].score > 0
    assert short is not None and not short.truncated and short.spans == (Span(0, 2, 14.0),)
    assert len(network.seen) == SMALL.windows + 1
    # What is short in tokens, but not in characters, is cut as well.
    [blanks] = own.read(["who"], [" " * 1_000_000 + "Z9"])
    assert blanks is not None and blanks.truncated and not blanks.spans


def test_what_has_no_words_costs_nothing(tokenizer: E5Tokenizer) -> None:
    own, network = reader(tokenizer)
    blank, nothing, asked = own.read(["who", " \n", "who"], [" ", "Z9", ""])
    assert nothing is None and blank == asked == ((), False)
    assert own.read([], []) == [] and network.seen == []
    [removed] = own.read(["who"], ["\x01\x01"])
    assert removed == ((), False)


def test_a_long_question_leaves_room_for_the_text(tokenizer: E5Tokenizer) -> None:
    own, network = reader(tokenizer)
    [reading] = own.read(["q" * 1_000_000], ["a Z9"])
    assert reading is not None and reading.spans[0] == Span(2, 4, 14.0)
    assert len(network.seen[0]) == 1 + SMALL.question_tokens + 2 + 5 + 1


def test_a_network_that_gives_no_numbers_is_told(tokenizer: E5Tokenizer) -> None:
    own = Reader(lambda ids, mask: np.full((*ids.shape, 2), np.nan, np.float32), tokenizer, SMALL)
    with pytest.raises(ArithmeticError, match="not numbers"):
        own.read(["who"], ["Z"])


def test_every_length_that_a_window_can_have_is_warmed(tokenizer: E5Tokenizer) -> None:
    own, network = reader(tokenizer, ReaderOptions())
    own.warm_up()
    assert sorted(len(row) for row in network.seen) == [length for length in LENGTHS if length <= 256]


@pytest.mark.parametrize(
    "wrong", [{"overlap_tokens": 7}, {"overlap_tokens": 40}, {"window_tokens": 513, "overlap_tokens": 12}]
)
def test_windows_must_overlap_and_fit(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"windows must overlap|takes 512 tokens"):
        ReaderOptions(**{"question_tokens": 20, "window_tokens": 64, "answer_tokens": 8} | wrong)
