"""The documents that the suite makes, what it finds of them, and its figures from made-up findings."""

from __future__ import annotations

import io
from itertools import cycle

import pypdfium2
import pytest
from PIL import Image
from pydantic import JsonValue

from bench.catalogue import SUITES
from bench.record import Findings, Series, SummaryRow
from bench.suites.base import load_workload
from bench.suites.ingestion.born_digital import SERIES, written
from bench.suites.ingestion.privacy import text_of as text_to_scan
from bench.suites.ingestion.scanned import Scan
from bench.suites.ingestion.tables import Sheet, cells_of, found_cells, scan_of, sheets, typeset
from bench.suites.ingestion.workload import IngestionWorkload, TablesPlan
from bench.suites.models.typeset import TypesetPage
from tests.bench.records import sample, series

PLAN = TablesPlan(deadline_s=1.0, tables=2, rows=3, columns=3)
SHEET = Sheet((("Article", "Weight", "Price"), ("rope 1A", "5", "7"), ("rope 2B", "5", "9")))


def rows(*shown: Series, **facts: JsonValue) -> dict[str, SummaryRow]:
    workload = load_workload("ingestion", quick=True)
    made = SUITES["ingestion"].summarize(Findings(shown, facts), workload, 0)
    return {row.name: row for row in made}


def test_the_workload_is_read_and_quick_is_shorter() -> None:
    whole, quick = (IngestionWorkload.model_validate(load_workload("ingestion", quick=each)) for each in (False, True))
    assert quick.born_digital.documents < whole.born_digital.documents
    assert quick.born_digital.pages == whole.born_digital.pages


def text_of(pdf: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(pdf)
    try:
        return [page.get_textpage().get_text_bounded() for page in document]
    finally:
        document.close()


def test_a_report_has_its_pages_full_of_text() -> None:
    pages = text_of(written(cycle(["The keeper of the harbour watches the ferry. " * 12]), 3, "Report"))
    assert [f"Report, part {number}" in page for number, page in enumerate(pages, start=1)] == [True] * 3
    assert all(len(page) > 2_400 for page in pages)


@pytest.mark.parametrize("ruled", [True, False])
def test_a_sheet_is_typeset_cell_by_cell(ruled: bool) -> None:
    [page] = text_of(typeset(SHEET, "Stores", ruled=ruled))
    assert all(cell in page for row in SHEET.rows for cell in row)


def test_a_scan_shows_the_page_and_keeps_no_text() -> None:
    scan = scan_of(typeset(SHEET, "Stores", ruled=True), seed=1)
    assert text_of(scan) == [""]
    document = pypdfium2.PdfDocument(scan)
    assert document[0].get_size() == pytest.approx((595, 842), abs=1)
    document.close()


def test_scanned_pages_are_a4_whatever_their_resolution() -> None:
    out = io.BytesIO()
    Image.new("L", (1240, 1754), 255).save(out, "PNG")
    document = pypdfium2.PdfDocument(Scan((TypesetPage(out.getvalue(), ""),) * 2, "eng").pdf())
    assert [page.get_size() for page in document] == [pytest.approx((595, 842), abs=1)] * 2
    document.close()


def test_sheets_repeat_with_their_seed_and_name_each_row_once() -> None:
    assert sheets(PLAN, 1) == sheets(PLAN, 1) != sheets(PLAN, 2)
    for sheet in sheets(PLAN, 1):
        assert len(sheet.rows) == 4 and {len(row) for row in sheet.rows} == {3}
        assert len({row[0] for row in sheet.rows}) == 4


def test_cells_count_in_the_right_row_and_column_only() -> None:
    whole = "| Article | Weight | Price |\n| --- | --- | --- |\n| rope 1A | 5 | 7 |\n| rope 2B | 5 | 9 |"
    assert found_cells(SHEET, [whole]) == 9
    assert found_cells(SHEET, whole.split("\n")) == 9, "a table may be split"
    assert found_cells(SHEET, [whole.replace("| 5 | 7 |", "| 7 | 5 |")]) == 7
    assert found_cells(SHEET, [whole.replace("rope 2B | 5", "rope 2B 5")]) == 6
    assert found_cells(SHEET, [whole, whole]) == 9
    assert found_cells(SHEET, ["rope 1A 5 7", ""]) == 0
    assert cells_of("|") == cells_of("a | b") == ()


def test_a_minute_counts_from_the_first_upload_to_the_last_success() -> None:
    done = Series(SERIES, "open_loop", (sample(0, 5.0), sample(0, 30.0)))
    shown = rows(done, born_digital={"pages": 20})
    assert shown["born-digital: documents a minute"].value == pytest.approx(4)
    assert shown["born-digital: pages a minute"].value == pytest.approx(40)
    failed = Series(SERIES, "open_loop", (sample(0, 5.0), sample(0, 3.0, "INTERNAL")))
    shown = rows(failed, born_digital={"pages": 10})
    assert shown["born-digital: documents a minute"].value is None
    assert shown["born-digital: failures"].value == 1


def test_a_scanned_page_beside_tesseract() -> None:
    ours, peer = series("scanned, English: Pinakes", (8.0, 8.0)), series("scanned, English: tesseract", (12.0, 12.0))
    shown = rows(ours, peer, scanned={"pages": 4})
    assert shown["scanned, English: seconds a page"].value == pytest.approx(2.0)
    assert shown["scanned, English: times as fast as tesseract"].value == pytest.approx(1.5)
    alone = rows(ours, scanned={"pages": 4})
    assert alone["scanned, English: times as fast as tesseract"].value is None


def test_a_page_looked_through_for_personal_data() -> None:
    shown = rows(privacy={"characters": 26_000, "seconds": {"English": [0.03, 0.01, 0.02], "Japanese": [0.04]}})
    name = "personal data, {}: a page of {} characters looked through"
    assert shown[name.format("English", "2,600")].value == pytest.approx(2.0)
    japanese = shown[name.format("Japanese", "1,000")]
    assert japanese.value == pytest.approx(40 / 26)
    assert japanese.aim is not None, "the workload names the row as the suite does"
    for language in ("English", "Japanese"):
        text = text_to_scan(language, 5_000)
        assert len(text) == 5_000 and text.count("@") > 3


def test_shares_of_cells_and_rates_of_events() -> None:
    shown = rows(
        tables={"cells": 10, "ruled": 10, "open": 9, "scanned": 5, "open, scanned": 4},
        events={"events": 100, "published_s": 0.5, "received_s": 2.0},
    )
    assert [shown[f"tables, {kind}: cells recovered"].value for kind in ("ruled", "open", "scanned")] == [1.0, 0.9, 0.5]
    assert shown["events: published and received"].value == pytest.approx(50)
    assert shown["events: published"].value == pytest.approx(200)
