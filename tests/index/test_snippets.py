"""Snippets: the right part of a text, and offsets that hold in the text as it is."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from index import Analyzer, Highlighter, Snippet
from index.lexical.analyzer import TokenSpan, fold
from index.lexical.query import parse
from index.lexical.snippets import _Folded
from tests.index.conftest import Open
from tests.index.model import chunk

ODD = [
    "ﾃﾞｰﾀ",
    "ｶﾞ",
    "ﬁnance",
    "㈱",
    "①",
    "Ｗｅｂ",
    "👍🏽",
    "cafe\u0301",
    "か\u3099",
    "ŉ",
    "ẞ",
    "İ",
    "ǆ",
    "각",
    "\u1100\u1161",
    "ͅ",
]
ODD += ["\u3099", "½", "…", "㍿", "ﷺ", "\u200d", "\u0e33", "\uff9f", "\ufb2c", "\u0bca", "\u0b95\u0bbe", "Ω", "ϓ\u0301"]
PLAIN = [
    "東京都",
    "の",
    "人口",
    "データ",
    "売上",
    "売り上げ",
    "user",
    "Users'",
    " ",
    "。",
    ". ",
    ", ",
    "\n",
    "finance",
    "猫",
    "!",
]

texts = st.lists(st.sampled_from(ODD + PLAIN) | st.text(max_size=3), max_size=60).map("".join)
queries = st.lists(st.sampled_from([*ODD, *PLAIN, '"', " -"]), min_size=1, max_size=5).map("".join)


@pytest.fixture(scope="module")
def highlighter(analyzer: Analyzer) -> Highlighter:
    return Highlighter(analyzer)


def marked(text: str, snippet: Snippet | None) -> str | None:
    if snippet is None:
        return None
    pieces, done = [], snippet.start
    for start, end in snippet.highlights:
        pieces += [text[done:start], "[", text[start:end], "]"]
        done = end
    return "".join([*pieces, text[done : snippet.end]])


@settings(max_examples=300, deadline=None)
@given(text=st.text() | texts)
def test_folded_offsets_lead_back_to_the_text(text: str) -> None:
    folded = _Folded.of(text)
    assert folded.text == fold(text)
    spans = [folded.original(_span(at)) for at in range(len(folded.text))]
    assert all(0 <= each.start < each.end <= len(text) for each in spans)
    assert all(left.start <= right.start and left.end <= right.end for left, right in pairwise(spans))
    for at, each in enumerate(spans):
        assert folded.text[at] in fold(text[each.start : each.end])


def _span(at: int) -> TokenSpan:
    return TokenSpan("", at, at + 1)


@settings(max_examples=200, deadline=None)
@given(text=texts, query=queries)
@example(text="x" * 500, query="x" * 500)
@example(text="user " * 200, query="user")
@example(text="㍿", query="㈱")
def test_highlights_are_the_query_s_words(analyzer: Analyzer, highlighter: Highlighter, text: str, query: str) -> None:
    snippet = highlighter.snippet(text, query)
    wanted = parse(query, analyzer)
    if snippet is None:
        return
    assert 0 <= snippet.start < snippet.end <= len(text) and snippet.end - snippet.start <= 240
    assert snippet.highlights
    borders = [snippet.start, *(at for each in snippet.highlights for at in each), snippet.end]
    assert borders == sorted(borders)
    assert all(left.end < right.start for left, right in pairwise(snippet.highlights))
    for start, end in snippet.highlights:
        assert start < end
        marked = unicodedata.normalize("NFKC", text[start:end])
        inside = {*analyzer.stream(marked).split(), *marked}
        assert inside & {*wanted.scoring, *wanted.characters}


@settings(max_examples=100, deadline=None)
@given(before=texts, after=texts, word=st.sampled_from(["ﾃﾞｰﾀ", "東京都", "ﬁnance", "cafe\u0301", "Ｗｅｂ", "検索"]))
def test_what_the_text_has_is_found(highlighter: Highlighter, before: str, after: str, word: str) -> None:
    text = f"{before}。{word}。{after}"
    snippet = highlighter.snippet(text, word)
    assert snippet is not None
    assert any(fold(word) in fold(text[start:end]) for start, end in snippet.highlights)


FILLER = "別の話題として、天気は晴れである。" * 20


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("A user runs the tests", "running USERS", "A [user] [runs] the tests"),
        ("John's café, in Paris", "cafe john", "[John's] [café], in Paris"),
        ("東京都の人口は多い", "東京都 人口", "[東京都]の[人口]は多い"),
        ("ﾃﾞｰﾀﾍﾞｰｽの設計", "データベース", "[ﾃﾞｰﾀﾍﾞｰｽ]の設計"),
        ("㈱日本のﬁnance部 👍🏽 Ｗｅｂ", "株式会社 finance web 株", "[㈱]日本の[ﬁnance]部 👍🏽 [Ｗｅｂ]"),
        ("売り上げが伸びた", "売上", "[売り上げ]が伸びた"),
        ("野良猫と子猫。", "猫", "野良[猫]と子[猫]。"),
        ("野良猫と猫。", "猫 ねずみ", "野良猫と[猫]。"),
        ("10,000円", "10000円", "[10,000円]"),
        ("nothing here", "something", None),
        ("nothing here", "。", None),
        ("", "word", None),
    ],
)
def test_what_is_marked(highlighter: Highlighter, text: str, query: str, expected: str | None) -> None:
    assert marked(text, highlighter.snippet(text, query)) == expected


def test_the_part_with_most_of_the_query(highlighter: Highlighter) -> None:
    text = "都の話。" + FILLER + "ここに東京都の人口がある。次の文。" + FILLER + "人口。" + FILLER
    snippet = highlighter.snippet(text, "東京都の人口")
    assert snippet is not None
    shown = text[snippet.start : snippet.end]
    assert "東京都の人口がある。" in shown
    assert shown.endswith("。") and text[snippet.start - 1] == "。"
    english = "The old story. " * 30 + "Relational databases keep records. " + "The old story. " * 30
    snippet = highlighter.snippet(english, "what is the relational database")
    assert snippet is not None
    assert english[snippet.start : snippet.end].startswith("The old story. ")
    assert marked(english, snippet) != english[snippet.start : snippet.end]
    assert "[Relational] [databases]" in str(marked(english, snippet))


def test_rarer_words_count_more(highlighter: Highlighter) -> None:
    text = "apple pear. " + "filler text. " * 40 + "plum. " + "filler text. " * 40
    for weights, shown in (({"appl": 1.0, "pear": 1.0, "plum": 5.0}, "plum"), (None, "apple pear")):
        snippet = highlighter.snippet(text, "apple pear plum", weights)
        assert snippet is not None and shown in text[snippet.start : snippet.end]


def test_an_index_knows_which_words_are_rare(open_index: Open) -> None:
    index = open_index()
    index.apply([chunk(position, f"chunk-{position}", text="apple") for position in range(1, 5)])
    index.compact()
    index.apply([chunk(5, "chunk-5", text="plum")])
    rarities = index.snapshot().rarities('"apples" plum nothing')
    assert list(rarities) == ["appl", "plum", "noth"]
    assert 0 < rarities["appl"] < rarities["plum"] < rarities["noth"]
