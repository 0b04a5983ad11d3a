"""Separated values: delimiters, quotes, rows of other lengths."""

from __future__ import annotations

import pytest

from server.domain.documents import BlockKind, Page
from server.domain.errors import UnreadableDocument
from tests.server.reading.conftest import SHARED_LOOP, ReadFile

pytestmark = SHARED_LOOP


async def rows(read: ReadFile, text: str, name: str = "x") -> list[str]:
    (page,) = await read(text.encode(), name)
    assert isinstance(page, Page)
    [table] = page.blocks
    assert table.kind is BlockKind.TABLE
    return [line.text for line in table.lines]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
async def test_delimiters_are_told_by_the_content(read: ReadFile, delimiter: str) -> None:
    text = "boat,price,since\nTug,1.5,2020\nFerry,40,2021\n".replace(",", delimiter)
    assert await rows(read, text) == ["| boat | price | since |", "| Tug | 1.5 | 2020 |", "| Ferry | 40 | 2021 |"]


async def test_quotes_keep_delimiters_and_line_ends(read: ReadFile) -> None:
    text = 'boat,note\n"Tug, old","two\nlines"\n"a ""b""",=1+1\n'
    assert await rows(read, text) == ["| boat | note |", "| Tug, old | two lines |", '| a "b" | =1+1 |']


async def test_short_rows_are_filled_up(read: ReadFile) -> None:
    text = "a,b,c\n" + "1,2,3\n" * 40 + "4,5\n"
    assert (await rows(read, text))[-1] == "| 4 | 5 |  |"


async def test_a_field_without_an_end_is_refused(read: ReadFile) -> None:
    text = "a,b,c\n" + "1,2,3\n" * 50_000 + '4,5,"' + "x" * 1_000_001
    with pytest.raises(UnreadableDocument):
        await rows(read, text)
