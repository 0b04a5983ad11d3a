"""Pages from OCR, pages as bytes, and what follows from a failure."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.ingestion_failures import RetryOptions, judge, worn_out
from server.application.model_ports import RecognizedImage, RecognizedLine
from server.application.page_records import decode_page, encode_page, storable
from server.application.reading_ports import PageImage
from server.application.recognized_pages import page_from_recognition
from server.domain.documents import (
    Block,
    BlockKind,
    Box,
    Document,
    DocumentState,
    Job,
    JobState,
    Lease,
    Line,
    Page,
    Priority,
)
from server.domain.errors import (
    DependencyUnavailable,
    EncryptedDocument,
    Overloaded,
    StageDeadline,
    UnreadableDocument,
)
from server.domain.principals import AccessList

NUMBERS = st.floats(0, 5000, allow_nan=False)
BOXES = st.builds(Box, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
LINES = st.builds(Line, st.text(st.characters()), st.none() | BOXES)
BLOCKS = st.builds(Block, st.sampled_from(BlockKind), st.lists(LINES, max_size=3).map(tuple), st.integers(0, 6))
PAGES = st.builds(
    Page,
    st.integers(1, 5000),
    NUMBERS,
    NUMBERS,
    st.lists(BLOCKS, max_size=3).map(tuple),
    st.floats(0, 1),
    st.booleans(),
)


@given(PAGES)
def test_a_page_comes_back_from_its_record(page: Page) -> None:
    kept = storable(page)
    assert decode_page(encode_page(kept)) == kept
    for before, after in zip(page.blocks, kept.blocks, strict=True):
        for line, cleaned in zip(before.lines, after.lines, strict=True):
            assert len(cleaned.text) == len(line.text)
            assert "\0" not in cleaned.text
            cleaned.text.encode()


def recognized(*lines: tuple[str, float, float, float, float]) -> Page:
    image = PageImage(3, 100.0, 200.0, b"", scale=2.0)
    read = tuple(RecognizedLine(text, 0.5, Box(x0, y0, x1, y1)) for text, x0, y0, x1, y1 in lines)
    return page_from_recognition(image, RecognizedImage(200, 400, read))


def shape(page: Page) -> list[tuple[BlockKind, int, int]]:
    return [(block.kind, block.level, len(block.lines)) for block in page.blocks]


def test_lines_of_a_scan_become_headings_and_paragraphs() -> None:
    page = recognized(
        ("A title", 10, 10, 100, 40),
        ("first line of a paragraph", 10, 60, 190, 72),
        ("and its second line", 10, 76, 150, 88),
        ("another paragraph", 10, 120, 190, 132),
        ("with two lines", 10, 136, 190, 148),
        ("1. an item", 10, 150, 190, 162),
    )
    assert shape(page) == [
        (BlockKind.HEADING, 1, 1),
        (BlockKind.PARAGRAPH, 0, 2),
        (BlockKind.PARAGRAPH, 0, 2),
        (BlockKind.LIST, 0, 1),
    ]
    assert (page.number, page.confidence, page.recognized) == (3, 0.5, True)
    assert page.blocks[0].lines[0].box == Box(5.0, 5.0, 50.0, 20.0)


def test_columns_of_a_scan_are_not_mixed() -> None:
    page = recognized(("left", 10, 10, 90, 22), ("left too", 10, 26, 90, 38), ("right", 110, 10, 190, 22))
    assert shape(page) == [(BlockKind.PARAGRAPH, 0, 2), (BlockKind.PARAGRAPH, 0, 1)]


def test_vertical_lines_follow_each_other_to_the_left() -> None:
    page = recognized(
        ("縦書きの一行目は", 180, 10, 192, 300),
        ("二行目に続く。", 164, 10, 176, 250),
        ("離れた段落。", 100, 10, 112, 200),
    )
    assert shape(page) == [(BlockKind.PARAGRAPH, 0, 2), (BlockKind.PARAGRAPH, 0, 1)]


def test_an_empty_scan_is_a_page_without_blocks() -> None:
    assert recognized() == Page(3, 100.0, 200.0, (), 1.0, recognized=True)
    assert recognized((" ", 1, 1, 2, 2)).blocks == ()


def lease(attempt: int = 1, stalled_s: float = 0.0) -> Lease:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    document = Document(
        "d", "t", "n", "m", 1, "s", DocumentState.PROCESSING, None, 0, 0, 1, 1, (), AccessList("o"), now, now, "j"
    )
    job = Job(
        "j", "d", "t", 1, JobState.RUNNING, None, 0, 0, attempt, 0, None, None, now, now, None, "t", Priority.BULK
    )
    return Lease(job, document, 1, "blob", stalled_s)


OPTIONS = RetryOptions(max_attempts=3, first_retry_s=2.0, growth=4.0, longest_retry_s=60.0, outage_patience_s=600.0)


@pytest.mark.parametrize("error", [UnreadableDocument("it is broken"), EncryptedDocument()])
def test_a_fault_of_the_document_is_final(error: Exception) -> None:
    verdict = judge(error, lease(), OPTIONS, 0.5)
    assert verdict.retry_in_s is None
    assert (verdict.failure.reason, verdict.failure.message) == (type(error).__name__, str(error))


def test_attempts_are_spaced_and_bounded() -> None:
    waits = [judge(ValueError(), lease(attempt), OPTIONS, 0.5).retry_in_s for attempt in (1, 2, 3)]
    assert waits == [2.0, 8.0, None]
    spread = {judge(StageDeadline("embed"), lease(), OPTIONS, spread).retry_in_s for spread in (0.0, 1.0)}
    assert spread == {1.5, 2.5}


@pytest.mark.parametrize("error", [DependencyUnavailable("Triton", "it is down"), Overloaded("Triton", 1.0)])
def test_an_outage_counts_only_when_it_lasts(error: Exception) -> None:
    waits = []
    for stalled_s in (0.0, 10.0, 599.0):
        verdict = judge(error, lease(3, stalled_s), OPTIONS, 0.5)
        assert not verdict.counted
        waits.append(verdict.retry_in_s)
    assert waits == [2.0, 10.0, 60.0]
    assert judge(error, lease(2, 600.0), OPTIONS, 0.5).counted
    assert judge(error, lease(3, 600.0), OPTIONS, 0.5).retry_in_s is None


def test_a_job_is_worn_out_after_its_last_attempt() -> None:
    assert worn_out(lease(3), OPTIONS) is None
    assert worn_out(lease(4), OPTIONS) is not None
