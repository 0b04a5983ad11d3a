from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.answer_kinds import AnswerKind, answer_kind, fits
from server.application.phrases import Phrasebook, without_frame

TEXTS = (
    "The fare is $12 for adults. The Royal Navy (founded 1546) bought it in the 1930s.",
    "作家の『銀河鉄道の夜』は１９３４年に刊行された。税率は10％である。",
)


def quoted(draft: str, least: float = 0.6) -> list[str]:
    return [
        TEXTS[found.text][found.span.start : found.span.end] for found in Phrasebook(TEXTS).quotations(draft, least)
    ]


@pytest.mark.parametrize(
    ("draft", "words"),
    [
        ("royal navy", "Royal Navy"),
        ("The Royal Navy.", "Royal Navy"),
        ("12", "$12"),
        ("1934年", "１９３４年"),
        ("銀河鉄道の夜", "『銀河鉄道の夜』"),
        ("10%", "10％"),
        ("founded 1546", "(founded 1546)"),
    ],
)
def test_the_passages_own_spelling_is_quoted(draft: str, words: str) -> None:
    assert quoted(draft) == [words]


def test_what_is_nearly_said_is_found_and_what_is_not_is_not() -> None:
    assert quoted("bought by the Royal Navy in 1930s") == ["Royal Navy (founded 1546) bought it in the 1930s"]
    assert quoted("bought by the Royal Navy in 1930s", least=0.9) == []
    assert quoted("a wholly different thing") == []
    assert quoted("。、!") == []


def test_numbers_are_found_whole() -> None:
    book = Phrasebook(["It has 5,792 seats and 7.5 decks."])
    assert book.quotations("5", 0.5) == book.quotations("7", 0.5) == book.quotations("792", 0.5) == []
    assert [(each.span.start, each.span.end) for each in book.quotations("5792", 0.5)] == [(7, 12)]


@pytest.mark.parametrize(
    ("draft", "text"),
    [
        ("1930", "The pier burnt in the 1930s."),
        ("五年", "二十五年に開いた。"),
        ("2千万円", "1億2千万円である。"),
        ("5 million euros", "It cost 7 million euros."),
        ("3年", "13年に開いた。"),
    ],
)
def test_another_number_is_not_quoted(draft: str, text: str) -> None:
    assert Phrasebook([text]).quotations(draft, 0.6) == []


@pytest.mark.parametrize(
    ("draft", "text", "words"),
    [
        ("5 degrees", "It is -5 degrees cold.", "-5 degrees"),
        ("5 km", "It is 3-5 km long.", "5 km"),
        ("5", "It cost $5 million.", "$5 million"),
        ("5度", "気温は−5度。", "−5度"),
        ("3,5", "A-3,5", "3,5"),
    ],
)
def test_a_number_is_quoted_with_what_belongs_to_it(draft: str, text: str, words: str) -> None:
    [found] = Phrasebook([text]).quotations(draft, 0.6)
    assert text[found.span.start : found.span.end] == words


def test_all_places_are_told_in_their_order() -> None:
    found = Phrasebook(["one two one", "two one"]).quotations("one", 0.5)
    assert [(each.text, each.span.start) for each in found] == [(0, 0), (0, 8), (1, 4)]


@given(st.text(alphabet="ab 「」ｱ１$%漢字かな.", min_size=1, max_size=40), st.data())
def test_any_words_of_a_text_are_found_in_it(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    for found in Phrasebook([text]).quotations(text[start:], 1.0):
        assert 0 <= found.span.start < found.span.end <= len(text)
    assert all(found.likeness == 1.0 for found in Phrasebook([text]).quotations(text, 1.0))


@pytest.mark.parametrize(
    ("draft", "phrase"),
    [(" 「渡辺」。", "「渡辺」"), ("“Navy”", "Navy"), ("(610)", "610"), ("", ""), ("610 people.", "610 people")],
)
def test_frames_are_taken_off(draft: str, phrase: str) -> None:
    assert without_frame(draft) == phrase


@pytest.mark.parametrize(
    ("question", "language", "kind"),
    [
        ("How many seats are there?", "en", AnswerKind.NUMBER),
        ("When did it open?", "en", AnswerKind.DATE),
        ("In what year was it built?", "en", AnswerKind.DATE),
        ("To whom does it belong?", "en", AnswerKind.PERSON),
        ("Where is it?", "en", AnswerKind.PLACE),
        ("What happens when workers leave?", "en", AnswerKind.SENTENCES),
        ("When fewer workers are needed, what follows?", "en", AnswerKind.PHRASE),
        ("Why is it closed?", "en", AnswerKind.PHRASE),
        ("What time does it open?", "en", AnswerKind.PHRASE),
        ("How do I reset the alarm?", "en", AnswerKind.SENTENCES),
        ("How did it end?", "en", AnswerKind.PHRASE),
        ("Is it open on Sundays?", "en", AnswerKind.SENTENCES),
        ("What is the difference between the two?", "en", AnswerKind.SENTENCES),
        ("opening hours", "en", AnswerKind.SENTENCES),
        ("開港はいつ？", "ja", AnswerKind.DATE),
        ("何人が働いていますか。", "ja", AnswerKind.NUMBER),
        ("いくつかの港を結ぶ航路は何ですか。", "ja", AnswerKind.PHRASE),
        ("所有者は誰か", "ja", AnswerKind.PERSON),
        ("本社はどこですか", "ja", AnswerKind.PLACE),
        ("開港は何年ですか。", "ja", AnswerKind.NUMBER),
        ("航路の名前は？", "ja", AnswerKind.PHRASE),
        ("どうすれば予約できますか。", "ja", AnswerKind.SENTENCES),
        ("日曜日も開いていますか。", "ja", AnswerKind.SENTENCES),
        ("いつも開いていますか。", "ja", AnswerKind.SENTENCES),
        ("みんなに開かれていますか。", "ja", AnswerKind.SENTENCES),
        ("Wann öffnet es?", "de", AnswerKind.SENTENCES),
    ],
)
def test_what_a_question_wants(question: str, language: str, kind: AnswerKind) -> None:
    assert answer_kind(question, language) is kind


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        (AnswerKind.NUMBER, "twenty-one", "the Navy"),
        (AnswerKind.NUMBER, "三千人", "海軍"),
        (AnswerKind.NUMBER, "スペイン人", "スペイン"),
        (AnswerKind.DATE, "May", "the Navy"),
        (AnswerKind.DATE, "江戸時代", "海軍"),
        (AnswerKind.PERSON, "Ida", "2012"),
    ],
)
def test_what_can_be_an_answer_of_a_kind(kind: AnswerKind, right: str, wrong: str) -> None:
    assert fits(kind, right)
    assert not fits(kind, wrong)
    assert fits(AnswerKind.PHRASE, wrong)
