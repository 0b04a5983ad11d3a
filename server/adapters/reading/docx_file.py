"""Word documents as blocks. python-docx opens them; the text is walked in the order in which it stands.

A document of this format has no pages: where they break is the program's affair that shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docx import Document
from docx.opc.constants import RELATIONSHIP_TYPE
from lxml import etree

from server.adapters.reading.archives import ArchiveOptions, check_archive, parsing
from server.adapters.reading.docx_numbering import BULLET, Numbering
from server.application.markdown_tables import table_block
from server.domain.documents import Block, BlockKind, Line
from server.domain.errors import UnreadableDocument

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_COMPATIBILITY = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_ALTERNATIVES = _COMPATIBILITY + "AlternateContent"
_FALLBACK = _COMPATIBILITY + "Fallback"
# What was deleted, moved away, is not shown, or is the small print above a word that says how it is read.
_SILENT = frozenset(_W + name for name in ("del", "moveFrom", "pPr", "rPr", "instrText", "delText", "rt", "sdtPr"))
_BREAKS = frozenset((_W + "br", _W + "cr"))
_DRAWINGS = frozenset(_W + name for name in ("drawing", "pict", "object"))
# Around paragraphs, rows and cells, without a meaning for the text.
_WRAPPERS = frozenset(_W + name for name in ("sdt", "sdtContent", "customXml", "ins", "moveTo", "smartTag"))
_WIDEST_SPAN = 1000
_DEEPEST_STYLE = 32
_LARGEST_LEVEL = 6


@dataclass(frozen=True, slots=True)
class _Style:
    name: str
    parent: str | None
    outline: int | None
    numbered: tuple[str, int] | None
    """The list and the level in it."""


@dataclass(slots=True)
class _Paragraph:
    text: str = ""
    boxes: list[etree._Element] = field(default_factory=list)
    described: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class DocxFile:
    """Memory: the whole file, unpacked. Nothing stays open."""

    def __init__(self, path: Path, archive: ArchiveOptions) -> None:
        """Raises UnreadableDocument."""
        check_archive(path, archive)
        with parsing("the document"):
            document: Any = Document(str(path))
            self._body = _body(document.element)
            self._styles = {str(key): style for key, style in _styles(document.styles.element)}
            self._default_style = _default_style(document.styles.element)
            self._numbering = Numbering(_part(document, RELATIONSHIP_TYPE.NUMBERING))
            self._notes = dict(_notes(_part(document, RELATIONSHIP_TYPE.FOOTNOTES)))

    def blocks(self) -> list[Block]:
        """Text boxes and footnotes follow the paragraph that they are in. Heads, feet, comments and what was deleted
        are left out. Raises UnreadableDocument."""
        with parsing("the document"):
            return list(self._blocks(self._body))

    def _blocks(self, container: etree._Element) -> Iterator[Block]:
        for child in container:
            if child.tag == _W + "p":
                yield from self._paragraph_blocks(child)
            elif child.tag == _W + "tbl":
                yield from self._table_blocks(child)
            elif child.tag in _WRAPPERS:
                yield from self._blocks(child)
            elif child.tag == _ALTERNATIVES:
                yield from self._blocks(_chosen(child))

    def _paragraph_blocks(self, element: etree._Element) -> Iterator[Block]:
        paragraph = _Paragraph()
        paragraph.text = "".join(_inline(element, paragraph))
        lines = [line for part in paragraph.text.split("\n") if (line := " ".join(part.split()))]
        if lines:
            yield self._text_block(element, lines)
        for text in paragraph.described:
            yield Block(BlockKind.CAPTION, (Line(text, None),))
        for box in paragraph.boxes:
            yield from self._blocks(box)
        for note in paragraph.notes:
            text = self._notes.get(note, "")
            if text:
                yield Block(BlockKind.LIST, (Line(text, None),))

    def _text_block(self, element: etree._Element, lines: list[str]) -> Block:
        properties = element.find(_W + "pPr")
        chain = list(self._style_chain(_value(properties, "pStyle")))
        numbered = _numbered(properties) or next((style.numbered for style in chain if style.numbered), None)
        marker = self._numbering.next_marker(*numbered) if numbered is not None else ""
        if marker:
            lines[0] = f"{marker} {lines[0]}"
        made = tuple(Line(line, None) for line in lines)
        level = _level(properties, chain)
        if level:
            return Block(BlockKind.HEADING, made, level)
        if any(style.name == "caption" for style in chain):
            return Block(BlockKind.CAPTION, made)
        listed = bool(marker) or any(style.name.startswith("list ") for style in chain)
        return Block(BlockKind.LIST if listed else BlockKind.PARAGRAPH, made)

    def _style_chain(self, key: str | None) -> Iterator[_Style]:
        key = key or self._default_style
        for _ in range(_DEEPEST_STYLE):
            style = self._styles.get(key or "")
            if style is None:
                return
            yield style
            key = style.parent

    def _table_blocks(self, table: etree._Element) -> Iterator[Block]:
        rows = [(row, list(_wrapped(row, "tc"))) for row in _wrapped(table, "tr")]
        if max((len(cells) for _, cells in rows), default=0) < 2:
            # A frame around text, not a table.
            for cell in (cell for _, cells in rows for cell in cells):
                yield from self._blocks(cell)
            return
        grid: list[list[str]] = []
        for row, cells in rows:
            grid.append(self._row(row, cells, grid[-1] if grid else []))
        yield table_block([row for row in grid if any(row)])

    def _row(self, row: etree._Element, cells: Sequence[etree._Element], above: Sequence[str]) -> list[str]:
        """A cell that goes over rows stands in each; one that goes over some of the columns too, one that is alone in
        its row only once."""
        texts = [""] * _count(row.find(_W + "trPr"), "gridBefore", 0)
        for cell in cells:
            properties = cell.find(_W + "tcPr")
            merge = properties.find(_W + "vMerge") if properties is not None else None
            hangs = merge is not None and merge.get(_W + "val", "continue") == "continue"
            text = above[len(texts)] if hangs and len(texts) < len(above) else self._cell_text(cell)
            across = _count(properties, "gridSpan", 1)
            texts.extend([text, *[text if len(cells) > 1 else ""] * (across - 1)])
        return texts

    def _cell_text(self, cell: etree._Element) -> str:
        parts: list[str] = []
        for block in self._blocks(cell):
            for line in block.lines:
                inner_row = block.kind is BlockKind.TABLE
                parts.append(" ".join(line.text.replace("|", " ").split()) if inner_row else line.text)
            if block.kind is BlockKind.LIST:
                parts[-len(block.lines)] = parts[-len(block.lines)].removeprefix(BULLET + " ")
        return " ".join(parts)


def _body(root: etree._Element) -> etree._Element:
    body = root.find(_W + "body")
    if body is None:
        raise UnreadableDocument("the document has no body")
    return body


def _inline(element: etree._Element, found: _Paragraph) -> Iterator[str]:
    """The text of a paragraph; what is anchored in it goes to `found`."""
    for child in element:
        tag = child.tag
        if tag in (_W + "t", _MATH_TEXT):
            yield child.text or ""
        elif tag in (_W + "tab", _W + "ptab"):
            yield " "
        elif tag in _BREAKS:
            yield "\n"
        elif tag == _W + "noBreakHyphen":
            yield "-"
        elif tag == _W + "footnoteReference":
            found.notes.append(child.get(_W + "id", ""))
        elif tag in _DRAWINGS:
            _take_drawing(child, found)
        elif tag == _ALTERNATIVES:
            yield from _inline(_chosen(child), found)
        elif tag not in _SILENT:
            yield from _inline(child, found)


def _take_drawing(drawing: etree._Element, found: _Paragraph) -> None:
    walk = etree.iterwalk(drawing, events=("start",))
    for _, node in walk:
        if node.tag == _W + "txbxContent":
            found.boxes.append(node)
            walk.skip_subtree()
        elif node.tag == _FALLBACK and node.getprevious() is not None:
            walk.skip_subtree()
        elif etree.QName(node).localname == "docPr" and (described := " ".join(node.get("descr", "").split())):
            found.described.append(described)


def _chosen(alternatives: etree._Element) -> etree._Element:
    """The first of the forms that one thing is stored in: the newest."""
    return alternatives[0] if len(alternatives) else alternatives


def _wrapped(container: etree._Element, name: str) -> Iterator[etree._Element]:
    for child in container:
        if child.tag == _W + name:
            yield child
        elif child.tag in _WRAPPERS:
            yield from _wrapped(child, name)


def _level(properties: etree._Element | None, chain: Iterable[_Style]) -> int:
    """By the outline, which does not depend on the language of the program; 0: no heading."""
    own = _value(properties, "outlineLvl")
    if own is not None and own.isdigit():
        return _heading_level(int(own))
    for style in chain:
        if style.name == "title":
            return 1
        if style.outline is not None:
            return _heading_level(style.outline)
    return 0


def _heading_level(outline: int) -> int:
    return min(outline + 1, _LARGEST_LEVEL) if outline < 9 else 0


def _numbered(properties: etree._Element | None) -> tuple[str, int] | None:
    numbering = properties.find(_W + "numPr") if properties is not None else None
    number = _value(numbering, "numId")
    if number is None:
        return None
    return number, _count(numbering, "ilvl", 0)


def _styles(styles: etree._Element) -> Iterator[tuple[str, _Style]]:
    for style in styles.findall(_W + "style"):
        properties = style.find(_W + "pPr")
        outline = _value(properties, "outlineLvl")
        yield (
            style.get(_W + "styleId", ""),
            _Style(
                (_value(style, "name") or "").lower(),
                _value(style, "basedOn"),
                int(outline) if outline is not None and outline.isdigit() else None,
                _numbered(properties),
            ),
        )


def _default_style(styles: etree._Element) -> str:
    for style in styles.findall(_W + "style"):
        if style.get(_W + "type") == "paragraph" and style.get(_W + "default") in ("1", "true"):
            return str(style.get(_W + "styleId", ""))
    return ""


def _notes(notes: etree._Element | None) -> Iterator[tuple[str, str]]:
    for note in notes if notes is not None else ():
        if note.get(_W + "type") is None:
            text = "".join("".join(_inline(paragraph, _Paragraph())) + " " for paragraph in note.iter(_W + "p"))
            yield note.get(_W + "id", ""), " ".join(text.split())


def _part(document: Any, kind: str) -> etree._Element | None:
    """The root of a part that may be missing, or not be XML of the kind that it should be."""
    try:
        part = document.part.part_related_by(kind)
    except KeyError:
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    return etree.fromstring(part.blob, parser)


def _value(container: etree._Element | None, name: str) -> str | None:
    child = container.find(_W + name) if container is not None else None
    return None if child is None else child.get(_W + "val")


def _count(container: etree._Element | None, name: str, otherwise: int) -> int:
    value = _value(container, name)
    return min(int(value), _WIDEST_SPAN) if value is not None and value.isascii() and value.isdigit() else otherwise
