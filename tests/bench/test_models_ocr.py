"""The figures of reading from made-up findings, how errors are counted, and the pages that both engines get."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import JsonValue

from bench.record import Findings, Series, SummaryRow
from bench.suites.index.datasets import NoDataSets
from bench.suites.models.ocr import Leaf, NoPages, distance, errors_of, leaves_of, normal_form, ocr_rows
from bench.suites.models.typeset import HEIGHT, WIDTH, TypesetPage, english_page, font_path, scanned, texts_of
from tests.bench.records import series

FONT = font_path("DejaVu Sans")
SENTENCE = "The keeper of the harbour watches the ferry until it has left the northern quay. "


def rows(facts: dict[str, JsonValue], *shown: Series) -> dict[str, SummaryRow]:
    return {row.name: row for row in ocr_rows(Findings(shown, {"ocr": facts}), seed=0)}


def named(who: str, *latencies_s: float, failed: int = 0) -> Series:
    return replace(series("", latencies_s, failed), name=f"OCR, noisy: {who}")


def counts(errors: int, characters: int = 1000) -> dict[str, JsonValue]:
    return {"errors": errors, "characters": characters}


def test_half_the_errors_in_half_the_time() -> None:
    facts: dict[str, JsonValue] = {"OCR, noisy: Pinakes": counts(5), "OCR, noisy: tesseract": counts(10)}
    shown = rows(facts, named("Pinakes", 1.0, 2.0, 3.0), named("tesseract", 2.0, 4.0, 6.0))
    assert shown["OCR, noisy: character error rate"].value == pytest.approx(0.005)
    assert shown["OCR, noisy: character error rate, tesseract"].value == pytest.approx(0.01)
    assert shown["OCR, noisy: errors beside tesseract's"].value == pytest.approx(0.5)
    assert shown["OCR, noisy: page p50"].value == pytest.approx(2.0)
    assert shown["OCR, noisy: times as fast as tesseract"].value == pytest.approx(2.0)
    assert shown["OCR failures"].value == 0


@pytest.mark.parametrize(("ours", "peer", "beside"), [(0, 0, 1.0), (3, 0, None), (0, 3, 0.0)])
def test_no_errors_beside_none_is_equal(ours: int, peer: int, beside: float | None) -> None:
    facts: dict[str, JsonValue] = {"OCR, noisy: Pinakes": counts(ours), "OCR, noisy: tesseract": counts(peer)}
    assert rows(facts, named("Pinakes", 1.0), named("tesseract", 2.0))[
        "OCR, noisy: errors beside tesseract's"
    ].value == (beside)


def test_without_tesseract_there_is_nothing_beside() -> None:
    shown = rows({"OCR, noisy: Pinakes": counts(5)}, named("Pinakes", 1.0, failed=1))
    assert shown["OCR, noisy: character error rate"].value == pytest.approx(0.005)
    assert shown["OCR, noisy: times as fast as tesseract"].value is None
    assert shown["OCR, noisy: errors beside tesseract's"].value is None
    assert shown["OCR failures"].value == 1


def test_what_was_not_run_has_no_rows() -> None:
    assert ocr_rows(Findings((), {}), seed=0) == []


@given(st.text("ab日", max_size=8), st.text("ab日", max_size=8))
def test_distance_is_levenshteins(one: str, other: str) -> None:
    table = [list(range(len(other) + 1))]
    for i, a in enumerate(one):
        row = [i + 1]
        for j, b in enumerate(other):
            row.append(min(table[-1][j] + (a != b), table[-1][j + 1] + 1, row[-1] + 1))
        table.append(row)
    assert distance(one, other) == table[-1][-1]


def test_white_space_counts_once_in_english_and_not_at_all_in_japanese() -> None:
    assert normal_form(" a  b\nc ", japanese=False) == "a b c"
    assert normal_form("日本\n　語（１）", japanese=True) == "日本語(1)"


def test_a_page_shows_its_text_and_a_scan_keeps_it() -> None:
    page = english_page(repeat(SENTENCE * 3), FONT)
    assert page.text.startswith("The keeper of the harbour")
    image = Image.open(io.BytesIO(page.image))
    assert image.size == (WIDTH, HEIGHT)
    ink = np.asarray(image) < 128
    # Fewer lines of pixels than lines of text are dark only if lines were drawn over each other.
    starts = int((np.diff(ink.any(axis=1).astype(np.int8)) == 1).sum())
    assert starts == sum(bool(line) for line in page.text.split("\n"))
    scan = scanned(page, 1, dpi=150)
    assert Image.open(io.BytesIO(scan.image)).size == (WIDTH // 2, HEIGHT // 2)
    assert scan.text == page.text


def test_texts_that_do_not_fill_a_page_are_refused() -> None:
    with pytest.raises(ValueError, match="fill"):
        english_page(iter([SENTENCE]), FONT)


def test_only_plain_paragraphs_of_a_set_are_typeset(tmp_path: Path) -> None:
    texts = [SENTENCE * 2, SENTENCE * 2 + "# a heading", "日本語。" * 60, "short", SENTENCE + "é" + SENTENCE]
    (tmp_path / "small").mkdir()
    corpus = "\n".join(json.dumps({"_id": str(i), "text": text}) for i, text in enumerate(texts))
    (tmp_path / "small" / "corpus.jsonl").write_text(corpus)
    assert list(texts_of(tmp_path, "small", 0, wide=False)) == [(SENTENCE * 2).strip()]
    assert set(texts_of(tmp_path, "small", 0, wide=True)) == {(SENTENCE * 2).strip(), "日本語。" * 60}
    with pytest.raises(NoDataSets):
        list(islice(texts_of(tmp_path, "missing", 0, wide=True), 1))


def test_a_folder_of_pages_is_read_with_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"image")
    (tmp_path / "a.txt").write_text("text")
    entry = {"image": "a.png", "gt": "a.txt", "lang": "ja", "order_reliable": False, "width": 3}
    entries = [entry | {"id": "ja_books_b_12"}, entry | {"id": "fr_books", "lang": "fr", "order_reliable": True}]
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, entries)))
    japanese, french = leaves_of(tmp_path)
    assert (japanese.group, japanese.language, japanese.ordered) == ("ja_books", ("jpn",), False)
    assert (french.group, french.language, french.ordered) == ("fr_books", ("eng",), True)
    assert (french.page.image, french.page.text) == (b"image", "text")
    assert japanese.is_japanese
    assert not french.is_japanese


def test_a_folder_without_pages_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoPages, match="--pages"):
        leaves_of(tmp_path)


def test_without_an_order_words_are_counted() -> None:
    facts: dict[str, JsonValue] = {
        "pages, en_forms: Pinakes": {"errors": 5, "words": 50},
        "pages, en_forms: tesseract": {"errors": 20, "words": 50},
    }
    shown = [replace(named(who, 1.0), name=f"pages, en_forms: {who}") for who in ("Pinakes", "tesseract")]
    found = {row.name: row for row in ocr_rows(Findings(tuple(shown), {"pages": facts}), seed=0)}
    assert found["pages, en_forms: word error rate"].value == pytest.approx(0.1)
    assert found["pages, en_forms: errors beside tesseract's"].value == pytest.approx(0.25)
    assert found["pages failures"].value == 0


@pytest.mark.parametrize(
    ("ordered", "language", "text", "errors"),
    [
        (True, "eng", "to one\ntwo", (6, 10)),
        (False, "eng", "to one\ntwo", (0, 3)),
        (False, "eng", "two  tow one one", (3, 3)),
        (False, "jpn", "one wot t", (1, 8)),
    ],
)
def test_errors_with_and_without_the_order(ordered: bool, language: str, text: str, errors: tuple[int, int]) -> None:
    leaf = Leaf("en_forms", TypesetPage(b"", "one two to"), (language,), ordered)
    assert errors_of(leaf, text) == errors
