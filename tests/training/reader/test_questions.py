"""What the reader learns from."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from pathlib import Path

import pytest

from tests.training.reader.made_up import paragraphs, sentences, write_paragraphs
from training.marked_pairs import FIRST_MARKS, LABELS, SECOND_MARKS, OtherPairs, Pair, checksum, read_marks
from training.reader import questions
from training.reader.questions import (
    OtherTexts,
    TextQuestion,
    Texts,
    parted_paragraphs,
    parted_queries,
    parted_sentences,
    parted_texts,
    read_paragraphs,
    read_queries,
    read_sentences,
    read_texts,
    read_unanswered,
)

_PAIRS = [
    Pair("who built the pier?", "the pier was built by ida brandt."),
    Pair("when was it built?", "it was built in 1931, as the harbour was."),
    Pair("who built the pier of ost?", "the pier was built by ida brandt."),
]


def marked(monkeypatch: pytest.MonkeyPatch, folder: Path, *rows: tuple[int, str]) -> None:
    """Writes the pairs, and marks these answers in them."""
    (folder / "train_pairs").mkdir()
    lines = [json.dumps(pair._asdict()) for pair in _PAIRS]
    (folder / "train_pairs" / "en_squad_train_sentences.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for name, (line, answer) in zip(("FIRST_MARKS", "SECOND_MARKS"), rows, strict=True):
        start = _PAIRS[line].positive.index(answer)
        labels = folder / name
        labels.write_text(f"{line}\t{start}\t{start + len(answer)}\t{checksum(_PAIRS[line])}\n", encoding="utf-8")
        monkeypatch.setattr(questions, name, labels)


def test_marked_answers_stand_in_sentences_that_come_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marked(monkeypatch, tmp_path, (1, "1931"), (2, "ida brandt"))
    (tmp_path / "en_scifact").mkdir()
    corpus = (
        '{"text": "We saw Ida, Brandt and Ost. It was said by them, and the pier and the harbour was built in it."}\n'
    )
    (tmp_path / "en_scifact" / "corpus.jsonl").write_text(corpus, encoding="utf-8")
    read = read_sentences(tmp_path)
    assert read.texts == ("The pier was built by Ida Brandt.", "It was built in 1931, As the harbour was.")
    assert [(each.text, read.texts[each.sentence][each.start : each.end]) for each in read.questions] == [
        ("when was it built?", "1931"),
        ("who built the pier of ost?", "Ida Brandt"),
    ]
    assert read.questions[1].cased == "Who built the pier Of Ost?"


def test_other_pairs_than_those_that_were_marked_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marked(monkeypatch, tmp_path, (0, "ida brandt"), (2, "ida brandt"))
    (tmp_path / "FIRST_MARKS").write_text(f"1\t22\t32\t{checksum(_PAIRS[0])}\n", encoding="utf-8")
    with pytest.raises(OtherPairs, match="line 2"):
        read_sentences(tmp_path)


def test_answers_are_found_where_their_sentence_shares_most_with_the_question(tmp_path: Path) -> None:
    write_paragraphs(tmp_path)
    assert read_paragraphs(tmp_path) == paragraphs()

    [question] = paragraphs().questions[:1]
    late = {"text": "夏の祭りに招かれたのは誰？", "answers": list(question.answers), "gold_paragraph": "tr-000"}
    (tmp_path / "train" / "queries.jsonl").write_text(json.dumps(late), encoding="utf-8")
    [read] = read_paragraphs(tmp_path).questions
    text = paragraphs().texts[0]
    assert read.start == text.rindex("榊原直樹") > text.index("榊原直樹")


def test_nothing_is_learned_from_what_is_held_out_or_kept_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_back = tmp_path / "kept_back.txt"
    chosen = [paragraphs().questions[0].text, sentences().questions[0].text.upper() + " "]
    kept_back.write_text(
        "".join(f"{zlib.crc32(text.strip().lower().encode()):08x}\n" for text in chosen), encoding="ascii"
    )
    monkeypatch.setattr(questions, "_KEPT_BACK", kept_back)
    asked, held = parted_paragraphs(paragraphs())
    assert len({each.paragraph for each in held.questions}) == 3
    assert not {each.paragraph for each in held.questions} & {each.paragraph for each in asked.questions}
    assert chosen[0] not in [each.text for each in asked.questions]
    assert set(held.questions) | set(asked.questions) >= set(paragraphs().questions[1:])
    assert parted_paragraphs(paragraphs()) == (asked, held)

    monkeypatch.setattr(questions, "_LEARNED_SENTENCES", 0.8)
    rest, twelfth = parted_queries(sentences())
    assert twelfth.questions == sentences().questions[:1] and rest.questions == sentences().questions[1:]
    learned, late = parted_sentences(sentences())
    assert [each.sentence for each in late.questions] == [14] and learned.questions == sentences().questions[1:7]
    assert learned.texts == late.texts == sentences().texts


def label(text: str) -> int:
    return zlib.crc32(text.lower().encode()) & 0xFFFF


def test_queries_look_for_whole_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    english, japanese = sentences(), paragraphs()
    rows = [
        ("en", 3, 4, label(english.texts[3]), "title", "Old moles"),
        ("tr-001", 0, 11, label(japanese.texts[1][:11]), "need", "北の岬の港"),
    ]
    file = tmp_path / "queries.tsv"
    file.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.setattr(questions, "_QUERIES", file)
    (titles, needs) = read_queries(english, japanese)
    assert [(each.text, each.sentence, each.end) for each in titles.questions] == [
        ("Old moles", 3, len(english.texts[3]))
    ]
    assert [(each.paragraph, each.answers) for each in needs.questions] == [(1, (japanese.texts[1][:11],))]
    for place in ("en\t4\t5", "tr-001\t1\t11", "tr-999\t0\t11"):
        file.write_text(f"{place}\t{label(english.texts[3])}\ttitle\tOld moles\n", encoding="utf-8")
        with pytest.raises(OtherTexts):
            read_queries(english, japanese)


def test_unanswered_questions_have_their_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    english, japanese = sentences(), paragraphs()
    pair = " ".join(english.texts[2:4])
    rows = [
        ("en", 2, 4, label(pair), "Who painted it?"),
        ("tr-001", 0, 11, label(japanese.texts[1][:11]), "岬の灯台はいつできたか。"),
    ]
    file = tmp_path / "unanswered.tsv"
    file.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.setattr(questions, "_UNANSWERED", file)
    first, second = read_unanswered(english, japanese)
    assert first == Texts(False, (pair,), (TextQuestion("Who painted it?", 0, None),))
    assert second.japanese and second.texts == (japanese.texts[1][:11],) and len(second.questions) == 1


def test_texts_are_whole_and_tell_their_answers() -> None:
    english, japanese = read_texts()
    assert (len(english.texts), len(japanese.texts)) == (150, 146) and japanese.japanese
    assert len(english.questions) + len(japanese.questions) == 2_365
    for source in (english, japanese):
        assert all(each.text.strip() and "\n" not in source.texts[each.read] for each in source.questions)
        answers = [source.texts[each.read][slice(*each.answer)] for each in source.questions if each.answer]
        assert all(answer and answer == answer.strip() for answer in answers)
        assert 0.7 < len(answers) / len(source.questions) < 0.8
        learned, held_out = parted_texts(source)
        assert not {each.read for each in learned.questions} & {each.read for each in held_out.questions}
        assert len(learned.questions) + len(held_out.questions) == len(source.questions)


def test_labels_are_whole() -> None:
    """In order, each pair once, and nothing of the second marking in the first's place."""
    first, second = read_marks(FIRST_MARKS), read_marks(SECOND_MARKS)
    assert (len(first), len(second)) == (3_351, 7_580)
    for marks in (first, second):
        assert [mark.line for mark in marks] == sorted(mark.line for mark in marks)
        assert all(0 <= mark.start < mark.end <= 320 and 0 <= mark.checksum <= 0xFFFF for mark in marks)
    assert Counter(mark.line for mark in (*first, *second)).most_common(1)[0][1] == 1
    assert max(mark.line for mark in (*first, *second)) < 11_877
    for name, parts, count in (("queries.tsv", 6, 3_500), ("unanswered.tsv", 5, 1_399)):
        rows = [line.split("\t") for line in (LABELS / name).read_text(encoding="utf-8").splitlines()]
        assert len(rows) == count and all(len(row) == parts and row[-1].strip() for row in rows)
        assert all(int(row[1]) < int(row[2]) and (row[0] == "en" or row[0].startswith("tr-")) for row in rows)
    kept_back = (LABELS / "kept_back.txt").read_text(encoding="ascii").split()
    assert len(set(kept_back)) == len(kept_back) == 740 and all(int(line, 16) < 1 << 32 for line in kept_back)
