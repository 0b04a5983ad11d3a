"""A PDF, opened: page by page as blocks, or as an image where its text cannot be used.

Every function here blocks and must run in the thread that owns pdfium (it is not thread-safe).
"""

from __future__ import annotations

import ctypes
import io
import mmap
from dataclasses import dataclass, field
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from PIL import Image

from server.adapters.reading.layout import body_size, lay_out
from server.adapters.reading.page_views import fitting_scale
from server.adapters.reading.pdf_content import PageContent, read_content
from server.adapters.reading.text_layer import TextLayerOptions, is_usable, runs_together
from server.application.reading_ports import PageImage
from server.domain.documents import Page
from server.domain.errors import EncryptedDocument, UnreadableDocument

_POINTS_PER_INCH = 72
_TAIL_BYTES = 2048
_SAMPLED_PAGES = 5
_MOST_KEPT_GLYPHS = 10_000
"""Of a sampled page whose content is kept until it is read: some 6 MB."""
_LARGEST_SIDE = 14_400.0
"""Points (200 inches): the limit of the format's specification."""


@dataclass(frozen=True, slots=True)
class PdfOptions:
    """`render_dpi` is lowered where a page would exceed `render_pixels`; images for OCR stay under `image_bytes`."""

    render_dpi: int = 300
    render_pixels: int = 25_000_000
    image_bytes: int = 8_000_000
    text_layer: TextLayerOptions = field(default_factory=TextLayerOptions)


class PdfFile:
    """Close it when done. Memory: pdfium's own cache and one page."""

    def __init__(self, path: Path, options: PdfOptions, most_pages: int) -> None:
        """A file may say that it has more than `most_pages`; they are not looked at then. Raises EncryptedDocument,
        UnreadableDocument."""
        self._options = options
        self._pdf = _open(path)
        try:
            self.page_count = len(self._pdf)
            if self.page_count == 0:
                raise UnreadableDocument("the PDF has no pages")
            if self.page_count <= most_pages and not _has_end(path):
                self._check_all_pages()
            self._body: float | None = None
            self._kept: dict[int, PageContent] = {}
        except BaseException:
            self._pdf.close()
            raise

    def close(self) -> None:
        self._pdf.close()

    def read(self, number: int) -> Page | PageImage:
        """Page `number` (from 1). Raises UnreadableDocument."""
        page = self._page(number)
        try:
            content = self._kept.pop(number, None) or read_content(page)
            if is_usable(content, self._options.text_layer):
                blocks = lay_out(content, self._body_size(number, content))
                if not runs_together(blocks, self._options.text_layer):
                    return Page(number, content.width, content.height, blocks)
            return self._render(page, number, content)
        except pdfium.PdfiumError as exc:
            raise UnreadableDocument(f"page {number} is broken") from exc
        finally:
            page.close()

    def picture(self, number: int, scale: float, most_pixels: int) -> tuple[Image.Image, float]:
        """The page in colour, and its scale in pixels a point, lowered to what `most_pixels` allow. Raises
        UnreadableDocument."""
        page = self._page(number)
        try:
            width, height = page.get_size()
            used = fitting_scale(width, height, scale, most_pixels)
            bitmap = page.render(scale=used, may_draw_forms=False)
            try:
                return bitmap.to_pil().convert("RGB"), used
            finally:
                bitmap.close()
        except pdfium.PdfiumError as exc:
            raise UnreadableDocument(f"page {number} is broken") from exc
        finally:
            page.close()

    def _page(self, number: int) -> pdfium.PdfPage:
        try:
            page = self._pdf[number - 1]
        except (pdfium.PdfiumError, IndexError) as exc:
            raise UnreadableDocument(f"page {number} is broken") from exc
        width, height = page.get_size()
        if not (0 < width <= _LARGEST_SIDE and 0 < height <= _LARGEST_SIDE):
            page.close()
            raise UnreadableDocument(f"page {number} is {width:.0f} x {height:.0f} points large")
        return page

    def _body_size(self, number: int, content: PageContent) -> float:
        """Told by a few pages all over the document, so that it does not depend on where reading starts. `content` is
        that of page `number`."""
        if self._body is None:
            step = max(self.page_count // _SAMPLED_PAGES, 1)
            numbers = range(1, self.page_count + 1, step)
            self._body = body_size(content if each == number else self._sampled(each, keep=True) for each in numbers)
        return self._body

    def _sampled(self, number: int, *, keep: bool = False) -> PageContent:
        """Empty for a page that is broken. Reading it takes what is kept."""
        try:
            page = self._page(number)
        except UnreadableDocument:
            return PageContent(0.0, 0.0)
        try:
            content = read_content(page)
        except pdfium.PdfiumError:
            return PageContent(0.0, 0.0)
        finally:
            page.close()
        if keep and content.glyph_count <= _MOST_KEPT_GLYPHS:
            self._kept[number] = content
        return content

    def _check_all_pages(self) -> None:
        """A file without its end was cut off; pdfium rebuilds what is left. All of it must be there."""
        for number in range(1, self.page_count + 1):
            content = self._sampled(number)
            if content.drawing_count == 0 and content.glyph_count == 0:
                raise UnreadableDocument(f"the PDF is cut off: page {number} is missing or incomplete")

    def _render(self, page: pdfium.PdfPage, number: int, content: PageContent) -> PageImage:
        pixels = content.width * content.height * (self._options.render_dpi / _POINTS_PER_INCH) ** 2
        scale = self._options.render_dpi / _POINTS_PER_INCH * min(1.0, (self._options.render_pixels / pixels) ** 0.5)
        bitmap = page.render(scale=scale, grayscale=True, may_draw_forms=False)
        try:
            image = bitmap.to_pil()
            encoded = encode_gray(image, self._options.image_bytes)
            return PageImage(number, content.width, content.height, encoded, image.width / content.width)
        finally:
            bitmap.close()


def encode_gray(image: Image.Image, most_bytes: int) -> bytes:
    """JPEG in shades of gray, of the best of a few qualities that fits."""
    gray = image.convert("L")
    encoded = b""
    for quality in (90, 75, 50, 30):
        target = io.BytesIO()
        gray.save(target, "JPEG", quality=quality)
        encoded = target.getvalue()
        if len(encoded) <= most_bytes:
            break
    return encoded


def _open(path: Path) -> pdfium.PdfDocument:
    """From memory: the path may be that of an open file without a name. Nothing is copied."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    try:
        # It holds what it was given until it is closed.
        return pdfium.PdfDocument((ctypes.c_char * len(mapped)).from_buffer(mapped))
    except pdfium.PdfiumError as exc:
        if exc.err_code == pdfium_c.FPDF_ERR_PASSWORD:
            raise EncryptedDocument from exc
        if exc.err_code == pdfium_c.FPDF_ERR_SECURITY:
            raise UnreadableDocument("the PDF is protected by a method that is not known here") from exc
        raise UnreadableDocument("the PDF is broken or cut off") from exc


def _has_end(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _TAIL_BYTES, 0))
        tail = file.read()
    return b"%%EOF" in tail or b"startxref" in tail
