"""Opens a document of a known format. Every function blocks; large parsers are imported when a document needs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from PIL import Image

from server.adapters.reading.archives import DOCX, PPTX, XLSX, ArchiveOptions
from server.adapters.reading.images import ImageFile, ImageOptions
from server.adapters.reading.markdown import read_markdown
from server.adapters.reading.page_views import ViewOptions
from server.adapters.reading.pdf import PdfFile, PdfOptions
from server.adapters.reading.plain_text import read_plain_text
from server.adapters.reading.probing import CSV, EMAIL, HTML, IMAGES, MARKDOWN, PDF
from server.adapters.reading.text_decoding import decode_text
from server.application.reading_ports import PageImage
from server.domain.documents import Block, Page
from server.domain.errors import UnreadableDocument


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """`most_pages` is for a document; `page_characters` and `page_lines` for a page's text, which is all of it in
    formats without pages."""

    pdf: PdfOptions = field(default_factory=PdfOptions)
    image: ImageOptions = field(default_factory=ImageOptions)
    archive: ArchiveOptions = field(default_factory=ArchiveOptions)
    view: ViewOptions = field(default_factory=ViewOptions)
    most_pages: int = 5000
    page_characters: int = 20_000_000
    page_lines: int = 500_000


class DocumentFile(Protocol):
    """An open document, for one thread."""

    @property
    def page_count(self) -> int:
        """1 where the format has no pages."""

    def read(self, number: int) -> Page | PageImage:
        """Page `number` (from 1). Raises UnreadableDocument."""

    def picture(self, number: int, scale: float, most_pixels: int) -> tuple[Image.Image, float] | None:
        """The page as it is seen, and its scale: `scale` (pixels per unit of the page), or less for `most_pixels`. None
        where the format does not say how a page looks. Raises UnreadableDocument."""

    def close(self) -> None: ...


def open_document(path: Path, media_type: str, options: ReadingOptions) -> DocumentFile:
    """`media_type` is one of probing's SUPPORTED. Raises UnreadableDocument, EncryptedDocument."""
    file = _open(path, media_type, options)
    if file.page_count > options.most_pages:
        file.close()
        raise UnreadableDocument(f"it has more than {options.most_pages} pages")
    return file


def check_size(page: Page, options: ReadingOptions) -> Page:
    """The page, if what follows can hold it. Raises UnreadableDocument."""
    lines = sum(len(block.lines) for block in page.blocks)
    characters = sum(len(line.text) for block in page.blocks for line in block.lines)
    if characters > options.page_characters or lines > options.page_lines:
        raise UnreadableDocument(
            f"page {page.number} has {characters:,} characters in {lines:,} lines; at most "
            f"{options.page_characters:,} in {options.page_lines:,} are read"
        )
    return page


def _open(path: Path, media_type: str, options: ReadingOptions) -> DocumentFile:
    if media_type == PDF:
        return PdfFile(path, options.pdf, options.most_pages)
    if media_type in IMAGES:
        return ImageFile(path, media_type, options.image)
    if media_type in _ARCHIVED:
        return _ARCHIVED[media_type](path, options)
    if media_type == EMAIL:
        return _OnePage(_email_reader(path))
    return _OnePage(lambda: _TEXTS.get(media_type, read_plain_text)(_text_of(path)))


class _OnePage:
    """A document without pages, which reads as one without a size."""

    page_count = 1

    def __init__(self, read: Callable[[], Sequence[Block]]) -> None:
        self._read = read

    def read(self, number: int) -> Page:
        return Page(number, 0.0, 0.0, tuple(self._read()))

    def picture(self, number: int, scale: float, most_pixels: int) -> None:
        """It has no look of its own."""

    def close(self) -> None:
        """Nothing stays open."""


def _text_of(path: Path) -> str:
    text = decode_text(path.read_bytes())
    if text is None:
        raise UnreadableDocument("its text is in no known encoding")
    return text


def _open_docx(path: Path, options: ReadingOptions) -> DocumentFile:
    from server.adapters.reading.docx_file import DocxFile

    return _OnePage(DocxFile(path, options.archive).blocks)


def _open_pptx(path: Path, options: ReadingOptions) -> DocumentFile:
    from server.adapters.reading.pptx_file import PptxFile

    return PptxFile(path, options.archive)


def _open_xlsx(path: Path, options: ReadingOptions) -> DocumentFile:
    from server.adapters.reading.xlsx_file import XlsxFile

    return XlsxFile(path, options.archive, options.page_characters)


def _read_html(text: str) -> Sequence[Block]:
    from server.adapters.reading.html_text import read_html

    return read_html(text)


def _read_csv(text: str) -> Sequence[Block]:
    from server.adapters.reading.csv_text import read_csv

    return read_csv(text)


def _email_reader(path: Path) -> Callable[[], Sequence[Block]]:
    def read() -> Sequence[Block]:
        from server.adapters.reading.email_text import read_email

        return read_email(path.read_bytes())

    return read


_ARCHIVED = MappingProxyType({DOCX: _open_docx, PPTX: _open_pptx, XLSX: _open_xlsx})
_TEXTS: MappingProxyType[str, Callable[[str], Sequence[Block]]] = MappingProxyType(
    {MARKDOWN: read_markdown, HTML: _read_html, CSV: _read_csv}
)
