from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.answer_kinds import AnswerKind, answer_kind
from server.application.english_spans import FEATURES as ENGLISH_FEATURES
from server.application.english_spans import english_candidates
from server.application.evidence import Evidence, EvidenceOptions
from server.application.extracting import Extract, ExtractOptions, Phrases, sentence_in
from server.application.japanese_spans import FEATURES, japanese_candidates
from server.application.span_candidates import BUCKETS, MOST_OF_A_SENTENCE, SpanCandidate
from server.application.span_model import SPAN_LANGUAGES, ChosenSpan, SpanModel, span_model
from server.domain.passages import RankedPassage
from tests.server.application.doubles import passage
from training.casing import Casing
from training.marked_pairs import OtherPairs, Pair, checksum
from training.spans import SpanQuestion, learned, quality, read_labelled, read_questions, save

QUESTION = "沖波港のターミナル長は誰ですか。"
SENTENCES = ["沖波港のターミナル長は榊原直樹である。", "駐車料金は１日７００円で、入口の機械で払う。"]


ENGLISH_QUESTION = "Who opened the harbour of Lindholm?"
ENGLISH_SENTENCES = [
    "The harbour of Lindholm was opened on 12 May 1931 by Queen Ingrid.",
    "It cost US$2.5 million (most of which the city paid).",
]


def anything(phrase: str) -> bool:
    return True


def chosen_by(
    model: SpanModel, question: str, sentences: list[str], draft: str = "", scores: tuple[float, ...] = (0.0, 0.0)
) -> ChosenSpan:
    chosen = model.read(question, sentences, scores, [0.9, 0.1]).with_draft(draft).chosen(anything)
    assert chosen is not None
    return chosen


def test_candidates_are_quoted_as_written_and_never_repeat_the_question() -> None:
    found, features = japanese_candidates(QUESTION, SENTENCES, [0.9, 0.1])
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
    found, features = japanese_candidates(question, [sentence], [0.5])
    assert features.shape == (len(found), FEATURES)
    assert all(sentence[each.span.start : each.span.end] == each.text for each in found)


def test_english_candidates_end_where_names_numbers_and_dates_do() -> None:
    found, features = english_candidates(ENGLISH_QUESTION, ENGLISH_SENTENCES, [0.9, 0.1])
    assert features.shape == (len(found), ENGLISH_FEATURES)
    assert features.min() >= 0 and features.max() < BUCKETS
    texts = {candidate.text for candidate in found}
    assert {"Queen Ingrid", "12 May 1931", "US$2.5 million", "the city"} <= texts
    assert not texts & {"Queen", "Ingrid", "May 1931", "12 May", "12", "US$2.5", "million", "Lindholm", "harbour"}
    for each in found:
        assert ENGLISH_SENTENCES[each.sentence][each.span.start : each.span.end] == each.text


@given(
    st.text(alphabet="aSt. 's’-–(1,%$)²İﬀ\n|\"“”'", max_size=40),
    st.sampled_from(
        ["", "what", "What's the name of the", "when the s, what is", "how many", "'s", "In which year's?"]
    ),
)
def test_any_text_has_english_features(sentence: str, question: str) -> None:
    found, features = english_candidates(question, [sentence], [0.5])
    assert features.shape == (len(found), ENGLISH_FEATURES)
    assert all(sentence[each.span.start : each.span.end] == each.text for each in found)


@pytest.mark.parametrize("candidates", [japanese_candidates, english_candidates])
def test_three_sentences_are_looked_at(candidates: Callable[..., tuple[list[SpanCandidate], object]]) -> None:
    found, _ = candidates("何? What?", ["駅 station"] * 9, [0.5] * 9)
    assert {candidate.sentence for candidate in found} == {0, 1, 2}


@pytest.mark.parametrize("candidates", [japanese_candidates, english_candidates])
def test_a_column_of_numbers_costs_no_more_than_a_long_sentence(
    candidates: Callable[..., tuple[list[SpanCandidate], object]],
) -> None:
    found, _ = candidates("何? What?", ["1st 2 駅 station " * 200] * 2, [0.5] * 2)
    assert [sum(each.sentence == number for each in found) for number in (0, 1)] == [MOST_OF_A_SENTENCE] * 2


def test_the_trained_model_finds_names_and_prices() -> None:
    model = span_model("ja")
    assert model is not None and span_model("de") is None
    chosen = chosen_by(model, QUESTION, SENTENCES)
    assert chosen.candidate.text == "榊原直樹"
    assert 0.0 < chosen.probability <= 1.0
    assert model.read(QUESTION, ["。"], [0.0], [0.0]).chosen(anything) is None


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who opened the harbour of Lindholm?", "Queen Ingrid"),
        ("When was the harbour of Lindholm opened?", "12 May 1931"),
        ("How much did it cost?", "US$2.5 million"),
    ],
)
def test_the_trained_model_finds_english_names_dates_and_prices(question: str, answer: str) -> None:
    model = span_model("en")
    assert model is not None
    assert chosen_by(model, question, ENGLISH_SENTENCES).candidate.text == answer


def test_a_draft_speaks_for_the_phrase_that_is_like_it() -> None:
    model = SpanModel(SPAN_LANGUAGES["en"], np.zeros(BUCKETS, np.float32))
    for draft in ("Queen Ingrid", "the 12 May, 1931", "THE CITY"):
        said = chosen_by(model, ENGLISH_QUESTION, ENGLISH_SENTENCES, draft)
        assert said.candidate.text.casefold().split()[-1] == draft.casefold().split()[-1]
    foreign = chosen_by(model, ENGLISH_QUESTION, ENGLISH_SENTENCES, "a lighthouse")
    assert foreign == chosen_by(model, ENGLISH_QUESTION, ENGLISH_SENTENCES)


def test_what_cannot_be_what_was_asked_for_is_passed_over() -> None:
    model = span_model("ja")
    assert model is not None
    numeral = re.compile(r"\d")
    odds = model.read(QUESTION, SENTENCES, [0.0, 0.0], [0.9, 0.1])
    chosen = odds.chosen(lambda phrase: bool(numeral.search(phrase)))
    free = odds.chosen(anything)
    assert chosen is not None and free is not None and numeral.search(chosen.candidate.text)
    assert chosen.probability < free.probability
    assert odds.chosen(lambda phrase: False) is None


def test_what_speaks_for_a_sentence_counts() -> None:
    model = SpanModel(SPAN_LANGUAGES["ja"], np.zeros(BUCKETS, np.float32))
    for likely in (0, 1):
        scores = (20.0 * (likely == 0), 20.0 * (likely == 1))
        assert chosen_by(model, QUESTION, SENTENCES, scores=scores).candidate.sentence == likely


def lessons(count: int) -> list[SpanQuestion]:
    names = [f"{family}{given}" for family in "山川田村林森" for given in ("一郎", "花子", "太郎", "直樹")]
    return [
        SpanQuestion(
            "ja",
            f"{place}港の港長は誰ですか。",
            (name,),
            (f"{place}港の港長は{name}である。", f"{place}港は1931年に開いた。"),
        )
        for place, name in zip("東西南北上下左右前後" * 9, names * 9, strict=False)
    ][:count]


def english_lessons(count: int) -> list[SpanQuestion]:
    names = [
        f"{given} {family}" for family in ("Brandt", "Holm", "Ek") for given in ("Ida", "Max", "Eva", "Jon", "Ann")
    ]
    return [
        SpanQuestion(
            "en",
            f"who built the pier of {place}?",
            (name,),
            (f"The pier of {place} was built by {name} in 1931.", f"The mole of {place} is as old as {name}."),
            answering=0,
        )
        for place, name in zip(("Ost", "West", "Nord", "Syd") * 9, names * 9, strict=False)
    ][:count]


@pytest.mark.parametrize(("language", "make"), [("ja", lessons), ("en", english_lessons)])
def test_training_learns_what_a_question_asks_for_and_can_be_repeated(
    language: str, make: Callable[[int], list[SpanQuestion]], tmp_path: Path
) -> None:
    weights = learned(make(24))
    unseen = make(36)[24:]
    assert quality(weights, unseen).exact == 1.0 > quality(np.zeros(BUCKETS, np.float32), unseen).exact
    assert np.array_equal(weights, learned(make(24)))
    save(language, weights, tmp_path / "kept.npz")
    kept = SpanModel.load(SPAN_LANGUAGES[language], tmp_path / "kept.npz")
    assert chosen_by(kept, unseen[0].text, list(unseen[0].sentences)).candidate.text == unseen[0].answers[0]


def test_a_phrase_of_another_sentence_than_the_one_that_answers_is_wrong() -> None:
    question = english_lessons(1)[0]
    elsewhere = dataclasses.replace(question, sentences=question.sentences[::-1], answering=1)
    nowhere = dataclasses.replace(question, sentences=(question.sentences[1],), answering=5)
    assert quality(np.zeros(BUCKETS, np.float32), [elsewhere]).best == 1.0
    assert quality(np.zeros(BUCKETS, np.float32), [nowhere]).best == 0.0


def test_weights_of_other_features_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ja.npz"
    np.savez(path, version=np.int32(0), scale=np.float32(1), quantized=np.zeros(BUCKETS, np.int8))
    with pytest.raises(ValueError, match="train it again"):
        SpanModel.load(SPAN_LANGUAGES["ja"], path)


def test_names_get_their_capitals_back() -> None:
    casing = Casing(["We saw Queen Ingrid in May.", "A queen may come, and the queen may go, as it was said by them."])
    assert casing.restored("the queen ingrid's visit in lindholm") == "The queen Ingrid's Visit in Lindholm"


def test_labels_are_read_with_the_sentences_nearby_and_only_of_the_pairs_that_were_labelled(tmp_path: Path) -> None:
    pairs = [
        {"query": f"who built pier {n}?", "positive": f"pier {n} was built by ida brandt in the year {n}."}
        for n in range(5)
    ]
    (tmp_path / "train_pairs").mkdir()
    file = tmp_path / "train_pairs" / "en_squad_train_sentences.jsonl"
    file.write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    labels = tmp_path / "labels.tsv"
    start = pairs[2]["positive"].index("ida")
    labels.write_text(f"2\t{start}\t{start + 10}\t{checksum(Pair(**pairs[2]))}\n", encoding="utf-8")
    (read,) = read_labelled(tmp_path, 9, seed=0, labels=labels)
    assert read.answers == ("ida brandt",) and read.answering == 0 and len(read.sentences) == 3
    assert read.sentences[0].startswith("Pier 2 ")
    labels.write_text(f"1\t{start}\t{start + 10}\t{checksum(Pair(**pairs[2]))}\n", encoding="utf-8")
    with pytest.raises(OtherPairs, match="line 2"):
        read_labelled(tmp_path, 9, seed=0, labels=labels)


def test_questions_without_their_paragraph_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    rows = [{"_id": str(n), "text": "誰？", "answers": ["x"], "gold_paragraph": f"p{n}"} for n in range(5)]
    (tmp_path / "train" / "queries.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "corpus.jsonl").write_text('{"_id": "p1", "text": "t"}\n{"_id": "p3", "text": "t"}\n', encoding="utf-8")
    assert len(read_questions(tmp_path, "train", 9, seed=0)) == 2
    assert len(read_questions(tmp_path, "train", 1, seed=0)) == 1


def by_rule(question: str, kind: AnswerKind, text: str) -> Extract | None:
    """What is told where no trained model is certain enough."""
    return Phrases(question, "en", kind, evidence(question, text), ExtractOptions(certain={})).certain()


def evidence(question: str, *texts: str) -> Evidence:
    return Evidence(question, [RankedPassage(passage("x", text), 1.0, None, None) for text in texts], EvidenceOptions())


@pytest.mark.parametrize(
    ("question", "kind", "text", "answer"),
    [
        ("When did the pier open?", AnswerKind.DATE, "The pier opened on 12 May 1931.", "12 May 1931"),
        ("When did the pier open?", AnswerKind.DATE, "The pier opened in May, not in June.", None),
        ("When did the pier of 1931 burn?", AnswerKind.DATE, "The pier of 1931 did burn in 1950.", "1950"),
        ("How many people work on the pier?", AnswerKind.NUMBER, "Since 1931 nine people work on the pier.", "nine"),
        ("How long is the pier?", AnswerKind.NUMBER, "The pier is 1,200 metres long.", "1,200 metres"),
        ("How high is the toll?", AnswerKind.NUMBER, "The toll was high: 18 crowns a day.", "18 crowns"),
        ("How long is the pier?", AnswerKind.NUMBER, "The pier is 1,200 long.", "1,200"),
        ("How long is the pier?", AnswerKind.NUMBER, "Of the pier 12, of the quay 3, are long.", None),
        ("How many goals were scored in 2012?", AnswerKind.NUMBER, "In 2012 he scored 12 goals. He had 4 goals.", "12"),
        ("How many people work here?", AnswerKind.NUMBER, "Here 1200 people work. Here work 5 people.", "1200"),
        ("How many men work here?", AnswerKind.NUMBER, "Since 1931 men work here. Here work 5 men.", "5"),
        ("How cold is the pier?", AnswerKind.NUMBER, "The pier is -5 degrees cold.", "-5 degrees"),
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
    found = by_rule(question, kind, text)
    assert (found and text[found.span.start : found.span.end]) == answer


def test_a_sentence_without_a_date_gives_way_to_the_next() -> None:
    text = "The pier of Okinami is long. It opened in 1931."
    found = by_rule("When did the pier open?", AnswerKind.DATE, text)
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
    assert Phrases(question, "ja", AnswerKind.PHRASE, named, ExtractOptions()).certain() is not None
    assert Phrases(question, "ja", answer_kind(question, "ja"), named, ExtractOptions()).likeliest() is None


def test_no_generator_is_needed_for_what_is_certain_and_a_phrase_is_shown_only_if_it_is_likely() -> None:
    text = " ".join(ENGLISH_SENTENCES)

    def phrases(**options: object) -> Phrases:
        chosen = dataclasses.replace(ExtractOptions(), **options)  # type: ignore[arg-type]
        return Phrases(ENGLISH_QUESTION, "en", AnswerKind.PERSON, evidence(ENGLISH_QUESTION, text), chosen)

    def told(found: Extract | None) -> str | None:
        return text[found.span.start : found.span.end] if found else None

    assert told(phrases(certain={"en": 0.0}).certain()) == "Queen Ingrid"
    assert told(phrases(certain={"en": 1.1}).certain()) is None
    assert told(phrases().likeliest()) == told(phrases().drafted("a lighthouse")) == "Queen Ingrid"
    drafted, alone = phrases().drafted("Queen Ingrid"), phrases().likeliest()
    assert drafted and alone and drafted.drafted and not alone.drafted and drafted.probability > alone.probability
    assert told(phrases(least_probability=1.1).likeliest()) is None


def test_a_heading_tells_less_than_a_sentence() -> None:
    """Where the model alone would prefer its words."""
    text = "沖波港フェリーターミナルのご案内\nターミナル長は榊原直樹です。切符売場は朝六時に開きます。"
    phrases = Phrases(QUESTION, "ja", AnswerKind.PERSON, evidence(QUESTION, text), ExtractOptions())
    found = phrases.certain()
    assert found is not None and text[found.span.start : found.span.end] == "榊原直樹"


def test_a_time_is_one_phrase() -> None:
    question = "When did the weather station on Mount Ebb stop sending?"
    text = "At 01:05 the weather station on Mount Ebb stopped sending."
    found = Phrases(question, "en", AnswerKind.DATE, evidence(question, text), ExtractOptions()).likeliest()
    assert found is not None and text[found.span.start : found.span.end] == "01:05"


def test_nobody_is_told_by_a_word_without_a_capital() -> None:
    question, text = "Who owns the old pier?", "The old pier is owned by the keeper."
    phrases = Phrases(question, "en", AnswerKind.PERSON, evidence(question, text), ExtractOptions())
    assert phrases.drafted("the keeper") is None


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Which tug found the lost container?", "Bramble"),
        ("What time did the tug find it?", "23:15"),
    ],
)
def test_a_clock_time_answers_only_who_asks_for_one(question: str, answer: str) -> None:
    text = "The tug Bramble found it at 23:15 and towed it to the South berth."
    found = Phrases(question, "en", answer_kind(question, "en"), evidence(question, text), ExtractOptions()).likeliest()
    assert found is not None and text[found.span.start : found.span.end] == answer
