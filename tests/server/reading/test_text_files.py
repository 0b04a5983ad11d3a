"""Markdown and plain text: encodings, structure, and telling the two apart."""

from __future__ import annotations

import pytest

from server.domain.documents import BlockKind, Page
from server.domain.errors import UnreadableDocument
from tests.server.reading.conftest import SHARED_LOOP, ReadFile, text_of

pytestmark = SHARED_LOOP

JAPANESE = "食堂のご案内\n\n営業時間は午前11時からです。カレーの値段は480円です。\nｶﾀｶﾅ表記もあります。\n"
ENGLISH = "The café opens at nine. It costs £4.\n\nThe façade is new.\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (JAPANESE, "utf-8"),
        (JAPANESE, "utf-8-sig"),
        (JAPANESE, "cp932"),
        (JAPANESE.replace("ｶﾀｶﾅ", "カタカナ"), "euc_jp"),
        (JAPANESE.replace("ｶﾀｶﾅ", "カタカナ"), "iso2022_jp"),
        (JAPANESE, "utf-16"),
        (JAPANESE, "utf-16-le"),
        (JAPANESE, "utf-16-be"),
        (JAPANESE, "utf-32"),
        (ENGLISH, "utf-8"),
        (ENGLISH, "cp1252"),
    ],
)
async def test_the_encoding_is_told_by_the_content(read: ReadFile, text: str, encoding: str) -> None:
    (page,) = await read(text.encode(encoding), "notes.txt")
    assert text_of(page) == [line for line in text.splitlines() if line]


async def test_a_few_broken_bytes_are_replaced(read: ReadFile) -> None:
    data = ("営業時間は午前11時からです。" * 20).encode() + b"\xff\xfe" + "終わりです。".encode()
    (page,) = await read(data)
    assert text_of(page)[0].count("\ufffd") == 2


@pytest.mark.parametrize("data", [b"", b" \n\t \n", "\u3000\n".encode()])
async def test_nothing_to_read_is_refused(read: ReadFile, data: bytes) -> None:
    with pytest.raises(UnreadableDocument):
        await read(data)


async def test_markdown(read: ReadFile) -> None:
    (page,) = await read(
        b"# Top **title**\n\nA paragraph with a [link](http://example.com)\nover two lines.\n\n## Part\n\n"
        b"1. first\n2. second\n   - inner `code`\n\n| a | b |\n|---|--:|\n| 1 | 2 \\| 3 |\n\n```\nx = 1\ny = 2\n```\n"
    )
    assert isinstance(page, Page)
    assert (page.width, page.height) == (0, 0)
    assert [(block.kind, block.level, [line.text for line in block.lines]) for block in page.blocks] == [
        (BlockKind.HEADING, 1, ["Top title"]),
        (BlockKind.PARAGRAPH, 0, ["A paragraph with a link", "over two lines."]),
        (BlockKind.HEADING, 2, ["Part"]),
        (BlockKind.LIST, 0, ["1. first"]),
        (BlockKind.LIST, 0, ["2. second"]),
        (BlockKind.LIST, 0, ["- inner code"]),
        (BlockKind.TABLE, 0, ["| a | b |", "| 1 | 2 / 3 |"]),
        (BlockKind.LIST, 0, ["x = 1"]),
        (BlockKind.LIST, 0, ["y = 2"]),
    ]
    assert all(line.box is None for block in page.blocks for line in block.lines)


async def test_deep_nesting_is_bounded(read: ReadFile) -> None:
    (page,) = await read(b">" * 20_000 + b" deep\n\n# Heading\n\n- item\n", "deep.md")
    assert "Heading" in text_of(page)


async def test_front_matter_is_kept_as_lines(read: ReadFile) -> None:
    (page,) = await read(b"---\ntitle: Tides\ndraft: false\n---\n\n# Tides\n\nHigh.\n", "tides.md")
    assert text_of(page) == ["title: Tides", "draft: false", "Tides", "High."]


WRAPPED = """THE RADIO LOG

At 21:40 the ferry reported a lost container off the northern cape. The
container was blue and carried a number. The tug found it later.

Name: Anna
Phone: 4471

1. Weather

The station stopped sending.
"""


async def test_plain_text(read: ReadFile) -> None:
    (page,) = await read(WRAPPED.encode())
    assert isinstance(page, Page)
    assert [(block.kind, len(block.lines)) for block in page.blocks] == [
        (BlockKind.HEADING, 1),
        (BlockKind.PARAGRAPH, 2),
        (BlockKind.LIST, 1),
        (BlockKind.LIST, 1),
        (BlockKind.HEADING, 1),
        (BlockKind.PARAGRAPH, 1),
    ]
