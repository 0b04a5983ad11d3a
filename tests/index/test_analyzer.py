"""Golden tokens, and what they mean for finding things."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import Analyzer, Filter, Reader, SearchRequest
from index.lexical.query import LexicalQuery, Phrase, parse
from tests.index.conftest import Open
from tests.index.model import chunk


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("The users' running tests don't fail", ["the", "user", "run", "test", "don't", "fail"]),
        ("John's e-mail: ABC-123, v2.0", ["john", "e", "mail", "abc", "123", "v2", "0"]),
        ("organisation RELATIONAL Relations", ["organis", "relat", "relat"]),
        ("Ｗｅｂ　２０２６年", ["web", "2026", "年", "年"]),
        ("東京都", ["東京", "京都", "東京", "都"]),
        ("ﾃﾞｰﾀﾍﾞｰｽ", ["デー", "ータ", "タベ", "ベー", "ース", "データベース"]),
        ("売上が伸びた", ["売上", "上が", "が伸", "伸び", "びた", "売り上げ", "伸びる"]),
        ("Straße Москва", ["strass", "москва"]),
        ("검색", ["검색"]),
        ("𠮷野家", ["𠮷野", "野家", "野家"]),
        ("①㈱ — !?", ["1", "株"]),
        ("Café naïve Łódź Ærø", ["cafe", "naiv", "lodz", "aero"]),
        ("cafe\u0301 CAFÉS cafés", ["cafe", "cafe", "cafe"]),
        ("か\u3099っこう", ["がっ", "っこ", "こう", "学校"]),
        ("1,000円 12,345,678kg", ["1000", "円", "12345678kg", "円"]),
        ("1,0000 12345,678 1,2", ["1", "0000", "12345", "678", "1", "2"]),
        ("10kg 10 kg", ["10kg", "10", "kg"]),
        ("サーバー", ["サー", "ーバ", "バー", "サーバー"]),
        ("サーバ", ["サー", "ーバ", "サーバー"]),
        ("人々", ["人々", "人々"]),
        ("生成AI技術", ["生成", "ai", "技術", "生成", "技術"]),
        ("well-known rock’n’roll", ["well", "known", "rock", "n", "roll"]),
        ("👍🏽 ok", ["ok"]),
    ],
)
def test_tokens(analyzer: Analyzer, text: str, tokens: list[str]) -> None:
    assert analyzer.tokens(text) == tokens


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12))
def test_stems_begin_as_their_words_do(analyzer: Analyzer, word: str) -> None:
    """Snippets rely on it."""
    assert analyzer.sequence(word)[0][0] == word[0]


@pytest.mark.parametrize(
    ("text", "sequence"),
    [
        ("Users run", ["user", "run"]),
        ("東京都 大阪", ["東京", "京都", "都", "大阪", "阪"]),
        ("第3章「AI技術」", ["第", "3", "章", "ai", "技術", "術"]),
        ("검색기", ["검색", "색기", "기"]),
    ],
)
def test_sequences(analyzer: Analyzer, text: str, sequence: list[str]) -> None:
    assert analyzer.sequence(text) == sequence


def test_streams(analyzer: Analyzer) -> None:
    assert analyzer.stream("Reports", "東京の 売上", "") == "report\n東京 京の の 売上 上\n東京 売り上げ"
    assert analyzer.stream("", "。") == ""


def test_long_and_hostile_text(analyzer: Analyzer) -> None:
    assert len(analyzer.tokens("全文検索エンジン。" * 6_000)) > 50_000
    assert analyzer.tokens("x" * 100_000) == ["x" * 200]
    assert all(not any(map(str.isspace, token)) for token in analyzer.tokens("a\u2003b\x00c\u200bd　全\u3000文"))


def test_many_threads(analyzer: Analyzer) -> None:
    text = "東京都の観光案内所はどこですか。Running users"
    expected = analyzer.tokens(text)
    wrong: list[list[str]] = []

    def work() -> None:
        wrong.extend(tokens for tokens in (analyzer.tokens(text) for _ in range(50)) if tokens != expected)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", LexicalQuery()),
        ("apple -pears", LexicalQuery(optional=("appl",), excluded=(Phrase(("pear",)),))),
        ('"red apples" pie "red apple"', LexicalQuery(optional=("pie",), required=(Phrase(("red", "appl")),))),
        (
            "“東京 タワー” -“夜景 写真”",
            LexicalQuery(
                required=(Phrase(("東京", "京", "タワ", "ワー")),), excluded=(Phrase(("夜景", "景", "写真")),)
            ),
        ),
        ("売上 -都庁", LexicalQuery(optional=("売上", "売り上げ"), excluded=(Phrase(("都庁",)),))),
        ("猫", LexicalQuery(optional=("猫",), characters=("猫",))),
        ("猫 AI", LexicalQuery(optional=("猫", "ai"))),
        ('"猫" -犬', LexicalQuery(required=(Phrase(("猫",), open=True),), excluded=(Phrase(("犬",), open=True),))),
        ('"AI技" "。"', LexicalQuery(required=(Phrase(("ai", "技"), open=True),))),
        ("e-mail well-known -5 - x", LexicalQuery(optional=("e", "mail", "well", "known", "5", "x"))),
        ('an "unbalanced quote', LexicalQuery(optional=("an", "unbalanc", "quot"))),
        ("apple apple", LexicalQuery(optional=("appl",))),
    ],
)
def test_queries(analyzer: Analyzer, text: str, query: LexicalQuery) -> None:
    assert parse(text, analyzer) == query


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("検索", {"full-text", "vector"}),
        ('"全文検索"', {"full-text"}),
        ("全文検索", {"full-text", "vector"}),
        ("検索 -全文検索", {"vector"}),
        ("検索 -ベクトル", {"full-text"}),
        ('-全文検索 "検索"', {"vector"}),
        ("-全文検索", set()),
        ("２０２６", {"year"}),
        ("2026 年度", {"year"}),
        ("リレーショナルデータベース", {"database"}),
        ("ﾃﾞｰﾀﾍﾞｰｽ", {"database"}),
        ("users", {"english"}),
        ("USER -runs", set()),
        ('"user running"', {"english"}),
        ('"user runs the test"', {"english"}),
        ('"running user"', set()),
        ('"headings user"', set()),
        ('user -"tests the"', {"english"}),
        ('user -"the tests"', set()),
        ("索", {"full-text", "vector"}),
        ("年", {"year"}),
        ("度", {"year"}),
        ('"6年"', set()),
        ('"2026年"', {"year"}),
        ('"2026年度の"', {"year"}),
        ('"の意"', {"vector"}),
        ('"検索 エンジン"', set()),
        ('"索エ"', {"full-text"}),
        ('"組"', {"full-text"}),
        ('検索 -"文"', set()),
        ('検索 -"全"', {"vector"}),
        ('"user walking"', set()),
        ("heading", {"english"}),
        ("、。", set()),
    ],
)
def test_what_a_query_finds(open_index: Open, text: str, found: set[str]) -> None:
    index = open_index()
    index.apply(
        [
            chunk(1, "full-text", text="全文検索エンジンの仕組み"),
            chunk(2, "vector", text="ベクトル検索は文の意味を比べる"),
            chunk(3, "year", text="2026年度の予算"),
            chunk(4, "database", text="関係データベース入門"),
            chunk(5, "english", text="A user runs the tests", heading="Headings"),
        ]
    )
    result = index.snapshot().search(SearchRequest(Filter(Reader("t1", "x")), 10, text=text))
    assert {hit.chunk_id for hit in result.hits} == found


def test_scores_do_not_depend_on_how_chunks_are_spread_over_segments(open_index: Open) -> None:
    one, many = open_index("one"), open_index("many")
    texts = [
        "apple pear plum",
        "apple apple plum",
        "pear pear plum",
        "plum fig date",
        "apple fig kiwi",
        "date kiwi lime",
    ]
    for position, text in enumerate(texts, start=1):
        operation = chunk(position, f"chunk-{position}", text=text)
        one.apply([operation])
        many.apply([operation])
        if position % 2 == 0:
            many.compact()
    wanted = Filter(Reader("t1", "x"))
    for query in ("apple", "apple pear", "plum kiwi", '"fig" apple'):
        expected = one.snapshot().search(SearchRequest(wanted, 10, text=query))
        result = many.snapshot().search(SearchRequest(wanted, 10, text=query))
        scores = {hit.chunk_id: hit.score for hit in result.hits}
        assert len(result.parts) == 3 and expected.hits
        assert scores == {hit.chunk_id: pytest.approx(hit.score, rel=1e-5) for hit in expected.hits}
