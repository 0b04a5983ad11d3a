"""Chunks: sizes, sections, tables, and spans that hold."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.application.chunking import ChunkingOptions, chunk_pages, estimate_tokens
from server.domain.documents import Block, BlockKind, Box, Chunk, Line, Page

OPTIONS = ChunkingOptions()


def block(kind: BlockKind, *lines: str, level: int = 0, top: float = 200, height: float = 10) -> Block:
    boxes = [Box(50, top + n * height, 50 + 5 * len(line), top + n * height + 8) for n, line in enumerate(lines)]
    return Block(kind, tuple(Line(line, box) for line, box in zip(lines, boxes, strict=True)), level)


def paragraph(*lines: str) -> Block:
    return block(BlockKind.PARAGRAPH, *lines)


def heading(text: str, level: int = 1) -> Block:
    return block(BlockKind.HEADING, text, level=level)


def table(*rows: str) -> Block:
    return block(BlockKind.TABLE, *rows)


def page(*blocks: Block, number: int = 1) -> Page:
    return Page(number, 600, 800, tuple(blocks))


def chunks_of(*pages: Page, options: ChunkingOptions = OPTIONS) -> list[Chunk]:
    return chunk_pages(pages, options, lambda ordinal: f"chunk-{ordinal}")


def sentence(number: int, words: int = 9) -> str:
    return f"Sentence number {number} says " + " ".join(f"word{n}" for n in range(words)) + "."


# --- text --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (("The quick brown", "fox jumps."), "The quick brown fox jumps."),
        (("An exam-", "ple of it."), "An example of it."),
        (("The Anglo-", "Saxon years 2019-", "2020."), "The Anglo-Saxon years 2019-2020."),
        (("営業時間は午前", "11時からです。"), "営業時間は午前11時からです。"),
        (("営業時間は", "午前です。"), "営業時間は午前です。"),
        (("Use the  API", "サーバを使う。"), "Use the APIサーバを使う。"),
    ],
)
def test_lines_become_running_text(lines: tuple[str, ...], text: str) -> None:
    assert [chunk.text for chunk in chunks_of(page(paragraph(*lines)))] == [text]


def test_a_word_parted_by_a_hyphen_keeps_both_boxes() -> None:
    (chunk,) = chunks_of(page(paragraph("An exam-", "ple of it.")))
    parts = [(chunk.text[span.start : span.end], span.box) for span in chunk.line_spans]
    assert parts == [("An exam", Box(50, 200, 90, 208)), ("ple of it.", Box(50, 210, 100, 218))]


def test_the_box_of_half_a_line_is_half_its_box() -> None:
    options = ChunkingOptions(target_tokens=4, max_tokens=6, overlap_tokens=0)
    first, second = chunks_of(page(paragraph("Aaaa bbbb cccc. Dddd eeee fff.")), options=options)
    assert first.text == "Aaaa bbbb cccc."
    assert second.text == "Dddd eeee fff."
    assert first.line_spans[0].box == Box(50, 200, 125, 208)
    assert second.line_spans[0].box == Box(130, 200, 200, 208)


# --- sections ----------------------------------------------------------------------------------------------------


def test_chunks_carry_the_path_of_their_headings() -> None:
    long = [paragraph(*(sentence(n) for n in range(4)))]
    found = chunks_of(
        page(heading("Book"), heading("Part", 2), *long, heading("Chapter", 3), *long, heading("Other", 2), *long)
    )
    assert [chunk.heading_path for chunk in found] == [("Book", "Part"), ("Book", "Part", "Chapter"), ("Book", "Other")]
    assert found[0].text.startswith("Book\nPart\nSentence")


def test_tiny_neighbours_share_a_chunk_and_keep_what_is_common_of_their_paths() -> None:
    (chunk,) = chunks_of(page(heading("A"), heading("B", 2), paragraph("Yes."), heading("C", 2), paragraph("No.")))
    assert chunk.heading_path == ("A",)
    assert chunk.text == "A\nB\nYes.\n\nC\nNo."


def test_a_section_that_is_not_tiny_stands_alone() -> None:
    long = paragraph(*(sentence(n) for n in range(4)))
    found = chunks_of(page(heading("A", 2), paragraph("Yes."), heading("B", 2), long))
    assert [chunk.heading_path for chunk in found] == [("A",), ("B",)]


def test_a_long_section_is_cut_between_paragraphs_near_the_target() -> None:
    paragraphs = [paragraph(*(sentence(10 * p + n) for n in range(4))) for p in range(6)]
    found = chunks_of(page(*paragraphs), options=ChunkingOptions(overlap_tokens=0))
    sizes = [estimate_tokens(chunk.text) for chunk in found]
    assert len(found) > 1
    assert max(sizes) <= OPTIONS.max_tokens
    assert all(chunk.text.startswith("Sentence") and chunk.text.endswith(".") for chunk in found)
    starts = [int(chunk.text.split()[2]) for chunk in found]
    assert all(start % 10 == 0 for start in starts)


def test_the_last_sentence_is_repeated_within_a_section_only() -> None:
    text = paragraph(*(sentence(n) for n in range(20)))
    found = chunks_of(page(heading("A"), text, heading("B"), text))
    repeated = 0
    for last, chunk in itertools.pairwise(found):
        tail = last.text.rsplit(". ", 1)[-1]
        if last.heading_path == chunk.heading_path:
            repeated += chunk.text.startswith(tail)
        else:
            assert chunk.text.startswith("B\n")
    assert repeated == sum(a.heading_path == b.heading_path for a, b in itertools.pairwise(found)) > 0


def test_a_paragraph_goes_on_after_a_page() -> None:
    found = chunks_of(page(paragraph("It begins here and"), number=1), page(paragraph("ends there."), number=2))
    assert [chunk.text for chunk in found] == ["It begins here and ends there."]
    assert [span.page for span in found[0].line_spans] == [1, 2]


def test_running_heads_and_page_numbers_are_left_out() -> None:
    pages = [
        Page(
            n,
            600,
            800,
            (
                block(BlockKind.PARAGRAPH, "Annual report", top=20),
                paragraph(f"Text {n} of the page."),
                block(BlockKind.PARAGRAPH, f"- {n} -", top=780),
            ),
        )
        for n in range(1, 6)
    ]
    text = "\n".join(chunk.text for chunk in chunks_of(*pages))
    assert "Annual report" not in text
    assert "- 3 -" not in text
    assert all(f"Text {n} of the page." in text for n in range(1, 6))


def test_the_heads_of_chapters_are_left_out_on_the_few_pages_that_have_them() -> None:
    heads = ["Cover", *["1 The harbour"] * 5, *["2 The yard"] * 5, *[f"Plate {'x' * n}" for n in range(30)]]
    pages = [
        page(block(BlockKind.PARAGRAPH, head, top=20), paragraph(f"Text {n} of the page."), number=n)
        for n, head in enumerate(heads, start=1)
    ]
    text = "\n".join(chunk.text for chunk in chunks_of(*pages))
    assert "The harbour" not in text
    assert "The yard" not in text
    assert all(head in text for head in heads if head.startswith(("Cover", "Plate")))


@pytest.mark.parametrize(
    ("numbers", "kept"),
    [
        (("7", "8"), False),
        (("Page 1 of 2", "Page 2 of 2"), False),
        (("- 12 -", "- 13 -"), False),
        (("3ページ", "4ページ"), False),
        (("7", "9"), True),
        (("Total 1", "Total 2"), True),
    ],
)
def test_two_pages_are_enough_for_page_numbers(numbers: tuple[str, str], kept: bool) -> None:
    pages = [
        page(paragraph("Text of the page."), block(BlockKind.PARAGRAPH, text, top=780), number=n)
        for n, text in enumerate(numbers, start=1)
    ]
    text = "\n".join(chunk.text for chunk in chunks_of(*pages))
    assert all((number in text) == kept for number in numbers)


def test_an_endless_heading_stays_in_the_text_and_weighs_little_in_the_paths() -> None:
    endless = " ".join(f"word{n}" for n in range(3000))
    found = chunks_of(page(heading("Book"), heading(endless, 2), paragraph(*(sentence(n) for n in range(40)))))
    assert " ".join(" ".join(chunk.text.split()) for chunk in found).startswith(f"Book {endless} Sentence")
    assert {len(chunk.heading_path) for chunk in found} == {2}
    assert max(len(entry) for chunk in found for entry in chunk.heading_path) <= OPTIONS.heading_characters


# --- tables ------------------------------------------------------------------------------------------------------


def test_a_table_that_fits_stays_whole_with_its_introduction() -> None:
    rows = ["| Ship | Built |", *(f"| Ship {n} | {1900 + n} |" for n in range(8))]
    (chunk,) = chunks_of(page(heading("Fleet"), paragraph("These are the ships."), table(*rows)))
    assert chunk.text == "Fleet\nThese are the ships.\n\n" + "\n".join(rows)


def test_a_long_table_is_cut_between_rows_and_repeats_its_head() -> None:
    rows = ["| Ship | Built |", *(f"| The ship called {n} | {1900 + n} |" for n in range(60))]
    found = chunks_of(page(table(*rows)))
    assert len(found) > 2
    for chunk in found:
        assert chunk.text.startswith("| Ship | Built |\n| The ship")
        assert estimate_tokens(chunk.text) <= OPTIONS.max_tokens
    assert [row for chunk in found for row in chunk.text.split("\n")[1:]] == rows[1:]
    assert found[-1].line_spans[0].box == Box(50, 200, 50 + 5 * len(rows[0]), 208)


def test_a_table_goes_on_after_a_page() -> None:
    head = "| Ship | Built |"
    found = chunks_of(page(table(head, "| A | 1 |"), number=1), page(table(head, "| B | 2 |"), number=2))
    assert [chunk.text for chunk in found] == [f"{head}\n| A | 1 |\n| B | 2 |"]


def test_a_table_goes_on_after_a_line_that_says_so() -> None:
    head = ("| | Price | |", "| Ship | low | high |")
    caption = block(BlockKind.CAPTION, "Table 1: Fares")
    again = block(BlockKind.CAPTION, "Table 1 (continued)", top=100)
    pages = [page(caption, table(*head, "| A | 1 | 2 |")), page(again, table(*head, "| B | 3 | 4 |"), number=2)]
    whole = "Table 1: Fares\n" + "\n".join((*head, "| A | 1 | 2 |", "| B | 3 | 4 |"))
    assert [chunk.text for chunk in chunks_of(*pages)] == [whole]
    others = [pages[0], page(block(BlockKind.CAPTION, "Table 2: Others"), table("| x | 1 | 2 |"), number=2)]
    (chunk,) = chunks_of(*others)
    assert "Table 2: Others\n| x | 1 | 2 |" in chunk.text


def test_rows_of_a_cut_table_know_its_caption_and_all_of_its_head() -> None:
    above = ["Table 3: The fleet of the year", "| | Measures | |", "| Ship | length | width |"]
    rows = [f"| The ship called {n} | {n} | {n} |" for n in range(60)]
    introduction = paragraph(*(sentence(n) for n in range(14)))
    found = chunks_of(page(introduction, block(BlockKind.CAPTION, above[0]), table(*above[1:], *rows)))
    holding = [chunk.text for chunk in found if "| The ship" in chunk.text]
    assert len(holding) > 2
    assert all("\n".join(above) + "\n| The ship called" in text for text in holding)
    assert [row for text in holding for row in text.split("\n") if row.startswith("| The")] == rows
    assert all(estimate_tokens(text) <= OPTIONS.max_tokens for text in holding)


def test_the_head_of_a_table_at_the_top_of_each_page_is_no_running_head() -> None:
    pages = [
        page(block(BlockKind.TABLE, "| Ship | Built |", *(f"| {n} {m} | 19 |" for m in range(30)), top=20), number=n)
        for n in range(1, 6)
    ]
    assert chunks_of(*pages)[0].text.startswith("| Ship | Built |\n| 1 0 | 19 |")


# --- always ------------------------------------------------------------------------------------------------------


def test_one_endless_line_is_cut() -> None:
    found = chunks_of(page(paragraph("word " * 5000)))
    assert all(estimate_tokens(chunk.text) <= OPTIONS.max_tokens for chunk in found)
    assert "".join(chunk.text for chunk in found).replace(" ", "") == "word" * 5000


def test_nothing_makes_no_chunks() -> None:
    assert chunks_of() == []
    assert chunks_of(page(paragraph(" ", ""))) == []


def test_a_chunk_without_letters_has_the_language_of_the_document() -> None:
    rows = [f"| {n} | {n * n} |" for n in range(100)]
    found = chunks_of(page(heading("結果"), paragraph("次の表は結果です。" * 12), heading("1", 1), table(*rows)))
    assert {chunk.language for chunk in found} == {"ja"}


WORDS = st.sampled_from(
    ["harbour", "exam-", "the", "3.5", "No.", "港は", "広い。", "「はい。」", "end.", "Next", "-", "1."]
)
LINES = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)
BLOCKS = st.tuples(st.sampled_from(list(BlockKind)), st.lists(LINES, min_size=1, max_size=6), st.integers(1, 4))
DOCUMENTS = st.lists(st.lists(BLOCKS, max_size=5), max_size=4)
SMALL = ChunkingOptions(target_tokens=20, max_tokens=30, overlap_tokens=6, tiny_section_tokens=8)
LEFT, PER_CHARACTER = 50.0, 5.0
SEPARATORS = 2
"""Tokens by which rounding and line breaks may exceed the sum of the parts."""


def width(text: str) -> float:
    return PER_CHARACTER * sum(1 if character.isascii() else 2 for character in text)


def document(drawn: list[list[tuple[BlockKind, list[str], int]]]) -> list[Page]:
    """Pages on which every line has a box of its own, as wide as its text, and a last word of its own."""
    pages = []
    count = itertools.count()
    for number, blocks in enumerate(drawn, 1):
        top = 2000.0
        made = []
        for kind, texts, level in blocks:
            lines = []
            for words in texts:
                text = f"{words} w{next(count)}"
                lines.append(Line(text, Box(LEFT, top, LEFT + width(text), top + 8)))
                top += 10
            made.append(Block(kind, tuple(lines), level if kind is BlockKind.HEADING else 0))
        pages.append(Page(number, 1000, 10_000, tuple(made)))
    return pages


def place_of(part: str, line: str, box: Box) -> int:
    """Where in `line` the part stands whose left edge is that of `box`, up to the width of a hyphen left out."""
    for at in range(len(line)):
        if line.startswith(part, at) and abs(LEFT + width(line[:at]) - box.x0) <= PER_CHARACTER:
            return at
    raise AssertionError(f"{part!r} is not at {box} in {line!r}")


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, st.sampled_from([OPTIONS, SMALL]))
def test_every_line_is_found_at_its_spans(
    drawn: list[list[tuple[BlockKind, list[str], int]]], options: ChunkingOptions
) -> None:
    pages = document(drawn)
    lines = {
        (shown.number, line.box.y0): line.text
        for shown in pages
        for made in shown.blocks
        for line in made.lines
        if line.box is not None
    }
    seen: dict[tuple[int, float], set[int]] = {key: set() for key in lines}
    for chunk in chunk_pages(pages, options, str):
        end = 0
        between = ""
        for span in chunk.line_spans:
            assert end <= span.start < span.end <= len(chunk.text)
            assert span.box is not None
            between += chunk.text[end : span.start]
            end = span.end
            key = (span.page, span.box.y0)
            part = chunk.text[span.start : span.end]
            at = place_of(part, lines[key], span.box)
            assert abs(LEFT + width(lines[key][: at + len(part)]) - span.box.x1) <= PER_CHARACTER
            seen[key].update(range(at, at + len(part)))
        assert (between + chunk.text[end:]).strip() == ""
    for key, shown_at in seen.items():
        missing = {lines[key][at] for at in range(len(lines[key])) if at not in shown_at}
        assert missing <= {" ", "-"}


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS)
def test_no_chunk_is_larger_than_allowed(drawn: list[list[tuple[BlockKind, list[str], int]]]) -> None:
    for chunk in chunk_pages(document(drawn), SMALL, str):
        assert estimate_tokens(chunk.text) <= SMALL.max_tokens + SEPARATORS


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, st.integers(1, 12), st.integers(1, 24))
def test_paths_are_bounded_and_nothing_is_lost_of_headings(
    drawn: list[list[tuple[BlockKind, list[str], int]]], each: int, together: int
) -> None:
    pages = document(drawn)
    whole = chunk_pages(pages, SMALL, str)
    bounded = chunk_pages(pages, replace(SMALL, heading_characters=each, path_characters=together), str)
    assert [chunk.text for chunk in bounded] == [chunk.text for chunk in whole]
    for chunk, unbounded in zip(bounded, whole, strict=True):
        assert bool(chunk.heading_path) == bool(unbounded.heading_path)
        assert max(map(len, chunk.heading_path), default=0) <= each
        assert sum(map(len, chunk.heading_path)) <= together
