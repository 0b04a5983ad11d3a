"""HTML: structure, tables with spans, what is not text, and what browsers forgive."""

from __future__ import annotations

import pytest

from server.domain.documents import BlockKind, Page
from server.domain.errors import UnreadableDocument
from tests.server.reading.conftest import SHARED_LOOP, ReadFile, text_of

pytestmark = SHARED_LOOP


async def shape(read: ReadFile, text: str | bytes) -> list[tuple[BlockKind, int, list[str]]]:
    data = text if isinstance(text, bytes) else text.encode()
    (page,) = await read(b"<!doctype html>" + data, "page.pdf")
    assert isinstance(page, Page)
    assert (page.width, page.height) == (0, 0)
    return [(block.kind, block.level, [line.text for line in block.lines]) for block in page.blocks]


async def test_structure(read: ReadFile) -> None:
    page = """<html><head><title>Tides</title><style>p {}</style></head><body>
    <nav><a href="/">Home</a></nav><script>var x = "<p>";</script>
    <h2>High <em>tide</em></h2>
    Loose text<div>A division<p>A   para<br>graph &amp; more</div>
    <ol start=3><li>three<ul><li>inner</ul><li><p>four</p></ol>
    <pre>a  b
c</pre><figure><img alt="a chart" src="x"><figcaption>Figure 1</figcaption></figure>
    <p hidden>secret</p><ruby>港<rt>みなと</rt></ruby></body></html>"""
    assert await shape(read, page) == [
        (BlockKind.HEADING, 1, ["Tides"]),
        (BlockKind.HEADING, 2, ["High tide"]),
        (BlockKind.PARAGRAPH, 0, ["Loose text"]),
        (BlockKind.PARAGRAPH, 0, ["A division"]),
        (BlockKind.PARAGRAPH, 0, ["A para", "graph & more"]),
        (BlockKind.LIST, 0, ["3. three"]),
        (BlockKind.LIST, 0, ["- inner"]),
        (BlockKind.LIST, 0, ["4. four"]),
        (BlockKind.LIST, 0, ["a  b"]),
        (BlockKind.LIST, 0, ["c"]),
        (BlockKind.PARAGRAPH, 0, ["a chart"]),
        (BlockKind.CAPTION, 0, ["Figure 1"]),
        (BlockKind.PARAGRAPH, 0, ["港"]),
    ]


async def test_cells_stay_in_their_rows_and_columns(read: ReadFile) -> None:
    page = """<table><caption>Tariffs</caption><thead><tr><th rowspan=2>Boat<th colspan=2>Price</tr>
    <tr><th>summer<th>winter</tr></thead><tbody>
    <tr><td colspan=3>Small ones</tr><tr><td>Tug<td>1<td><ul><li>2<li>3</ul></tr><tr></tr></tbody></table>"""
    assert await shape(read, page) == [
        (BlockKind.CAPTION, 0, ["Tariffs"]),
        (
            BlockKind.TABLE,
            0,
            ["| Boat | Price | Price |", "| Boat | summer | winter |", "| Small ones |  |  |", "| Tug | 1 | 2 3 |"],
        ),
    ]


async def test_a_table_that_arranges_things_is_read_as_what_is_in_it(read: ReadFile) -> None:
    page = "<table><tr><td>left<td><table><tr><td>a<td>b<tr><td>c<td>d</table><tr><td>x<td>y</table>"
    kinds = [(kind, lines) for kind, _, lines in await shape(read, page)]
    assert kinds == [
        (BlockKind.PARAGRAPH, ["left"]),
        (BlockKind.TABLE, ["| a | b |", "| c | d |"]),
        (BlockKind.PARAGRAPH, ["x"]),
        (BlockKind.PARAGRAPH, ["y"]),
    ]


async def test_the_main_part_is_read_where_the_page_names_it(read: ReadFile) -> None:
    menu = "<ul><li>Home<li>News</ul>"
    assert await shape(read, menu + "<main><p>What the page is there for.</p></main>") == [
        (BlockKind.PARAGRAPH, 0, ["What the page is there for."])
    ]
    kept = await shape(read, "<main>x</main><p>Most of the text is outside of it.</p>")
    assert [lines for _, _, lines in kept] == [["x"], ["Most of the text is outside of it."]]


@pytest.mark.parametrize("encoding", ["cp932", "euc_jp", "iso2022_jp", "utf-16"])
async def test_encodings(read: ReadFile, encoding: str) -> None:
    text = "<html><body><p>港の営業時間は午前九時からです。</p></body></html>"
    (page,) = await read(text.encode(encoding))
    assert text_of(page) == ["港の営業時間は午前九時からです。"]


async def test_a_declared_encoding_is_believed_where_nothing_else_tells(read: ReadFile) -> None:
    text = '<html><head><meta charset="windows-1251"></head><body><p>Порт открыт</p></body></html>'
    (page,) = await read(text.encode("cp1251"))
    assert text_of(page) == ["Порт открыт"]


async def test_spans_that_claim_much_are_bounded(read: ReadFile) -> None:
    page = "<table><tr><td colspan=999999>a<td rowspan=999999>b<tr><td>c</table>"
    [(_, _, rows)] = await shape(read, page)
    assert len(rows) == 2
    assert all(row.count("|") <= 1003 for row in rows)
    many = "<tr><td colspan=1000>a<td>b</tr>" * 2100
    with pytest.raises(UnreadableDocument, match="cells"):
        await shape(read, f"<table>{many}</table>")


async def test_nesting_is_bounded(read: ReadFile) -> None:
    (_, _, lines) = (await shape(read, "<div>" * 1500 + "deep"))[0]
    assert lines == ["deep"]
    with pytest.raises(UnreadableDocument, match="nested"):
        await shape(read, "<div>" * 30_000 + "deeper")
