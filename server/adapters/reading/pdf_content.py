"""What stands on a page of a PDF: glyphs with boxes, rules, how much of it pictures cover. Uses pdfium's C API.

pdfium is not thread-safe: the caller sees to it that one thread at a time is in here.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as c

from server.application.page_layout.geometry import Glyph, Rule
from server.domain.documents import Box

_MOST_GLYPHS = 200_000
_MOST_OBJECTS = 50_000
_MOST_RULES = 4_000
_DEEPEST_FORM = 5
_THICKEST_RULE = 3.0
_FARTHEST = 1e6
_LARGEST_SIZE = 1e5
_LEAST_SIDE = 0.01
_BOLD_WEIGHT = 600
_HIDDEN_MODES = (c.FPDF_TEXTRENDERMODE_INVISIBLE, c.FPDF_TEXTRENDERMODE_CLIP)
_BOLD_NAMES = (b"bold", b"black", b"heavy", b"demi")


def _by_address(function: Any, result: type, *arguments: type) -> Callable[..., int | None]:
    """A function of pdfium that takes and gives addresses: a pointer object for every glyph costs as much as all else
    that is asked about it."""
    return ctypes.CFUNCTYPE(result, *arguments)(ctypes.cast(function, ctypes.c_void_p).value or 0)


_unicode = _by_address(c.FPDFText_GetUnicode, ctypes.c_uint, ctypes.c_void_p, ctypes.c_int)
_has_no_unicode = _by_address(c.FPDFText_HasUnicodeMapError, ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_loose_box = _by_address(c.FPDFText_GetLooseCharBox, ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_text_object = _by_address(c.FPDFText_GetTextObject, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)


@dataclass(slots=True)
class PageContent:
    """`turned` holds the glyphs of each direction of writing: 0, 90, 180 or 270 degrees clockwise as the page is seen.
    `broken` counts glyphs without a usable character, `hidden` characters drawn invisibly, `drawing_count` objects
    other than text; `picture_area` is the share of the page under pictures."""

    width: float
    height: float
    turned: dict[int, list[Glyph]] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    glyph_count: int = 0
    broken: int = 0
    hidden: int = 0
    picture_area: float = 0.0
    drawing_count: int = 0


@dataclass(frozen=True, slots=True)
class _Style:
    """What the glyphs of a text object have in common. `angle`: of the line they stand on, 0, 90, 180 or 270 degrees
    clockwise."""

    size: float
    bold: bool
    hidden: bool
    angle: int


class _View:
    """From the page's own coordinates (bottom left, unturned) to the page as it is seen (top left)."""

    def __init__(self, page: pdfium.PdfPage) -> None:
        left, bottom, right, top = page.get_bbox()
        self.left, self.bottom, self.w, self.h = left, bottom, right - left, top - bottom
        self.rotation = page.get_rotation()

    def point(self, x: float, y: float) -> tuple[float, float]:
        u, v = x - self.left, y - self.bottom
        match self.rotation:
            case 90:
                return v, u
            case 180:
                return self.w - u, v
            case 270:
                return self.h - v, self.w - u
            case _:
                return u, self.h - v

    def box(self, x0: float, y0: float, x1: float, y1: float) -> Box:
        """`x0` is at most `x1`, `y0` at most `y1`."""
        if self.rotation == 0:
            return Box(x0 - self.left, self.h + self.bottom - y1, x1 - self.left, self.h + self.bottom - y0)
        (ax, ay), (bx, by) = self.point(x0, y0), self.point(x1, y1)
        return Box(min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))


def read_content(page: pdfium.PdfPage) -> PageContent:
    """Raises pdfium.PdfiumError. About 4 µs a glyph."""
    width, height = page.get_size()
    content = PageContent(width, height)
    view = _View(page)
    _read_objects(page, view, content)
    _read_glyphs(page, view, content)
    return content


def _read_glyphs(page: pdfium.PdfPage, view: _View, content: PageContent) -> None:
    textpage = page.get_textpage()
    try:
        reader = _GlyphReader(textpage.raw, view, content)
        for index in range(min(textpage.count_chars(), _MOST_GLYPHS)):
            reader.read(index)
    finally:
        textpage.close()


class _GlyphReader:
    """Turns pdfium's characters, in their order, into glyphs of `content`."""

    def __init__(self, raw: object, view: _View, content: PageContent) -> None:
        self._raw = raw
        self._address = ctypes.cast(raw, ctypes.c_void_p).value  # type: ignore[arg-type]
        self._view = view
        self._content = content
        self._rect = (ctypes.c_float * 4)()
        self._rect_address = ctypes.addressof(self._rect)
        self._styles: dict[int, _Style] = {}
        self._places: dict[tuple[str, int, int], int] = {}
        self._last: tuple[Box, int, list[Glyph]] | None = None
        self._spaced = False
        self._high_surrogate = 0

    def read(self, index: int) -> None:
        code = _unicode(self._address, index) or 0
        if 0xD800 <= code < 0xE000:
            if code < 0xDC00:
                self._high_surrogate = code
                return
            if self._high_surrogate:
                code = 0x10000 + ((self._high_surrogate - 0xD800) << 10) + (code - 0xDC00)
        self._high_surrogate = 0
        text = _character(code)
        if text == " " or text.isspace():
            self._spaced = True
            return
        self._content.glyph_count += 1
        if not text or _has_no_unicode(self._address, index) == 1:
            self._content.broken += 1
        if text:
            self._add(index, text)

    def _add(self, index: int, text: str) -> None:
        box = self._box(index)
        # Also false for what is no number, as operators of a broken file give.
        if not (-_FARTHEST < box.x0 < box.x1 < _FARTHEST and -_FARTHEST < box.y0 <= box.y1 < _FARTHEST):
            return
        text_object = _text_object(self._address, index) or 0
        last = self._last
        if last is not None and not self._spaced and last[0] == box and last[1] == text_object:
            # A ligature comes as its letters, each with the box of all.
            glyphs = last[2]
            glyphs[-1] = replace(glyphs[-1], text=glyphs[-1].text + text)
            return
        # Fat print and shadows are the same text drawn again.
        if self._places.setdefault((text, round(box.x0), round(box.y0)), text_object) != text_object:
            return
        style = self._styles.get(text_object)
        if style is None:
            style = self._styles[text_object] = _style(self._raw, index)
        self._content.hidden += style.hidden
        glyphs = self._content.turned.setdefault((self._view.rotation + style.angle) % 360, [])
        glyphs.append(Glyph(text, box, style.size or box.y1 - box.y0, style.bold, self._spaced))
        self._last = (box, text_object, glyphs)
        self._spaced = False

    def _box(self, index: int) -> Box:
        if _loose_box(self._address, index, self._rect_address):
            left, top, right, bottom = self._rect[:]
            if right - left > _LEAST_SIDE and top - bottom > _LEAST_SIDE:
                return self._view.box(left, bottom, right, top)
        return _tight_box(self._raw, index, self._view)


@functools.lru_cache(maxsize=4096)
def _character(code: int) -> str:
    """Empty for what is no character: controls, private use, replacement."""
    if code == 0x02:
        return "-"  # pdfium's mark of a hyphen at the end of a line
    if code in (0x09, 0x0A, 0x0D, 0x0B, 0x0C):
        return " "
    if (
        code < 0x20
        or 0x7F <= code < 0xA0
        or 0xD800 <= code < 0xF900
        or code >= 0xF0000
        or code in (0xFFFD, 0xFFFE, 0xFFFF)
    ):
        return ""
    if 0x2E80 <= code < 0x2FE0 or 0xF900 <= code < 0xFB07:
        return unicodedata.normalize("NFKC", chr(code))  # radicals and compatibility forms, ligatures
    if code in (0xAD, 0x2010, 0x2011):
        return "-"
    if code in (0x200B, 0x200C, 0x200D, 0xFEFF):
        return " "
    return chr(code)


def _tight_box(raw: object, index: int, view: _View) -> Box:
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    c.FPDFText_GetCharBox(raw, index, left, right, bottom, top)
    return view.box(left.value, bottom.value, right.value, top.value)


def _style(raw: object, index: int) -> _Style:
    matrix = c.FS_MATRIX()
    scale = 1.0
    if c.FPDFText_GetMatrix(raw, index, matrix):
        scale = math.hypot(matrix.c, matrix.d) or 1.0
    name = ctypes.create_string_buffer(128)
    c.FPDFText_GetFontInfo(raw, index, name, 128, None)
    heavy = any(word in name.value.lower() for word in _BOLD_NAMES)
    bold = heavy or c.FPDFText_GetFontWeight(raw, index) >= _BOLD_WEIGHT
    hidden = c.FPDFTextObj_GetTextRenderMode(c.FPDFText_GetTextObject(raw, index)) in _HIDDEN_MODES
    size = float(c.FPDFText_GetFontSize(raw, index)) * scale
    angle = round(math.degrees(max(c.FPDFText_GetCharAngle(raw, index), 0.0)) / 90) * 90 % 360
    return _Style(size if 0.0 < size < _LARGEST_SIZE else 0.0, bold, hidden, angle)


def _read_objects(page: pdfium.PdfPage, view: _View, content: PageContent) -> None:
    pictures = 0.0
    page_area = max(content.width * content.height, 1.0)
    for number, item in enumerate(page.get_objects(max_depth=_DEEPEST_FORM)):
        if number >= _MOST_OBJECTS:
            break
        content.drawing_count += item.type not in (c.FPDF_PAGEOBJ_TEXT, c.FPDF_PAGEOBJ_FORM)
        if item.type == c.FPDF_PAGEOBJ_IMAGE:
            box = _placed_bounds(item, view)
            wide = max(min(box.x1, content.width) - max(box.x0, 0.0), 0.0)
            high = max(min(box.y1, content.height) - max(box.y0, 0.0), 0.0)
            pictures += wide * high
        elif item.type == c.FPDF_PAGEOBJ_PATH and len(content.rules) < _MOST_RULES:
            content.rules.extend(_rules(item, view))
    content.picture_area = min(pictures / page_area, 1.0)


def _placement(item: pdfium.PdfObject) -> pdfium.PdfMatrix:
    matrix = item.get_matrix()
    container = item.container
    while container is not None:
        matrix = matrix.multiply(container.get_matrix())
        container = container.container
    return matrix


def _placed_bounds(item: pdfium.PdfObject, view: _View) -> Box:
    matrix = _placement(item)
    corners = [view.point(*matrix.on_point(x, y)) for x, y in ((0, 0), (1, 0), (0, 1), (1, 1))]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return Box(min(xs), min(ys), max(xs), max(ys))


def _rules(path: pdfium.PdfObject, view: _View) -> Iterator[Rule]:
    """The straight, axis-parallel strokes and edges of a path. Thin rectangles count as one rule."""
    count = c.FPDFPath_CountSegments(path)
    if not 2 <= count <= 400:
        return
    matrix = _placement(path)
    points: list[tuple[float, float]] = []
    for index in range(count):
        segment = c.FPDFPath_GetPathSegment(path, index)
        kind = c.FPDFPathSegment_GetType(segment)
        x, y = ctypes.c_float(), ctypes.c_float()
        c.FPDFPathSegment_GetPoint(segment, x, y)
        point = view.point(*matrix.on_point(x.value, y.value))
        if kind == c.FPDF_SEGMENT_MOVETO:
            yield from _edges(points)
            points = [point]
        elif kind == c.FPDF_SEGMENT_LINETO:
            points.append(point)
            if c.FPDFPathSegment_GetClose(segment):
                points.append(points[0])
        else:
            points = []  # a curve: no table's rule
    yield from _edges(points)


def _edges(points: list[tuple[float, float]]) -> Iterator[Rule]:
    if len(points) < 2:
        return
    xs, ys = [x for x, _ in points], [y for _, y in points]
    if not all(-_FARTHEST < place < _FARTHEST for place in (*xs, *ys)):
        return
    outline = Box(min(xs), min(ys), max(xs), max(ys))
    if min(outline.x1 - outline.x0, outline.y1 - outline.y0) <= _THICKEST_RULE:
        yield Rule(outline)
        return
    for (ax, ay), (bx, by) in itertools.pairwise(points):
        if min(abs(ax - bx), abs(ay - by)) <= 0.5:
            yield Rule(Box(min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)))
