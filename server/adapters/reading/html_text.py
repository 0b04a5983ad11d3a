"""HTML as blocks: what a reader of the page is there for. Pure.

The tree is libxml2's, which bounds nesting, loads nothing, and resolves no entities but characters. It is walked
without recursion.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType

from lxml import etree

from server.adapters.reading.archives import parsing
from server.application.markdown_tables import table_block
from server.domain.documents import Block, BlockKind, Line
from server.domain.errors import UnreadableDocument

_HEADINGS = MappingProxyType({f"h{level}": level for level in range(1, 7)})
# What is not read: programs, controls, menus, drawings, the reading of a word in small print above it.
_SILENT = frozenset(
    ("audio", "button", "canvas", "datalist", "dialog", "embed", "head", "iframe", "input", "math", "nav", "noscript")
) | {"object", "progress", "rp", "rt", "script", "select", "style", "svg", "template", "textarea", "video"}
_BLOCKS = (
    frozenset(("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl"))
    | {"dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "html", "legend", "li"}
    | {"main", "menu", "ol", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr"}
    | {"ul", *_HEADINGS}
)
_CAPTIONS = frozenset(("caption", "figcaption"))
_MAIN_SHARE = 0.4
# Limits of the HTML standard.
_WIDEST_SPAN = 1000
_MOST_CELLS = 2_000_000
_SPACES = re.compile(r"[ \t\r\n\f]+")


def read_html(text: str) -> tuple[Block, ...]:
    """Headings, paragraphs, items of lists, captions and tables, from the page's main part if it says which that is.
    Tables that only arrange things are read as what is in their cells. Raises UnreadableDocument."""
    with parsing("the HTML"):
        parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
        root = etree.fromstring(text.encode("utf-8", errors="replace"), parser)
    if root is None:
        raise UnreadableDocument("the HTML has no content")
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):
        raise UnreadableDocument("the HTML is nested too deeply")
    blocks = _Flow().read(_main_part(root))
    title = _SPACES.sub(" ", root.findtext("head/title") or "").strip()
    if title and not any(block.kind is BlockKind.HEADING and block.level == 1 for block in blocks):
        blocks.insert(0, Block(BlockKind.HEADING, (Line(title, None),), 1))
    return tuple(blocks)


def _main_part(root: etree._Element) -> etree._Element:
    body = root.find("body")
    whole = body if body is not None else root
    found = root.xpath("//main | //*[@role='main']")
    candidates = [part for part in found if isinstance(part, etree._Element)] if isinstance(found, list) else []
    if len(candidates) != 1:
        return whole
    return candidates[0] if _length(candidates[0]) >= _MAIN_SHARE * _length(whole) else whole


def _length(element: etree._Element) -> int:
    return sum(len(part.strip()) for part in _texts(element))


def _texts(element: etree._Element) -> Iterator[str]:
    """What a reader sees, without structure."""
    walk = etree.iterwalk(element, events=("start", "end"))
    for event, node in walk:
        if event == "end":
            yield (node.tail or "") if node is not element else ""
        elif node.tag in _SILENT:
            walk.skip_subtree()
        else:
            yield node.text or ""


class _Flow:
    """Collects the blocks of one element. For one use."""

    def __init__(self, bullets: bool = True) -> None:
        self._bullet = "- " if bullets else ""
        self._blocks: list[Block] = []
        self._text: list[str] = []
        self._lists: list[int | None] = []
        self._marker = ""
        self._heading = 0
        self._caption = False
        self._preformatted = 0

    def read(self, root: etree._Element) -> list[Block]:
        walk = etree.iterwalk(root, events=("start", "end"))
        for event, node in walk:
            if event == "start":
                if self._begin(node):
                    self._text.append(node.text or "")
                else:
                    walk.skip_subtree()
            else:
                self._end(node)
                if node is not root:
                    self._text.append(node.tail or "")
        self._flush()
        return self._blocks

    def _begin(self, node: etree._Element) -> bool:
        """Whether to go into it."""
        tag = str(node.tag)
        if tag in _SILENT or node.get("hidden") is not None or node.get("role") == "navigation":
            return False
        if tag == "br":
            self._text.append("\0")
        elif tag == "img":
            self._text.append(f" {node.get('alt', '')} ")
        if tag not in _BLOCKS:
            return True
        self._flush()
        match tag:
            case "ul" | "menu":
                self._lists.append(None)
            case "ol":
                self._lists.append(_number(node.get("start"), 1))
            case "li":
                self._marker = self._next_marker()
            case "pre":
                self._preformatted += 1
            case "caption" | "figcaption":
                self._caption = True
            case "table":
                return not self._read_table(node)
            case _:
                self._heading = _HEADINGS.get(tag, self._heading)
        return True

    def _end(self, node: etree._Element) -> None:
        tag = str(node.tag)
        if tag not in _BLOCKS:
            return
        self._flush()
        match tag:
            case "ul" | "menu" | "ol" if self._lists:
                self._lists.pop()
            case "li":
                self._marker = ""
            case "pre":
                self._preformatted = max(self._preformatted - 1, 0)
            case _:
                if tag in _HEADINGS:
                    self._heading = 0
                if tag in _CAPTIONS:
                    self._caption = False

    def _next_marker(self) -> str:
        number = self._lists[-1] if self._lists else None
        if number is None:
            return self._bullet
        self._lists[-1] = number + 1
        return f"{number}. "

    def _flush(self) -> None:
        text = "".join(self._text)
        self._text.clear()
        lines = [line for line in self._lines(text) if line.strip()]
        if not lines:
            return
        lines[0] = self._marker + lines[0]
        self._marker = ""
        if self._preformatted:
            self._blocks.extend(Block(BlockKind.LIST, (Line(line.rstrip(), None),)) for line in lines)
            return
        made = tuple(Line(line, None) for line in lines)
        if self._heading:
            self._blocks.append(Block(BlockKind.HEADING, made, self._heading))
        elif self._caption:
            self._blocks.append(Block(BlockKind.CAPTION, made))
        else:
            self._blocks.append(Block(BlockKind.LIST if self._lists else BlockKind.PARAGRAPH, made))

    def _lines(self, text: str) -> Iterable[str]:
        if self._preformatted:
            return text.replace("\0", "\n").split("\n")
        return (_SPACES.sub(" ", line).strip() for line in text.split("\0"))

    def _read_table(self, table: etree._Element) -> bool:
        """Whether it was a table of data, which has now been read."""
        rows = _own_rows(table)
        if len(rows) < 2 or table.get("role") in ("presentation", "none"):
            return False
        if any(inner is not table for inner in itertools.islice(table.iter("table", *_HEADINGS), 2)):
            return False
        grid = _grid(rows)
        if max(map(len, grid), default=0) < 2:
            return False
        caption = table.find("caption")
        if caption is not None:
            lines = tuple(line for block in _Flow().read(caption) for line in block.lines)
            self._blocks.extend([Block(BlockKind.CAPTION, lines)] if lines else [])
        self._blocks.append(table_block(grid))
        return True


def _own_rows(table: etree._Element) -> list[etree._Element]:
    rows: list[etree._Element] = []
    for child in table:
        if child.tag == "tr":
            rows.append(child)
        elif child.tag in ("thead", "tbody", "tfoot"):
            rows.extend(row for row in child if row.tag == "tr")
    return rows


def _grid(rows: Sequence[etree._Element]) -> list[list[str]]:
    """Texts by row and column. A cell that spans rows stands in each; one that spans some of the columns, too, one that
    spans all of them (a heading between rows) only in the first."""
    grid: list[list[str]] = []
    hanging: dict[int, tuple[int, str]] = {}  # column: rows to come, text
    width = 0
    cells = 0
    for row in rows:
        made: list[str] = []
        own = [cell for cell in row if cell.tag in ("td", "th")]
        for cell in own:
            _hang(made, hanging)
            text = " ".join(line.text for block in _Flow(bullets=False).read(cell) for line in block.lines)
            across = min(max(_number(cell.get("colspan"), 1), 1), _WIDEST_SPAN)
            down = min(max(_number(cell.get("rowspan"), 1), 1), len(rows))
            alone = len(own) == 1 and across > 1 and not made
            for place in range(across):
                shown = text if place == 0 or not alone else ""
                if down > 1:
                    hanging[len(made)] = (down - 1, shown)
                made.append(shown)
        _hang(made, hanging)
        width = max(width, len(made))
        cells += width
        if cells > _MOST_CELLS:
            raise UnreadableDocument(f"a table of the HTML has more than {_MOST_CELLS:,} cells")
        if any(made):
            grid.append(made)
    return grid


def _hang(made: list[str], hanging: dict[int, tuple[int, str]]) -> None:
    """Fills the next columns of a row with the cells that hang into it from above."""
    while len(made) in hanging:
        column = len(made)
        left, text = hanging.pop(column)
        if left > 1:
            hanging[column] = (left - 1, text)
        made.append(text)


def _number(value: str | None, otherwise: int) -> int:
    return int(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 7 else otherwise
