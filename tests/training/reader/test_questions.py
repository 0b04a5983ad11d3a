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
from training.reader.questions import parted_paragraphs, parted_sentences, read_paragraphs, read_sentences

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
    learned, late = parted_sentences(sentences())
    assert [each.sentence for each in late.questions] == [14] and learned.questions == sentences().questions[1:7]
    assert learned.texts == late.texts == sentences().texts


def test_labels_are_whole() -> None:
    """In order, each pair once, and nothing of the second marking in the first's place."""
    first, second = read_marks(FIRST_MARKS), read_marks(SECOND_MARKS)
    assert (len(first), len(second)) == (3_351, 7_580)
    for marks in (first, second):
        assert [mark.line for mark in marks] == sorted(mark.line for mark in marks)
        assert all(0 <= mark.start < mark.end <= 320 and 0 <= mark.checksum <= 0xFFFF for mark in marks)
    assert Counter(mark.line for mark in (*first, *second)).most_common(1)[0][1] == 1
    assert max(mark.line for mark in (*first, *second)) < 11_877
    kept_back = (LABELS / "kept_back.txt").read_text(encoding="ascii").split()
    assert len(set(kept_back)) == len(kept_back) == 740 and all(int(line, 16) < 1 << 32 for line in kept_back)
