"""Pages as people see them: rendered, with boxes drawn on them, and as small pictures. Every function blocks."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from server.application.page_image_ports import THUMBNAIL_SIZE, PageView
from server.domain.documents import Block, BlockKind, Box, Page

MEDIA_TYPE = "image/jpeg"
_QUALITIES = (88, 70, 45)
_MARKER = (255, 214, 0, 90)
_MARKER_EDGE = (214, 122, 0, 255)
_EDGE_PIXELS = 2
_BLACK = (0, 0, 0)
_ROOM = 0.2
"""Around what is blacked out, as a share of its height."""
_PAPER = "white"
_INK = (120, 120, 120)
_DARK_INK = (60, 60, 60)

# Of a thumbnail that is drawn from text: sizes in pixels; a character is this wide and a full-width one twice.
_MARGIN = 16
_LINE = 5
_BAR = 2
_CHARACTER = 1.6


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """A page that would have more than `most_pixels` is shown smaller."""

    most_pixels: int = 8_000_000
    most_bytes: int = 8_000_000


def fitting_scale(width: float, height: float, wanted: float, most_pixels: int) -> float:
    """The scale (pixels per unit) that was asked for, or the largest within `most_pixels`."""
    pixels = width * height * wanted * wanted
    return wanted if pixels <= most_pixels else wanted * math.sqrt(most_pixels / pixels)


def page_view(
    image: Image.Image, scale: float, boxes: Sequence[Box], hidden: Sequence[Box], options: ViewOptions
) -> PageView:
    """The page with boxes (in its units) marked on it, and others blacked out."""
    shown = image.convert("RGB")
    if boxes:
        shown = _marked(shown, scale, boxes)
    shown = blacked_out(shown, scale, hidden)
    return PageView(_encoded(shown, options.most_bytes), MEDIA_TYPE, shown.width, shown.height, scale)


def blacked_out(image: Image.Image, scale: float, boxes: Sequence[Box]) -> Image.Image:
    """Nothing is left of what stands in the boxes, nor right around them, where letters may reach."""
    if not boxes:
        return image
    covered = image.convert("RGB")
    draw = ImageDraw.Draw(covered)
    for box in boxes:
        room = _ROOM * min(box.x1 - box.x0, box.y1 - box.y0)
        roomy = Box(box.x0 - room, box.y0 - room, box.x1 + room, box.y1 + room)
        corners = _corners(roomy, scale, covered.size)
        if corners is not None:
            draw.rectangle(corners, fill=_BLACK)
    return covered


def thumbnail_of_image(image: Image.Image) -> PageView:
    """The page on white, as large as fits."""
    scale = min(THUMBNAIL_SIZE[0] / image.width, THUMBNAIL_SIZE[1] / image.height)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    paper = Image.new("RGB", THUMBNAIL_SIZE, _PAPER)
    paper.paste(small, ((THUMBNAIL_SIZE[0] - size[0]) // 2, (THUMBNAIL_SIZE[1] - size[1]) // 2))
    return PageView(_encoded(paper, 1_000_000), MEDIA_TYPE, *THUMBNAIL_SIZE, scale)


def thumbnail_of_text(page: Page) -> PageView:
    """A page that has no look of its own, greeked: bars as long as its lines, darker for headings, cells for tables.
    No font is needed, and no script is favoured. Slides keep their boxes."""
    paper = Image.new("RGB", THUMBNAIL_SIZE, _PAPER)
    draw = ImageDraw.Draw(paper)
    if page.width > 0 and page.height > 0:
        scale = min(THUMBNAIL_SIZE[0] / page.width, THUMBNAIL_SIZE[1] / page.height)
        _draw_placed(draw, page, scale, (THUMBNAIL_SIZE[1] - page.height * scale) / 2)
    else:
        scale = 1.0
        _draw_flowing(draw, page.blocks)
    return PageView(_encoded(paper, 1_000_000), MEDIA_TYPE, *THUMBNAIL_SIZE, scale)


def _marked(image: Image.Image, scale: float, boxes: Sequence[Box]) -> Image.Image:
    layer = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(layer)
    for box in boxes:
        corners = _corners(box, scale, image.size)
        if corners is not None:
            draw.rectangle(corners, fill=_MARKER, outline=_MARKER_EDGE, width=_EDGE_PIXELS)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def _corners(box: Box, scale: float, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """In pixels, with a little room, cut to the image; None outside of it."""
    x0, y0 = max(math.floor(box.x0 * scale) - 1, 0), max(math.floor(box.y0 * scale) - 1, 0)
    x1, y1 = min(math.ceil(box.x1 * scale) + 1, size[0] - 1), min(math.ceil(box.y1 * scale) + 1, size[1] - 1)
    return (x0, y0, x1, y1) if x0 <= x1 and y0 <= y1 else None


def _encoded(image: Image.Image, most_bytes: int) -> bytes:
    """JPEG of the best of a few qualities that fits."""
    encoded = b""
    for quality in _QUALITIES:
        target = io.BytesIO()
        image.save(target, "JPEG", quality=quality)
        encoded = target.getvalue()
        if len(encoded) <= most_bytes:
            break
    return encoded


def _draw_placed(draw: ImageDraw.ImageDraw, page: Page, scale: float, top: float) -> None:
    draw.rectangle((0, top, THUMBNAIL_SIZE[0] - 1, top + page.height * scale), outline=_INK)
    for block in page.blocks:
        for number, line in enumerate(block.lines):
            if line.box is not None:
                left, width = line.box.x0 * scale, (line.box.x1 - line.box.x0) * scale
                y = top + line.box.y0 * scale + number * _LINE
                _bar(draw, left, y, min(_length(line.text), width), block.kind)


def _draw_flowing(draw: ImageDraw.ImageDraw, blocks: Iterable[Block]) -> None:
    y, room = float(_MARGIN), THUMBNAIL_SIZE[0] - 2 * _MARGIN
    for block in blocks:
        for line in block.lines:
            if block.kind is BlockKind.TABLE:
                if y > THUMBNAIL_SIZE[1] - _MARGIN:
                    return
                cells = line.text.count("|") - 1
                for cell in range(min(max(cells, 1), 20)):
                    wide = room / min(max(cells, 1), 20)
                    _bar(draw, _MARGIN + cell * wide, y, wide * 0.7, block.kind)
                y += _LINE
                continue
            left = _length(line.text)
            while left > 0:
                if y > THUMBNAIL_SIZE[1] - _MARGIN:
                    return
                _bar(draw, _MARGIN, y, min(left, room), block.kind)
                left -= room
                y += _LINE
        y += _LINE


def _bar(draw: ImageDraw.ImageDraw, x: float, y: float, width: float, kind: BlockKind) -> None:
    heading = kind is BlockKind.HEADING
    draw.rectangle((x, y, x + max(width, 1), y + _BAR + heading), fill=_DARK_INK if heading else _INK)


def _length(text: str) -> float:
    return sum(2 if character >= "\u2e80" else 1 for character in text[:10_000]) * _CHARACTER
