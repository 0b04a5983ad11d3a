"""Where tokens come from in the given text, whatever normalization makes of it."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from triton_models.embed.alignment import Aligner
from triton_models.embed.tokenizer import E5Tokenizer
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels

PIECES = [
    *("e\u0301", "o\u0332\u0308", "\u0344", "\u0f73", "q\u0323\u0307", "か\u3099", "は\u309a", "ハ\u3099"),  # composing
    *("ｶﾞ", "ﾊﾟ", "ﾊﾞｽ", "ﾞ", "Ａ", "１", "ﬁ", "ﬄ", "㍿", "①", "½", "Ⅷ", "㌔", "豈", "Å"),  # other forms
    *("\u1100\u1161\u11a8", "가\u11a8", "ﾡￂ", "ㅏ", "ᅡ"),  # Hangul, by its parts
    *(" ", "  ", "\u3000", "\n\n", "\t ", "\u200b", "\ufeff", "\x01", "\x7f"),  # blanks, and what is removed
    *("👩‍👩‍👧", "❤️", "🇯🇵", "東京", "灯台守は", "lighthouse", "Straße", "नमस्ते", "ไทย", "</s>", "▁"),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs"])).map("".join)
UNKNOWN = 3

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def files(model_cache: Path) -> dict[str, Path]:
    return PreparedModels.open(prepare(model_cache, only=["embed"])).paths("embed")


@pytest.fixture(scope="module")
def tokenizer(files: dict[str, Path]) -> E5Tokenizer:
    return E5Tokenizer(files["tokenizer"], files["normalization"])


@pytest.fixture(scope="module")
def aligner(files: dict[str, Path], tokenizer: E5Tokenizer) -> Aligner:
    table = json.loads(files["normalization"].read_text(encoding="utf-8"))
    return Aligner({int(each): replacement for each, replacement in table.items()}, tokenizer.normalize)


@pytest.fixture(scope="module")
def pieces(files: dict[str, Path]) -> Tokenizer:
    return Tokenizer.from_file(str(files["tokenizer"]))


@given(text=TEXTS)
def test_every_character_comes_from_where_it_is_said_to(tokenizer: E5Tokenizer, aligner: Aligner, text: str) -> None:
    aligned = aligner.align(text)
    assert aligned.text == tokenizer.normalize(text)
    assert len(aligned.starts) == len(aligned.ends) == len(aligned.text)
    assert (np.diff(aligned.starts) >= 0).all() and (np.diff(aligned.ends) >= 0).all()
    for character, start, end in zip(aligned.text, aligned.starts, aligned.ends, strict=True):
        assert 0 <= start < end <= len(text)
        assert character in tokenizer.normalize(text[start:end])


@given(text=TEXTS)
def test_tokens_stand_for_their_own_characters(tokenizer: E5Tokenizer, pieces: Tokenizer, text: str) -> None:
    ids, places = tokenizer.encode_with_places(text)
    assert ids == tokenizer.encode(text)[1:-1]
    assert places.shape == (len(ids), 2) and places.dtype == np.int32
    left = list(text)
    for token, (start, end) in zip(ids, places.tolist(), strict=True):
        assert 0 <= start <= end <= len(text)
        if token != UNKNOWN:
            assert (pieces.id_to_token(token) or "").replace("▁", "") in tokenizer.normalize(text[start:end])
        left[start:end] = " " * (end - start)
    assert not tokenizer.normalize("".join(left)).strip(), "a character belongs to no token"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ﾊﾞｽｶﾞ", ["ﾊﾞ", "ﾊﾞｽ", "ｶﾞ"]),
        ("㍿は", ["㍿", "㍿", "は"]),
        ("a  ﬁne\u3000１", ["a", "ﬁne", "１"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("か\x01\u3099\x02 x", ["か\x01\u3099", "か\x01\u3099", "x"]),
    ],
)
def test_places_are_as_narrow_as_can_be(tokenizer: E5Tokenizer, text: str, expected: list[str]) -> None:
    """A text's first token can be the mark of a beginning alone, which has the place of its first character."""
    assert [text[start:end] for start, end in tokenizer.encode_with_places(text).places if end > start] == expected


def test_every_character_that_is_composed_with_one_before_it_joins_it(aligner: Aligner) -> None:
    seconds = {
        chr(int(parts[1], 16))
        for parts in (unicodedata.decomposition(chr(each)).split() for each in range(0x110000))
        if len(parts) == 2 and not parts[0].startswith("<")
    }
    assert len(seconds) > 50
    assert {each for each in seconds if not aligner.joins(each)} == set()
