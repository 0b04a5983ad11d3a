from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.answer_kinds import AnswerKind, answer_kind
from server.application.evidence import Evidence, EvidenceOptions
from server.application.extracting import ExtractOptions, phrase_in, sentence_in
from server.application.span_features import BUCKETS, FEATURES, span_candidates
from server.application.span_model import SpanModel, span_model
from server.domain.passages import RankedPassage
from tests.server.application.doubles import passage
from training.spans import SpanQuestion, learned, quality, read_questions, save

QUESTION = "沖波港のターミナル長は誰ですか。"
SENTENCES = ["沖波港のターミナル長は榊原直樹である。", "駐車料金は１日７００円で、入口の機械で払う。"]


def anything(phrase: str) -> bool:
    return True


def test_candidates_are_quoted_as_written_and_never_repeat_the_question() -> None:
    found, features = span_candidates(QUESTION, SENTENCES, [0.9, 0.1])
    assert features.shape == (len(found), FEATURES)
    assert features.min() >= 0 and features.max() < BUCKETS
    texts = {candidate.text for candidate in found}
    assert {"榊原直樹", "１日７００円"} <= texts
    assert "沖波港" not in texts and "ターミナル長" not in texts
    for each in found:
        assert SENTENCES[each.sentence][each.span.start : each.span.end] == each.text


@given(
    st.text(alphabet="ab漢字かなカナ１2㍿。、「」『』（） \n|·", max_size=40),
    st.text(alphabet="何誰漢字かなはの?㍿", max_size=12),
)
def test_any_text_has_features(sentence: str, question: str) -> None:
    found, features = span_candidates(question, [sentence], [0.5])
    assert features.shape == (len(found), FEATURES)
    assert all(sentence[each.span.start : each.span.end] == each.text for each in found)


def test_three_sentences_are_looked_at() -> None:
    found, _ = span_candidates(QUESTION, SENTENCES[:1] * 9, [0.5] * 9)
    assert {candidate.sentence for candidate in found} == {0, 1, 2}


def test_the_trained_model_finds_names_and_prices() -> None:
    model = span_model("ja")
    assert model is not None and span_model("en") is None
    chosen = model.choose(QUESTION, SENTENCES, [0.0, 0.0], [0.9, 0.1], anything)
    assert chosen is not None and chosen.candidate.text == "榊原直樹"
    assert 0.0 < chosen.probability <= 1.0
    assert model.choose(QUESTION, ["。"], [0.0], [0.0], anything) is None


def test_what_cannot_be_what_was_asked_for_is_passed_over() -> None:
    model = span_model("ja")
    assert model is not None
    numeral = re.compile(r"\d")
    chosen = model.choose(QUESTION, SENTENCES, [0.0, 0.0], [0.9, 0.1], lambda phrase: bool(numeral.search(phrase)))
    free = model.choose(QUESTION, SENTENCES, [0.0, 0.0], [0.9, 0.1], anything)
    assert chosen is not None and free is not None and numeral.search(chosen.candidate.text)
    assert chosen.probability < free.probability
    assert model.choose(QUESTION, SENTENCES, [0.0, 0.0], [0.9, 0.1], lambda phrase: False) is None


def test_what_speaks_for_a_sentence_counts() -> None:
    model = SpanModel(np.zeros(BUCKETS, np.float32))
    for likely in (0, 1):
        scores = [20.0 * (likely == number) for number in range(2)]
        chosen = model.choose(QUESTION, SENTENCES, scores, [0.5, 0.5], anything)
        assert chosen is not None and chosen.candidate.sentence == likely


def lessons(count: int) -> list[SpanQuestion]:
    names = [f"{family}{given}" for family in "山川田村林森" for given in ("一郎", "花子", "太郎", "直樹")]
    return [
        SpanQuestion(
            f"{place}港の港長は誰ですか。", (name,), f"{place}港の港長は{name}である。{place}港は1931年に開いた。"
        )
        for place, name in zip("東西南北上下左右前後" * 9, names * 9, strict=False)
    ][:count]


def test_training_learns_what_a_question_asks_for_and_can_be_repeated(tmp_path: Path) -> None:
    weights = learned(lessons(40))
    unseen = lessons(60)[40:]
    assert quality(weights, unseen).exact == 1.0 > quality(np.zeros(BUCKETS, np.float32), unseen).exact
    assert np.array_equal(weights, learned(lessons(40)))
    save(weights, tmp_path / "ja.npz")
    kept = SpanModel.load(tmp_path / "ja.npz").choose(unseen[0].text, [unseen[0].paragraph], [0.0], [1.0], anything)
    assert kept is not None and kept.candidate.text == unseen[0].answers[0]


def test_weights_of_other_features_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ja.npz"
    np.savez(path, version=np.int32(0), scale=np.float32(1), quantized=np.zeros(BUCKETS, np.int8))
    with pytest.raises(ValueError, match="train it again"):
        SpanModel.load(path)


def test_questions_without_their_paragraph_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    rows = [{"_id": str(n), "text": "誰？", "answers": ["x"], "gold_paragraph": f"p{n}"} for n in range(5)]
    (tmp_path / "train" / "queries.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "corpus.jsonl").write_text('{"_id": "p1", "text": "t"}\n{"_id": "p3", "text": "t"}\n', encoding="utf-8")
    assert len(read_questions(tmp_path, "train", 9, seed=0)) == 2
    assert len(read_questions(tmp_path, "train", 1, seed=0)) == 1


def evidence(question: str, *texts: str) -> Evidence:
    return Evidence(question, [RankedPassage(passage("x", text), 1.0, None, None) for text in texts], EvidenceOptions())


@pytest.mark.parametrize(
    ("question", "kind", "text", "answer"),
    [
        ("When did the pier open?", AnswerKind.DATE, "The pier opened on 12 May 1931.", "12 May 1931"),
        ("When did the pier open?", AnswerKind.DATE, "The pier opened in May, not in June.", None),
        ("When did the pier of 1931 burn?", AnswerKind.DATE, "The pier of 1931 did burn in 1950.", "1950"),
        ("How many people work on the pier?", AnswerKind.NUMBER, "Since 1931 nine people work on the pier.", "nine"),
        ("How long is the pier?", AnswerKind.NUMBER, "The pier is 1,200 metres long.", "1,200"),
        ("How long is the pier?", AnswerKind.NUMBER, "Of the pier 12, of the quay 3, are long.", None),
        ("How many goals were scored in 2012?", AnswerKind.NUMBER, "In 2012 he scored 12 goals. He had 4 goals.", "12"),
        ("How many people work here?", AnswerKind.NUMBER, "Here 1200 people work. Here work 5 people.", "1200"),
        ("How many men work here?", AnswerKind.NUMBER, "Since 1931 men work here. Here work 5 men.", "5"),
        ("How cold is the pier?", AnswerKind.NUMBER, "The pier is -5 degrees cold.", "-5"),
        ("How much did the pier cost?", AnswerKind.NUMBER, "The pier cost 3.2m.", "3.2m"),
        ("When did the pier open?", AnswerKind.DATE, "The pier opened on 2019-05-12.", "2019-05-12"),
        ("When did the pier open?", AnswerKind.DATE, "The pier opened on 12/05/1931.", "12/05/1931"),
        ("When did the pier open?", AnswerKind.DATE, "1200 people saw the pier open.", None),
        ("How many boats has the pier?", AnswerKind.NUMBER, "The pier was built by nine families.", None),
        ("How many rowing boats has the old pier?", AnswerKind.NUMBER, "The old pier has nine boats.", "nine"),
        ("Who owns the pier?", AnswerKind.PERSON, "Ida Brandt owns the pier.", None),
        ("How long is the road to the old mill?", AnswerKind.NUMBER, "The pier is 1,200 metres long.", None),
        ("How long is the pier?", AnswerKind.NUMBER, "| pier | 1,200 |", None),
        ("Describe the pier.", AnswerKind.SENTENCES, "The pier is 1,200 metres long.", None),
    ],
)
def test_the_only_date_or_number_answers(question: str, kind: AnswerKind, text: str, answer: str | None) -> None:
    found = phrase_in(question, "en", kind, evidence(question, text), ExtractOptions())
    assert (found and text[found.span.start : found.span.end]) == answer


def test_a_sentence_without_a_date_gives_way_to_the_next() -> None:
    text = "The pier of Okinami is long. It opened in 1931."
    found = phrase_in("When did the pier open?", "en", AnswerKind.DATE, evidence("the pier", text), ExtractOptions())
    assert found is not None and text[found.sentence.start : found.sentence.end] == "It opened in 1931."


def test_no_sentence_is_quoted_that_shares_nothing() -> None:
    found = evidence("Is it raining?", "The pier is long.")
    assert sentence_in("Is it raining?", "en", AnswerKind.SENTENCES, found) is None


@pytest.mark.parametrize(
    ("question", "kind", "text", "sentence"),
    [
        (
            "Who inspected the pier of Okinami?",
            AnswerKind.PERSON,
            "The pier of Okinami was inspected on 9 October 1998. Ida Brandt was there.",
            "Ida Brandt was there.",
        ),
        ("When was the pier built?", AnswerKind.DATE, "The pier was built of oak. It was 1931.", "It was 1931."),
        (
            "Who built the pier?",
            AnswerKind.PERSON,
            "The pier was built of oak. It is long.",
            "The pier was built of oak.",
        ),
        ("What is the pier built of?", AnswerKind.PHRASE, "The pier is built of oak.", "The pier is built of oak."),
    ],
)
def test_a_sentence_is_quoted_that_may_tell_what_is_asked_for(
    question: str, kind: AnswerKind, text: str, sentence: str
) -> None:
    found = sentence_in(question, "en", kind, evidence(question, text))
    assert found is not None and found.span == found.sentence
    assert text[found.span.start : found.span.end] == sentence


def test_how_many_days_is_not_answered_with_a_name() -> None:
    question = "電子機器の忘れ物の保管期間は何日ですか。"
    named = evidence(question, "保管期間を過ぎた電子機器の忘れ物は沖波警察署に引き渡す。")
    assert phrase_in(question, "ja", AnswerKind.PHRASE, named, ExtractOptions()) is not None
    assert phrase_in(question, "ja", answer_kind(question, "ja"), named, ExtractOptions()) is None
