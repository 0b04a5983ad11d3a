"""Presentations: every slide is a page, with boxes in points. python-pptx reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pptx import Presentation
from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.shapes.base import BaseShape
from pptx.shapes.graphfrm import GraphicFrame
from pptx.shapes.group import GroupShape
from pptx.shapes.picture import Picture
from pptx.slide import Slide

from server.adapters.reading.archives import ArchiveOptions, check_archive, parsing
from server.application.markdown_tables import markdown_row, table_block
from server.domain.documents import Block, BlockKind, Box, Line, Page
from server.domain.errors import UnreadableDocument

_EMU_PER_POINT = 12_700
_DEEPEST_GROUP = 16
_MOST_SHAPES = 20_000
_LARGEST_SIDE = 14_400.0
_MOST_CHART_POINTS = 10_000
# Shapes whose upper edges are closer than this (in points) stand beside each other.
_SAME_ROW = 18.0
_TITLES = frozenset((PP_PLACEHOLDER.TITLE, PP_PLACEHOLDER.CENTER_TITLE, PP_PLACEHOLDER.VERTICAL_TITLE))
# Repeated by the master on every slide.
_REPEATED = frozenset((PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.DATE))
_BODIES = frozenset((PP_PLACEHOLDER.BODY, PP_PLACEHOLDER.OBJECT, PP_PLACEHOLDER.VERTICAL_BODY))


@dataclass(frozen=True, slots=True)
class _Frame:
    """From the coordinates of a group's members (in EMU) to points of the slide."""

    scale_x: float = 1 / _EMU_PER_POINT
    scale_y: float = 1 / _EMU_PER_POINT
    x: float = 0.0
    y: float = 0.0

    def box(self, shape: BaseShape) -> Box | None:
        # Placeholders may have none of their own; the library's types do not say so.
        places: tuple[int | None, ...] = (shape.left, shape.top, shape.width, shape.height)
        left, top, width, height = places
        if left is None or top is None or width is None or height is None:
            return None
        x, y = self.x + left * self.scale_x, self.y + top * self.scale_y
        return Box(x, y, x + width * self.scale_x, y + height * self.scale_y)

    def inside(self, group: GroupShape) -> _Frame:
        outer = self.box(group)
        # Not in python-pptx's interface: the members' own coordinates.
        element: Any = group._element
        offset, extent = element.find("{*}grpSpPr/{*}xfrm/{*}chOff"), element.find("{*}grpSpPr/{*}xfrm/{*}chExt")
        if outer is None or offset is None or extent is None:
            return self
        width, height = int(extent.get("cx", 0)), int(extent.get("cy", 0))
        scale_x = (outer.x1 - outer.x0) / width if width > 0 else self.scale_x
        scale_y = (outer.y1 - outer.y0) / height if height > 0 else self.scale_y
        left, top = int(offset.get("x", 0)), int(offset.get("y", 0))
        return _Frame(scale_x, scale_y, outer.x0 - left * scale_x, outer.y0 - top * scale_y)


@dataclass(frozen=True, slots=True)
class _Placed:
    shape: BaseShape
    box: Box | None


class PptxFile:
    """Memory: the whole file, unpacked. Nothing stays open."""

    def __init__(self, path: Path, archive: ArchiveOptions) -> None:
        """Raises UnreadableDocument."""
        check_archive(path, archive)
        with parsing("the presentation"):
            presentation = Presentation(str(path))
            self._slides: list[Slide] = list(presentation.slides)
            self._width = (presentation.slide_width or 0) / _EMU_PER_POINT
            self._height = (presentation.slide_height or 0) / _EMU_PER_POINT
        self.page_count = len(self._slides)
        if not self._slides:
            raise UnreadableDocument("the presentation has no slides")
        if not (0 < self._width <= _LARGEST_SIDE and 0 < self._height <= _LARGEST_SIDE):
            raise UnreadableDocument(f"the slides are {self._width:.0f} x {self._height:.0f} points large")

    def picture(self, number: int, scale: float, most_pixels: int) -> None:
        """How it looks is its program's affair."""

    def close(self) -> None:
        """Nothing stays open."""

    def read(self, number: int) -> Page:
        """The title first, then from top to bottom, then the speaker's notes, which have no box. Lines of a text have
        its shape's box: where they break is not in the file. Raises UnreadableDocument."""
        with parsing(f"slide {number}"):
            slide = self._slides[number - 1]
            placed = sorted(_shapes(slide.shapes, _Frame(), 0), key=_place)
            if len(placed) > _MOST_SHAPES:
                raise UnreadableDocument(f"slide {number} has more than {_MOST_SHAPES:,} shapes")
            blocks = [block for item in placed for block in _blocks(item)]
            notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
            if notes is not None:
                blocks.extend(_text_blocks(notes, BlockKind.PARAGRAPH, None))
            return Page(number, self._width, self._height, tuple(blocks))


def _shapes(shapes: Iterable[BaseShape], frame: _Frame, depth: int) -> Iterator[_Placed]:
    for shape in shapes:
        if isinstance(shape, GroupShape):
            if depth < _DEEPEST_GROUP:
                yield from _shapes(shape.shapes, frame.inside(shape), depth + 1)
        elif _placeholder(shape) not in _REPEATED:
            yield _Placed(shape, frame.box(shape))


def _place(item: _Placed) -> tuple[bool, float, float]:
    box = item.box or Box(0.0, _LARGEST_SIDE, 0.0, _LARGEST_SIDE)
    return _placeholder(item.shape) not in _TITLES, box.y0 // _SAME_ROW, box.x0


def _placeholder(shape: BaseShape) -> PP_PLACEHOLDER | None:
    return shape.placeholder_format.type if shape.is_placeholder else None


def _blocks(item: _Placed) -> Iterator[Block]:
    shape = item.shape
    if isinstance(shape, GraphicFrame):
        if shape.has_table:
            yield from _table(shape, item.box)
        elif shape.has_chart:
            yield from _chart(shape, item.box)
    elif isinstance(shape, Picture):
        element: Any = shape._element
        described = " ".join(element.nvPicPr.cNvPr.get("descr", "").split())
        if described:
            yield Block(BlockKind.CAPTION, (Line(described, item.box),))
    elif shape.has_text_frame:
        kind = _placeholder(shape)
        listed = BlockKind.LIST if kind in _BODIES else BlockKind.PARAGRAPH
        frame: Any = shape
        yield from _text_blocks(frame.text_frame, BlockKind.HEADING if kind in _TITLES else listed, item.box)


def _text_blocks(frame: Any, kind: BlockKind, box: Box | None) -> Iterator[Block]:
    paragraphs = [lines for paragraph in frame.paragraphs if (lines := _lines(paragraph.text, box))]
    if kind is BlockKind.HEADING:
        paragraphs = [tuple(line for lines in paragraphs for line in lines)] if paragraphs else []
    listed = kind is BlockKind.LIST and len(paragraphs) > 1
    for lines in paragraphs:
        if kind is BlockKind.HEADING:
            yield Block(kind, lines, 1)
        else:
            yield Block(BlockKind.LIST if listed else BlockKind.PARAGRAPH, lines)


def _lines(text: str, box: Box | None) -> tuple[Line, ...]:
    return tuple(Line(" ".join(line.split()), box) for line in text.split("\v") if line.strip())


def _table(shape: GraphicFrame, box: Box | None) -> Iterator[Block]:
    """A cell that goes over rows stands in each; one that goes over some of the columns too, over all only once."""
    rows: list[Line] = []
    top = box.y0 if box is not None else 0.0
    above: list[str] = []
    for row in shape.table.rows:
        cells = list(row.cells)
        texts: list[str] = []
        for column, cell in enumerate(cells):
            if cell.is_spanned and cell._tc.vMerge and column < len(above):
                texts.append(above[column])
            elif cell.is_spanned and cell._tc.hMerge and texts:
                texts.append("" if cells[0].span_width == len(cells) else texts[-1])
            else:
                texts.append(" ".join(cell.text.split()))
        bottom = top + row.height / _EMU_PER_POINT
        if any(texts):
            rows.append(Line(markdown_row(texts), Box(box.x0, top, box.x1, bottom) if box is not None else None))
        top, above = bottom, texts
    if rows:
        yield Block(BlockKind.TABLE, tuple(rows))


def _chart(shape: GraphicFrame, box: Box | None) -> Iterator[Block]:
    """The title, and the values as a table. A chart that breaks the rules is left out, as a broken picture is."""
    try:
        with parsing("a chart"):
            chart = shape.chart
            title = chart.chart_title.text_frame.text if chart.has_title else ""
            rows = [row for plot in chart.plots for row in _plot_rows(plot)]
    except UnreadableDocument:
        return
    if title.strip():
        yield Block(BlockKind.CAPTION, (Line(" ".join(title.split()), box),))
    if rows:
        table = table_block(rows)
        yield Block(BlockKind.TABLE, tuple(Line(line.text, box) for line in table.lines))


def _plot_rows(plot: Any) -> Iterator[list[str]]:
    """A row for each category, after one with the names of the series."""
    categories = [str(category) for category in plot.categories][:_MOST_CHART_POINTS]
    series = [(one.name, list(one.values)) for one in plot.series]
    if not categories or len(categories) * len(series) > _MOST_CHART_POINTS:
        return
    yield ["", *(name for name, _ in series)]
    for at, category in enumerate(categories):
        yield [category, *(_number(values[at]) if at < len(values) else "" for _, values in series)]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.15g}"
